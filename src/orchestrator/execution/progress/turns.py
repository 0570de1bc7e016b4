"""Turns: of the verbs about one step, one at a time looks at the record and has its move recorded.

The look and the move belong together, as under a lock. But a context calls handlers before its verb returns, and a
handler may wait for a thread that wants the same step. So a turn is over as soon as the record shows the move, and at
the latest when its verb returns; no handler runs within one. Those who wait look at the record every millisecond:
nobody could wake them, since whoever tells of a move does so among the handlers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from orchestrator.status import ExecutionStatus, StepStatus

#: Where a step, or the execution, stands, and in which round of it.
Standing: TypeAlias = tuple[StepStatus | ExecutionStatus, int]

LOOK_SECONDS = 0.001


class Turns:
    """Who moves what, by the id of a step; None is the execution. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str | None, _Turn] = {}

    @contextmanager
    def take(self, key: str | None, stands: Callable[[], Standing]) -> Iterator[None]:
        """Wait for the turn, which the block has. `stands` tells how the record shows it; takes no lock."""
        turn = self._wait(key, stands)
        try:
            yield
        finally:
            self._end(key, turn)

    def _wait(self, key: str | None, stands: Callable[[], Standing]) -> _Turn:
        while True:
            with self._lock:
                now, other = stands(), self._taken.get(key)
                if other is None or other.is_over(now):
                    turn = self._taken[key] = _Turn(now)
                    return turn
            other.wait()

    def _end(self, key: str | None, turn: _Turn) -> None:
        with self._lock:
            if self._taken.get(key) is turn:
                del self._taken[key]
        turn.returned.release()


class _Turn:
    """One turn: whose it is, and how things stood when it began."""

    __slots__ = ("before", "returned", "thread")

    def __init__(self, before: Standing) -> None:
        self.before, self.thread = before, threading.get_ident()
        self.returned = threading.Lock()
        self.returned.acquire()

    def is_over(self, now: Standing) -> bool:
        """Whether its move is recorded: the record shows it, or this is a handler that is told of it.

        PENDING with another round is a record that is being changed right now.
        """
        moved = now != self.before and now[0] != StepStatus.PENDING
        return moved or self.thread == threading.get_ident()

    def wait(self) -> None:
        """Until its verb returned, but not for long."""
        if self.returned.acquire(timeout=LOOK_SECONDS):
            self.returned.release()
