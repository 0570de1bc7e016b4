"""Notes in the database: lines numbered per attempt, the oldest ones dropped as new ones come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from orchestrator.journal.store import NOTES_KEPT, Note
from orchestrator.storage.note_buffer import PROGRESS, AttemptKey, AttemptNotes
from orchestrator.storage.sqlite_writer import Writer

_Row: TypeAlias = tuple[Any, ...]


def write_notes(writer: Writer, waiting: Mapping[AttemptKey, AttemptNotes]) -> None:
    """Write what waited, in the order in which it was noted; notes of executions that are not there are dropped."""
    rows: list[tuple[int, _Row]] = []
    for key, notes in waiting.items():
        execution = writer.row("note_execution", {"execution_id": key.execution_id})
        if execution is not None:
            rows += _rows(writer, {"execution": execution[0], "step_key": key.step_key, "attempt": key.attempt}, notes)
    writer.many("add_note", [row for _, row in sorted(rows, key=lambda item: item[0])])


def _rows(writer: Writer, attempt: dict[str, Any], notes: AttemptNotes) -> Iterator[tuple[int, _Row]]:
    """The rows of one attempt, each with its place in the order of arrival; makes room for them first."""
    last = writer.row("last_line", attempt)
    last_line = int(last[0]) if last else 0
    line = last_line + notes.dropped
    surplus = line + len(notes.lines) - NOTES_KEPT
    if notes.lines and surplus > 0:
        _drop_lines(writer, {**attempt, "line": surplus})
        if surplus >= last_line:
            notes.dropped = line
    place = tuple(attempt.values())
    for note, dropped in notes.rows():
        is_line = note.kind != PROGRESS
        line += is_line
        yield note.sequence, (*place, line * is_line, note.kind, note.at, note.text, note.fraction, dropped)


def _drop_lines(writer: Writer, up_to: dict[str, Any]) -> None:
    writer.run("drop_lines", up_to)
    writer.run("mark_dropped", up_to)


def notes_of(rows: Iterable[_Row]) -> Iterator[tuple[Note, int]]:
    """The rows of the query `notes` as notes, each with the number of lines that are missing before it."""
    for sequence, step_key, attempt, kind, at, text, fraction, dropped in rows:
        yield Note(step_key, attempt, at, kind, text, fraction, sequence), dropped
