"""`orchestrator logs`: what handlers printed, logged and said of their progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, opened, store_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.paper import Paper
    from orchestrator.journal.store import Note

#: `--follow` looks this often.
_FOLLOW_SECONDS = 0.5


@click.command()
@click.argument("execution_id", metavar="ID")
@click.argument("step", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on showing what comes, until the execution ends.")
@store_option
@json_option
def logs(execution_id: str, step: str | None, follow: bool, store: str | None, as_json: bool) -> None:
    """Show what the steps of one execution printed and logged.

    STEP narrows it to one step with all inside of it: `load`, a loop with its items (`months`), one item
    (`months[3]`), a step of a block or of a sub-pipeline (`months[3].parse`, `child/load`). Of each attempt the newest
    1000 lines are kept, and its newest progress.
    """
    import sys

    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import iso

    paper = Paper(sys.stdout)
    with opened(store) as orchestrator:
        notes = _notes(orchestrator, execution_id, step, follow=follow)
        if not as_json:
            _print(notes, paper)
            return
        paper.json(
            [
                {
                    "at": iso(note.at),
                    "step_key": note.step_key,
                    "attempt": note.attempt,
                    "kind": note.kind,
                    "text": note.text,
                    "fraction": note.fraction,
                }
                for note in notes
            ]
        )


def _notes(orchestrator: Orchestrator, execution_id: str, step: str | None, *, follow: bool) -> Iterator[Note]:
    import threading

    from orchestrator.cli.keys import within
    from orchestrator.types import ExecutionId, StepKey

    record = orchestrator.show(execution_id)
    if step is not None and step not in record.steps:
        from orchestrator.cli.keys import meant
        from orchestrator.errors import InputError

        hint = meant(step, record.steps) or f"`orchestrator show {execution_id}` tells how it stands"
        raise InputError(f"execution {execution_id} has begun no step {step!r}; {hint}")
    seen = 0
    while True:
        runs = _runs(orchestrator, execution_id)  # asked before the notes are: what comes after them is not missed
        for note in orchestrator.store.notes(ExecutionId(execution_id), after_sequence=seen):
            seen = max(seen, note.sequence)
            if step is None or within(StepKey(note.step_key), StepKey(step)):
                yield note
        if not follow or not runs:
            return
        threading.Event().wait(_FOLLOW_SECONDS)


def _runs(orchestrator: Orchestrator, execution_id: str) -> bool:
    from orchestrator.journal.store import Query
    from orchestrator.status import ExecutionStatus

    (summary,) = orchestrator.list(Query(execution_id=execution_id))
    return summary.status is ExecutionStatus.RUNNING and not summary.abandoned


def _print(notes: Iterator[Note], paper: Paper) -> None:
    for note in notes:
        paper.lines(_lines(note, paper))
        paper.stream.flush()


def _lines(note: Note, paper: Paper) -> Iterator[str]:
    """Its lines, each with its place, so that no text can pass for the note of another step."""
    from orchestrator.cli.words import clean, time_of_day

    attempt = f" ({note.attempt})" if note.attempt > 1 else ""
    place = paper.dim(f"{time_of_day(note.at)}  {note.step_key}{attempt} |")
    colour = {"progress": "bright_black", "stderr": "yellow"}.get(note.kind)
    text = f"{(note.fraction or 0.0):.0%} {note.text}" if note.kind == "progress" else note.text
    for line in clean(text).split("\n"):
        yield f"{place} {paper.paint(line, colour)}"
