"""A clock that a test moves, or that jumps by itself to the next thing anybody waits for."""

from __future__ import annotations

import asyncio
import heapq
import itertools

#: Passes of the loop without a new sleeper after which everybody counts as waiting.
_IDLE_PASSES = 20


class FakeClock:
    """A `Clock` whose time stands still until it is moved.

    With `jumping` (the default) it goes to the next sleeper's time as soon as the loop has nothing else to do, so that
    a week's wait takes no time. Otherwise `advance` moves it. For one event loop at a time.
    """

    def __init__(self, start: float = 1_800_000_000.0, *, jumping: bool = True) -> None:
        self._now = start
        self._jumping = jumping
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._arrivals = 0

    def time(self) -> float:
        """Seconds since the Unix epoch, as far as the test is concerned."""
        return self._now

    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved that far."""
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        self._arrivals += 1
        if self._jumping:
            loop.call_soon(self._look, loop, self._arrivals, _IDLE_PASSES)
        await woken

    def advance(self, seconds: float) -> None:
        """Move the clock and wake whoever waited for a time up to then, in order."""
        until = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            self._wake_first()
        self._now = until

    def _look(self, loop: asyncio.AbstractEventLoop, arrivals: int, passes: int) -> None:
        if arrivals != self._arrivals or not self._sleepers:
            return
        if passes:
            loop.call_soon(self._look, loop, arrivals, passes - 1)
            return
        self._wake_first()
        if self._sleepers:
            loop.call_soon(self._look, loop, arrivals, _IDLE_PASSES)

    def _wake_first(self) -> None:
        due, _, woken = heapq.heappop(self._sleepers)
        self._now = max(self._now, due)
        if not woken.done():
            woken.set_result(None)
