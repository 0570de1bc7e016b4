"""The notes of one attempt on their way to the engine: in order, at most a bounded number each tick.

What a child writes can be more than anybody wants to see. Notes wait here for up to `TICK_SECONDS` and leave together;
of what comes within a tick the newest `LINES_KEPT` survive, and one note says how many were left out. While that
happens, a tick lasts `FLOOD_TICK_SECONDS`. Of progress, and of a line that is overwritten again and again, only the
newest of a tick is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from orchestrator.clock import Clock
from orchestrator.execution.driver import Attempt
from orchestrator.failure import scrub
from orchestrator.journal.store import Note
from orchestrator.runners.lines import LINES_KEPT, Lines

TICK_SECONDS = 0.05
FLOOD_TICK_SECONDS = 0.5


class NoteFunnel:
    """Takes lines and progress of one attempt on the loop's thread, and emits them as notes."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt, self._clock = attempt, clock
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Note] = deque(maxlen=LINES_KEPT)
        self._live: dict[str, Note] = {}
        self._left_out = 0
        self._tick_seconds = TICK_SECONDS
        self._tick: asyncio.TimerHandle | None = None

    def lines(self, kind: str, lines: Lines) -> None:
        """Output lines of a stream."""
        self._left_out += lines.left_out
        self.texts(kind, lines.lines)
        if lines.live is not None:
            self._keep_newest(self.note(kind, lines.live))

    def texts(self, kind: str, texts: Iterable[str]) -> None:
        """Lines of one kind."""
        for text in texts:
            self._live.pop(kind, None)
            self._left_out += len(self._waiting) == LINES_KEPT
            self._waiting.append(self.note(kind, text))
        self._schedule()

    def progress(self, fraction: float, text: str) -> None:
        """How far the attempt is."""
        self._keep_newest(self.note("progress", text, min(1.0, max(0.0, fraction))))

    def flush(self) -> None:
        """Emit what waits."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._tick_seconds = FLOOD_TICK_SECONDS if self._left_out else TICK_SECONDS
        if self._left_out:
            self._attempt.emit(self.note("log", f"… {self._left_out:,} lines of output left out"))
            self._left_out = 0
        for note in (*self._waiting, *self._live.values()):
            self._attempt.emit(note)
        self._waiting.clear()
        self._live.clear()

    def note(self, kind: str, text: str, fraction: float | None = None) -> Note:
        """A note of this attempt, made now, without what looks like a credential."""
        attempt = self._attempt
        return Note(attempt.step_key, attempt.attempt, self._clock.time(), kind, scrub(text), fraction)

    def _keep_newest(self, note: Note) -> None:
        self._live[note.kind] = note
        self._schedule()

    def _schedule(self) -> None:
        if self._tick is None and (self._waiting or self._live or self._left_out):
            self._tick = self._loop.call_later(self._tick_seconds, self.flush)
