"""`orchestrator resume`, `retry` and `rerun`: what goes on with an execution that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import (
    CTRL_C,
    address,
    by_option,
    hints,
    is_missing,
    location_of,
    login,
    running_options,
    wait_option,
)

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.conduct import Conductor
    from orchestrator.cli.outline import Outline
    from orchestrator.execution.engine import ExecutionResult
    from orchestrator.journal.events import Entry
    from orchestrator.pipelines.model import Pipeline


file_option = click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Go on with this pipeline file instead of the pipeline that was recorded.",
)
accept_option = click.option(
    "--accept-changes", is_flag=True, help="With --file: also where it changes steps that have ended."
)


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@file_option
@accept_option
@wait_option
@running_options("disk", "process")
def resume(execution_id: str, file: Path | None, accept_changes: bool, wait: bool, **options: Any) -> int:
    """Go on with an execution that was interrupted or killed, or that waits.

    What was recorded is not done again. Where the execution has completed already, its result is shown. The pipeline is
    the one that was recorded when the execution began: the handlers' code is read anew, the YAML file is read where
    --file names it.
    """
    pipeline = _loaded(file, accept_changes)

    async def on(orchestrator: Orchestrator) -> ExecutionResult:
        from orchestrator.errors import NotResumableError

        try:
            return await orchestrator.aresume(execution_id, pipeline=pipeline, accept_changes=accept_changes, wait=wait)
        except NotResumableError as exc:
            if file is None:
                raise
            typed = hints(options["store"])
            if exc.status == "failed":
                hint = f"`{typed.command('retry', execution_id, '--file', str(file))}` takes the file"
            else:
                fork = typed.command("fork", execution_id, "--later")
                hint = f"a fork takes the file: `{fork}`, then `{typed.command('resume', 'NEW', '--file', str(file))}`"
            raise NotResumableError(execution_id, exc.status, hint) from None

    return go_on(execution_id, options, on, pipeline)


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@click.option("--step", metavar="KEY", help="Only this failed step, `load` or `months[3]`.  [default: all of them]")
@file_option
@accept_option
@wait_option
@running_options("disk", "process")
def retry(
    execution_id: str, step: str | None, file: Path | None, accept_changes: bool, wait: bool, **options: Any
) -> int:
    """Run the failed steps of a failed execution again.

    What succeeded is kept; each failed step has all its attempts anew. The pipeline is the one that was recorded when
    the execution began: the handlers' code is read anew, the YAML file is read where --file names it.
    """
    pipeline = _loaded(file, accept_changes)

    async def again(orchestrator: Orchestrator) -> ExecutionResult:
        from orchestrator.cli.look import abandoned
        from orchestrator.errors import NotResumableError

        try:
            return await orchestrator.aretry(
                execution_id, step, pipeline=pipeline, accept_changes=accept_changes, wait=wait
            )
        except NotResumableError:
            if not abandoned(orchestrator, execution_id):
                raise
            go_on = f"its process is gone; `orchestrator resume {execution_id}` goes on with it"
            raise NotResumableError(execution_id, "abandoned", go_on) from None

    return go_on(execution_id, options, again, pipeline)


def _loaded(file: Path | None, accept_changes: bool) -> Pipeline | None:
    """The pipeline file that takes the place of what was recorded."""
    if accept_changes and file is None:
        raise click.UsageError("--accept-changes goes with --file")
    if file is None:
        return None
    from orchestrator.cli.functions import refuse_code
    from orchestrator.pipelines.model import Pipeline

    refuse_code(file)
    return Pipeline.load(file)


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@click.option("--from", "step", metavar="KEY", required=True, help="The step to begin at, `load` or `months[3].parse`.")
@by_option
@wait_option
@running_options("disk", "process")
def rerun(execution_id: str, step: str, by: str | None, wait: bool, **options: Any) -> int:
    """Run a step and all that depends on it afresh, whatever they came to.

    Everything else is kept, with its results. `plan ID rerun --from KEY` shows before what runs again. The pipeline is
    the one that was recorded when the execution began, the handlers' code is read anew.
    """
    name = login() if by is None else by
    return go_on(execution_id, options, lambda o: o.arerun(execution_id, step, by=name, wait=wait))


def conductor(execution_id: str, options: Mapping[str, Any]) -> Conductor:
    """Runs an execution in front of a person who gave these options."""
    from orchestrator.cli.conduct import Conductor, Manner

    return Conductor(Manner(hints=hints(options["store"]), **options), execution_id)


def go_on(execution_id: str, options: Mapping[str, Any], work: Any, pipeline: Pipeline | None = None) -> int:
    """Run `work` on an execution that exists, in front of the person; `pipeline` is what it is gone on with."""
    from orchestrator.cli.functions import takes_no_file
    from orchestrator.cli.look import outline_of
    from orchestrator.cli.outline import Outline
    from orchestrator.errors import UnknownExecutionError

    store = address(options["store"])
    if is_missing(store):
        raise UnknownExecutionError(execution_id, location_of(store))

    def past(orchestrator: Orchestrator) -> tuple[Outline, Sequence[Entry]]:
        entries = orchestrator.history(execution_id)
        recorded = outline_of(orchestrator, entries)
        if pipeline is None:
            return recorded, entries
        if recorded.function is not None:
            raise takes_no_file(execution_id, recorded.function)
        return Outline(pipeline.canonical()), entries

    return conductor(execution_id, options).conduct(past, work)
