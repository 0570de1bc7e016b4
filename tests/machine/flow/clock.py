"""A clock that jumps to the next time anybody waits for, once everything else has come to rest.

As `orchestrator.testing.clock.FakeClock`, but with far more patience: a deadline passes because nothing came before it,
not because a handler took a few passes of the loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools

#: Passes of the loop without a new sleeper after which everybody counts as waiting.
_IDLE_PASSES = 150


class PatientClock:
    """A `Clock` for one event loop at a time, whose time stands still while anything happens."""

    def __init__(self, start: float) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._arrivals = 0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has come that far."""
        if seconds > 0:
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
            self._look_again(loop)
            await woken

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._arrivals += 1
        loop.call_soon(self._look, loop, self._arrivals, _IDLE_PASSES)

    def _look(self, loop: asyncio.AbstractEventLoop, arrivals: int, passes: int) -> None:
        if arrivals != self._arrivals:
            return
        if passes:
            loop.call_soon(self._look, loop, arrivals, passes - 1)
            return
        while self._sleepers and self._sleepers[0][2].done():  # it was cancelled
            heapq.heappop(self._sleepers)
        if self._sleepers:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            woken.set_result(None)
            self._look_again(loop)
