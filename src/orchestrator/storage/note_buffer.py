"""Notes on their way to a store, bounded in every direction.

A step may print a gigabyte. What is kept of an attempt is its newest lines and its newest progress, so more than that
need not even wait: lines are dropped here already, oldest first, and counted, and the count is shown as one line. A
note that waits costs no write of its own: it rides in the next commit, or goes with a write that is due once a second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from orchestrator.clock import Clock
from orchestrator.journal.store import NOTES_KEPT, Note
from orchestrator.types import ExecutionId

#: A longer line is cut.
LINE_CHARACTERS = 4096
#: Lines that wait in memory, over all attempts.
LINES_WAITING = 20_000
#: Notes wait this long for a commit to ride in.
WAIT_SECONDS = 1.0
#: The kind of which only the newest note of an attempt is kept.
PROGRESS = "progress"


class AttemptKey(NamedTuple):
    """Whose notes they are."""

    execution_id: ExecutionId
    step_key: str
    attempt: int


@dataclass(slots=True)
class AttemptNotes:
    """What is kept of one attempt: its newest lines, how many older ones were dropped, its newest progress."""

    lines: deque[Note] = field(default_factory=deque)
    dropped: int = 0
    progress: Note | None = None

    def add(self, note: Note) -> None:
        """Keep a note, at the cost of the oldest line where there are too many."""
        if note.kind == PROGRESS:
            self.progress = note
            return
        self.lines.append(note)
        if len(self.lines) > NOTES_KEPT:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Give up the oldest line, and count it."""
        self.lines.popleft()
        self.dropped += 1

    def rows(self) -> Iterator[tuple[Note, int]]:
        """Each note with the number of lines that were dropped just before it."""
        for index, line in enumerate(self.lines):
            yield line, 0 if index else self.dropped
        if self.progress is not None:
            yield self.progress, 0


class NoteBuffer:
    """The notes that wait to be written. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: dict[AttemptKey, AttemptNotes] = {}
        self._arrivals = 0
        self._lines = 0
        self._oldest_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._attempts)

    def add(self, execution_id: ExecutionId, notes: Sequence[Note]) -> None:
        """Queue notes of one execution, in order; their `sequence` becomes the order of arrival over all."""
        with self._lock:
            if not self._attempts:
                self._oldest_at = self._clock.monotonic()
            for note in notes:
                self._arrivals += 1
                self._add(AttemptKey(execution_id, note.step_key, note.attempt), kept_form(note, self._arrivals))

    def _add(self, key: AttemptKey, note: Note) -> None:
        kept = self._attempts.setdefault(key, AttemptNotes())
        before = len(kept.lines)
        kept.add(note)
        if self._lines + len(kept.lines) - before > LINES_WAITING:
            kept.drop_oldest()
        self._lines += len(kept.lines) - before

    def due(self) -> bool:
        """Whether notes have waited long enough to be written on their own."""
        return bool(self._attempts) and self._clock.monotonic() - self._oldest_at >= WAIT_SECONDS

    def take(self) -> dict[AttemptKey, AttemptNotes]:
        """All that waits; the caller writes it."""
        with self._lock:
            taken, self._attempts, self._lines = self._attempts, {}, 0
            return taken


def with_gaps(rows: Iterable[tuple[Note, int]]) -> Iterator[Note]:
    """The notes; a number of lines that were dropped just before one becomes a line of its own."""
    for note, dropped in rows:
        if dropped:
            yield replace(note, kind="log", text=f"… {dropped} lines dropped", fraction=None)
        yield note


def kept_form(note: Note, sequence: int) -> Note:
    """The note as it is kept: in its place, its text bounded and of characters that UTF-8 has bytes for."""
    text = note.text if len(note.text) <= LINE_CHARACTERS else note.text[: LINE_CHARACTERS - 1] + "…"
    return replace(note, text=storable(text), sequence=sequence)


def storable(text: str) -> str:
    """The text, with lone surrogates (from file names, mostly) written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
