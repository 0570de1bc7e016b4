"""`orchestrator plan`: what a verb would do, before it does it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import hints, json_option, opened, store_option

if TYPE_CHECKING:
    from orchestrator.cli.hints import Hints
    from orchestrator.cli.paper import Paper
    from orchestrator.execution.engine import ExecutionPlan, StepForecast

#: What may be done with a step -> the state whose colour and sign it has.
_SIGNS = {
    "reuse": "completed",
    "run": "pending",
    "run again": "retrying",
    "go on": "running",
    "in doubt": "waiting",
    "wait": "waiting",
    "stays failed": "failed",
}


@click.command()
@click.argument("execution_id", metavar="ID")
@click.argument("verb", type=click.Choice(["resume", "retry", "rerun"]), default="resume", required=False)
@click.option("--from", "step", metavar="KEY", help="With rerun: the step to begin at. With retry: only this one.")
@click.option("--file", type=click.Path(path_type=Path), help="With resume: as if it went on with this pipeline file.")
@store_option
@json_option
def plan(execution_id: str, verb: str, step: str | None, file: Path | None, store: str | None, as_json: bool) -> None:
    """Show what resume, retry or rerun would do with each step, and why.

    Nothing is changed. What is reused keeps its result; what is in doubt had begun, and nobody knows whether it
    happened.
    """
    from orchestrator.cli.look import outline_of
    from orchestrator.cli.paper import Paper

    if verb == "rerun" and step is None:
        raise click.UsageError("rerun begins at a step: --from KEY")
    if verb == "resume" and step is not None:
        raise click.UsageError("--from goes with rerun and retry")
    if verb != "resume" and file is not None:
        raise click.UsageError("--file goes with resume")
    with opened(store) as orchestrator:
        function = outline_of(orchestrator, orchestrator.history(execution_id)).function
        if file is not None:
            _refuse(execution_id, function, file)
        found = orchestrator.plan(execution_id, verb, step, file)
    paper = Paper(sys.stdout)
    if as_json:
        paper.json(
            {
                "execution_id": found.execution_id,
                "verb": found.verb,
                "refused": found.refused or None,
                "changed": list(found.changed),
                "steps": [{"key": s.key, "action": s.action, "why": s.why or None} for s in found.steps],
            }
        )
        return
    _table(found, paper)
    paper.line()
    beyond = "the function runs again; what it calls beyond these shows then" if function is not None else ""
    paper.lines(_summary(found, beyond, paper, hints(store), step, file))


def _refuse(execution_id: str, function: str | None, file: Path) -> None:
    """Raise InputError where durable functions are concerned, which no file takes the place of."""
    from orchestrator.cli.functions import refuse_code, takes_no_file

    refuse_code(file)
    if function is not None:
        raise takes_no_file(execution_id, function)


def _table(found: ExecutionPlan, paper: Paper) -> None:
    from orchestrator.cli.paper import COLOURS
    from orchestrator.cli.words import one_line

    head = [paper.dim(word) for word in ("  STEP", "WHAT", "WHY")]
    rows = [
        [
            f"{paper.symbol(_SIGNS[forecast.action])} {forecast.key}",
            paper.paint(forecast.action, COLOURS.get(_SIGNS[forecast.action])),
            paper.dim(one_line(forecast.why)),
        ]
        for forecast in _shown(found.steps)
    ]
    paper.table([head, *rows])


def _shown(steps: Sequence[StepForecast]) -> Iterator[StepForecast]:
    """Without what is reused inside of a step that is reused as a whole."""
    from orchestrator.journal.keys import owners_of

    reused = {forecast.key for forecast in steps if forecast.action == "reuse"}
    for forecast in steps:
        if forecast.key not in reused or not reused.intersection(owners_of(forecast.key)):
            yield forecast


def _summary(
    found: ExecutionPlan, beyond: str, paper: Paper, hints: Hints, step: str | None, file: Path | None
) -> Iterator[str]:
    counts = Counter(forecast.action for forecast in found.steps)
    parts = ", ".join(f"{number:,} {_COUNTED.get(action, action)}" for action, number in counts.items())
    if found.refused:
        yield from paper.prose(f"{paper.symbol('failed')} {found.verb} would do nothing: {found.refused}", hanging="  ")
        return
    told = "; ".join(filter(None, (parts, beyond))) or "nothing to do"
    yield from paper.prose(f"{found.verb}: {told}")
    words = ["--step" if found.verb == "retry" else "--from", step] if step is not None else []
    words += ["--file", str(file)] if file is not None else []
    yield ""
    yield f"  {'do it':<9}{paper.bold(hints.command(found.verb, found.execution_id, *words))}"


_COUNTED = {
    "reuse": "reused",
    "run": "to run",
    "run again": "to run again",
    "wait": "waiting",
    "stays failed": "left failed",
}
