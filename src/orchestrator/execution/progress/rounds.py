"""Rounds: events on their way to the handlers, and what verbs wait for."""

from __future__ import annotations

import threading
from collections import deque

from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.listeners import Listener


class Round:
    """One event on its way: who is still to get it, and a lock that is released when all have got it or left."""

    __slots__ = ("event", "over", "rest")

    def __init__(self, event: ProgressEvent, listeners: tuple[Listener, ...]) -> None:
        self.event, self.rest = event, deque(listeners)
        self.over = threading.Lock()
        self.over.acquire()


class Rounds:
    """Those that are not over, oldest first. The lock of their `Fanout` guards them."""

    def __init__(self) -> None:
        self._rounds: deque[Round] = deque()

    def __bool__(self) -> bool:
        return bool(self._rounds)

    @property
    def first(self) -> Round:
        """The one that is under way."""
        return self._rounds[0]

    @property
    def last(self) -> Round | None:
        """The latest one; None where all are over."""
        return self._rounds[-1] if self._rounds else None

    def add(self, round: Round) -> None:
        """Another one, after all others."""
        self._rounds.append(round)

    def end_first(self) -> None:
        """The first one has come round."""
        self._rounds.popleft().over.release()

    def drop(self, kept: int = 0) -> int:
        """End the oldest ones before all have got them; gives how many times a listener was due and gets nothing."""
        dropped = 0
        while len(self._rounds) > kept:
            rest = self.first.rest
            for listener in rest:
                listener.dropped += 1
            dropped += len(rest)
            self.end_first()
        return dropped
