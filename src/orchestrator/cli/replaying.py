"""`orchestrator check-replay`: whether executions of durable functions can be gone on with by the code of today."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import address, json_option, location_of, opened, store_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.paper import Paper

#: Of what an execution goes on with, so many are named.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Checked:
    """What came of one execution; `ok` is None where there was nothing to check, and `message` says why."""

    execution_id: str
    pipeline: str
    ok: bool | None
    message: str = ""
    goes_on_with: Sequence[str] = ()


@click.command("check-replay")
@click.argument("execution_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "of_all", is_flag=True, help="Every execution of a durable function in the store.")
@click.option("--pipeline", metavar="NAME", help="With --all: only those of this pipeline.")
@store_option
@json_option
def check_replay(
    execution_ids: Sequence[str], of_all: bool, pipeline: str | None, store: str | None, as_json: bool
) -> int:
    """Check that executions can be gone on with by the code of today.

    Each durable function is run with what its journal holds: no step runs, and nothing is recorded. Where the code asks
    for other steps than were recorded, the line says which, and the exit code is 2. Executions of pipeline files are
    left out: they go on with the pipeline that was recorded.
    """
    from orchestrator.cli.exits import ExitCode
    from orchestrator.cli.paper import Paper

    if bool(execution_ids) == of_all:
        raise click.UsageError("name the executions to check, or give --all")
    if pipeline is not None and not of_all:
        raise click.UsageError("--pipeline goes with --all")
    paper, checks = Paper(sys.stdout), list[_Checked]()
    with opened(store) as orchestrator:
        for id_ in execution_ids or _all_of(orchestrator, pipeline, location_of(address(store))):
            checks.append(_checked(orchestrator, id_))
            if not as_json:
                paper.lines(_line(checks[-1], paper))
                paper.stream.flush()
    if as_json:
        paper.json([_data(check) for check in checks])
    else:
        _sum_up(checks, paper)
    return ExitCode.BAD_INPUT if any(check.ok is False for check in checks) else ExitCode.DONE


def _all_of(orchestrator: Orchestrator, pipeline: str | None, where: str) -> Sequence[str]:
    """The ids of all executions, or of those of one pipeline. Raises InputError where there is no such pipeline."""
    from orchestrator.errors import InputError
    from orchestrator.journal.store import Query
    from orchestrator.pipelines.wording import did_you_mean

    found = orchestrator.list(Query(limit=None))
    if pipeline is None:
        return [summary.execution_id for summary in found]
    known = {summary.pipeline_id for summary in found}
    if pipeline not in known:
        hint = did_you_mean(pipeline, known)
        raise InputError(f"no execution of a pipeline {pipeline!r} in {where}" + (f"; {hint}" if hint else ""))
    return [summary.execution_id for summary in found if summary.pipeline_id == pipeline]


def _checked(orchestrator: Orchestrator, execution_id: str) -> _Checked:
    """Check one. Raises UnknownExecutionError."""
    from orchestrator.cli.look import outline_of
    from orchestrator.errors import OrchestratorError, StoreError

    outline = outline_of(orchestrator, orchestrator.history(execution_id))
    name = str(outline.definition.get("pipeline", ""))
    if outline.function is None:
        return _Checked(execution_id, name, None, "its pipeline is of a file")
    try:
        found = orchestrator.check_replay(execution_id)
    except StoreError:
        raise
    except OrchestratorError as error:  # its code is gone, cannot be imported, or the journal cannot be followed at all
        return _Checked(execution_id, name, False, str(error))
    return _Checked(execution_id, name, found.ok, found.message, found.goes_on_with)


def _line(check: _Checked, paper: Paper) -> Iterator[str]:
    """One execution in a line, or as many as its error takes."""
    from orchestrator.cli.words import one_line

    sign = {True: "completed", False: "failed", None: "skipped"}[check.ok]
    head = f"{paper.symbol(sign)} {check.execution_id}  {paper.dim(check.pipeline)}  "
    if check.ok is None:
        told = f"skipped: {check.message}"
    else:
        told = _goes_on(check.goes_on_with) if check.ok else one_line(check.message)
    yield from paper.prose(head + told, hanging="  ")


def _goes_on(keys: Sequence[str]) -> str:
    if not keys:
        return "ok"
    more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
    return f"ok, goes on with {', '.join(map(repr, keys[:_NAMED]))}{more}"


def _sum_up(checks: Sequence[_Checked], paper: Paper) -> None:
    from orchestrator.cli.words import count

    words = {True: "ok", False: "cannot be gone on with", None: "skipped"}
    counts = {ok: sum(check.ok is ok for check in checks) for ok in words}
    parts = ", ".join(f"{counts[ok]:,} {word}" for ok, word in words.items() if counts[ok]) or "nothing to check"
    if checks:
        paper.line()
    paper.line(f"{paper.symbol('failed' if counts[False] else 'completed')} {count(len(checks), 'execution')}: {parts}")


def _data(check: _Checked) -> Mapping[str, Any]:
    return {
        "execution_id": check.execution_id,
        "pipeline": check.pipeline,
        "ok": check.ok,
        "skipped": check.ok is None,
        "message": check.message or None,
        "goes_on_with": list(check.goes_on_with),
    }
