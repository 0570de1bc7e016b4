"""A clock that a test moves, or that jumps by itself to the next thing anybody waits for.

It jumps when nothing else is to be done: the loop has nothing ready, no handler is at work (on the loop, in a thread,
in a process), and no job of a pool of threads is (`testing.at_work`). What is at work for longer than the clock's
patience holds nothing up any more, so that a handler which never ends can meet its deadline.

Real are only the waits that are no waits of the engine: what a handler sleeps by itself, and the `timeout` of an
attempt, which counts the seconds that its handler really takes, whatever this clock does meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from weakref import WeakKeyDictionary

from orchestrator.clock import utc
from orchestrator.execution.driver import CURRENT_ATTEMPT, Runner
from orchestrator.testing.at_work import AtWork, WatchedRunner

#: Passes of the loop without a new sleeper after which everybody counts as waiting.
_IDLE_PASSES = 20
#: How often what is at work is looked at, in real seconds.
_LOOK_SECONDS = 0.002

#: When somebody is woken, in which order among those of the same time, and how.
_Sleeper: TypeAlias = tuple[float, int, "asyncio.Future[None]"]


class FakeClock:
    """A `Clock` whose time stands still until it is moved.

    With `jumping` (the default) it goes to the next sleeper's time as soon as nothing else is to be done, so that a
    week's wait takes no time. Otherwise `advance` moves it. It begins at `start`: seconds since the epoch, or a
    datetime (UTC, where that says nothing else). What is at work holds a jump up for at most `patience_seconds` real
    seconds. Several event loops, each in its thread, may share one.
    """

    def __init__(
        self, start: float | datetime = 1_800_000_000.0, *, jumping: bool = True, patience_seconds: float = 5.0
    ) -> None:
        self._now = _seconds(start)
        self._jumping = jumping
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)
        self._sleepers: list[_Sleeper] = []
        self._order = itertools.count()
        self._looks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Look] = WeakKeyDictionary()
        self._at_work = AtWork(patience_seconds)
        self._holds = 0

    def time(self) -> float:
        """Seconds since the Unix epoch, as far as the test is concerned."""
        return self._now

    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    def now(self) -> datetime:
        """The same moment as a datetime, UTC."""
        return utc(self._now)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved that far. A handler that waits here is not at work meanwhile."""
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        with self._lock:
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
            look = self._looks.get(loop) or self._looks.setdefault(loop, _Look(self, loop))
        if self._jumping:
            look.begin()
        with self._at_work.asleep(CURRENT_ATTEMPT.get()):
            await woken

    def block(self, seconds: float) -> None:
        """Hold up this thread for so long: not at all where the clock jumps, else until another thread has moved it."""
        if self._jumping:
            self.advance(max(0.0, seconds))
            return
        with self._moved:
            until = self._now + seconds
            self._moved.wait_for(lambda: self._now >= until)

    def advance(self, seconds: float | timedelta) -> None:
        """Move the clock and wake whoever waited for a time up to then, in order. May be called from any thread."""
        by = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if by < 0:
            raise ValueError("a clock that goes back would wake nobody: seconds is below 0")
        with self._lock:
            until = self._now + by
            while (due := self._next_due()) is not None and due <= until:
                self._wake_first()
            self._now = until
            self._moved.notify_all()

    def watching(self, runner: Runner) -> Runner:
        """The runner, whose attempts hold the jumps up. An `Orchestrator` with this clock asks for it by itself."""
        return WatchedRunner(runner, self._at_work)

    @contextmanager
    def held(self) -> Iterator[None]:
        """In the block the clock does not jump."""
        with self._lock:
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1

    # -- jumps -------------------------------------------------------------------------------------------------------

    def _next_due(self) -> float | None:
        """When the first who still waits is to be woken. Of who does not wait any more nothing is kept."""
        while self._sleepers and _is_gone(self._sleepers[0][2]):
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake_first(self) -> None:
        due, _, woken = heapq.heappop(self._sleepers)
        self._now = max(self._now, due)
        loop = woken.get_loop()
        if loop is _running_loop():
            _wake(woken)
        else:
            loop.call_soon_threadsafe(_wake, woken)

    def _is_held(self) -> bool:
        return self._holds > 0 or self._at_work.is_any()

    def _waits(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether anybody waits on that loop."""
        with self._lock:
            return any(woken.get_loop() is loop and not woken.done() for _, _, woken in self._sleepers)

    def _jump(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Wake the first sleeper where it waits on that loop: each loop wakes its own, when it is idle."""
        with self._lock:
            if self._next_due() is None or self._sleepers[0][2].get_loop() is not loop:
                return False
            self._wake_first()
            return True


class _Look:
    """Looks at one loop until nobody waits there: where that has nothing else to do, the clock may jump."""

    def __init__(self, clock: FakeClock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock, self._loop = clock, loop
        self._passes = 0
        self._looks = False

    def begin(self) -> None:
        """Somebody waits from now on."""
        self._passes = _IDLE_PASSES
        if not self._looks:
            self._looks = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._passes:
            self._passes -= 1
            self._loop.call_soon(self._look)
        elif not self._clock._waits(self._loop):
            self._looks = False
        else:
            self._passes = _IDLE_PASSES
            if not self._clock._is_held() and self._clock._jump(self._loop):
                self._loop.call_soon(self._look)
            else:
                self._loop.call_later(_LOOK_SECONDS, self._look)


def _seconds(start: float | datetime) -> float:
    if not isinstance(start, datetime):
        return start
    return (start if start.tzinfo is not None else start.replace(tzinfo=UTC)).timestamp()


def _is_gone(woken: asyncio.Future[None]) -> bool:
    """Whether it waits no more: cancelled, or its loop was closed under it."""
    return woken.done() or woken.get_loop().is_closed()


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
