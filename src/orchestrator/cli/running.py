"""`orchestrator run`, `resume` and `retry`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import address, hints, is_missing, location_of, running_options

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.conduct import Conductor
    from orchestrator.execution.engine import ExecutionResult
    from orchestrator.journal.events import Entry
    from orchestrator.pipelines.model import Pipeline

#: What Ctrl-C does to a command that runs steps.
CTRL_C = """\b
Ctrl-C
  once   starts nothing new, asks what runs to end and gives it 10 seconds;
         the execution is paused then, and `resume` goes on (exit code 130)
  twice  ends everything at once; what was recorded is kept, `resume` goes on
SIGTERM does the same.
"""


@click.command(epilog=CTRL_C)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-i", "--input", "texts", metavar="NAME=VALUE", multiple=True, help="An input; may be repeated.")
@click.option(
    "--inputs",
    "inputs_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Inputs from a YAML or JSON file; -i overrides them.",
)
@click.option("--id", "execution_id", metavar="ID", help="The execution's id.  [default: a new one]")
@running_options("disk", "process", "none")
def run(file: Path, texts: Sequence[str], inputs_file: Path | None, execution_id: str | None, **options: Any) -> int:
    """Run a pipeline file to its end.

    Every result is recorded before the next step starts: whatever ends this process, `orchestrator resume ID` goes on.
    """
    from orchestrator.clock import SystemClock, new_id
    from orchestrator.pipelines.model import Pipeline

    pipeline = Pipeline.load(file)
    inputs = _bound(pipeline, texts, inputs_file)
    id_ = new_id(SystemClock()) if execution_id is None else execution_id

    def past(_orchestrator: Orchestrator) -> tuple[Sequence[str], Sequence[Entry]]:
        return [step.id for step in pipeline.steps], ()

    return _conductor(id_, options).conduct(past, lambda o: o.arun(pipeline, inputs, execution_id=id_))


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@running_options("disk", "process")
def resume(execution_id: str, **options: Any) -> int:
    """Go on with an execution that was interrupted or killed.

    What was recorded is not done again. Where the execution has completed already, its result is shown. The pipeline is
    the one that was recorded when the execution began: the handlers' code is read anew, the YAML file is not.
    """
    return go_on(execution_id, options, lambda o: o.aresume(execution_id))


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@click.option("--step", metavar="KEY", help="Only this failed step, `load` or `months[3]`.  [default: all of them]")
@running_options("disk", "process")
def retry(execution_id: str, step: str | None, **options: Any) -> int:
    """Run the failed steps of a failed execution again.

    What succeeded is kept; each failed step has all its attempts anew. The pipeline is the one that was recorded when
    the execution began: the handlers' code is read anew, the YAML file is not.
    """

    async def again(orchestrator: Orchestrator) -> ExecutionResult:
        from orchestrator.cli.look import abandoned
        from orchestrator.errors import NotResumableError

        try:
            return await orchestrator.aretry(execution_id, step)
        except NotResumableError:
            if not abandoned(orchestrator, execution_id):
                raise
            go_on = f"its process is gone; `orchestrator resume {execution_id}` goes on with it"
            raise NotResumableError(execution_id, "abandoned", go_on) from None

    return go_on(execution_id, options, again)


def _conductor(execution_id: str, options: Mapping[str, Any]) -> Conductor:
    from orchestrator.cli.conduct import Conductor, Manner

    return Conductor(Manner(hints=hints(options["store"]), **options), execution_id)


def go_on(execution_id: str, options: Mapping[str, Any], work: Any) -> int:
    """Run `work` on an execution that exists, in front of the person."""
    from orchestrator.cli.look import step_ids
    from orchestrator.errors import UnknownExecutionError

    store = address(options["store"])
    if is_missing(store):
        raise UnknownExecutionError(execution_id, location_of(store))

    def past(orchestrator: Orchestrator) -> tuple[Sequence[str], Sequence[Entry]]:
        entries = orchestrator.history(execution_id)
        return step_ids(orchestrator, entries), entries

    return _conductor(execution_id, options).conduct(past, work)


def _bound(pipeline: Pipeline, texts: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    """The value of every input, from the file and from the command line."""
    from orchestrator.pipelines.model import bind_inputs

    types = {name: spec.type for name, spec in pipeline.inputs.items()}
    given = {name: _typed(value, types.get(name, "any")) for name, value in _from_file(file).items()} if file else {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="-i")
        given[name.strip()] = value
    return bind_inputs(pipeline, given, base_dir=pipeline.base_dir, working_dir=Path.cwd(), as_text=True)


def _typed(value: Any, type_word: str) -> Any:
    """A value of a file, so that reading it as a text of the command line changes nothing."""
    return json.dumps(value) if isinstance(value, str) and type_word not in ("string", "path") else value


def _from_file(file: Path) -> Mapping[str, Any]:
    from orchestrator.errors import Fault, PipelineFileError
    from orchestrator.pipelines.yaml_source import parse_yaml, read_text

    values, _ = parse_yaml(read_text(file), str(file))
    if not isinstance(values, dict):
        raise PipelineFileError(str(file), [Fault("an inputs file is a mapping of names to values", 1, 1)])
    return values
