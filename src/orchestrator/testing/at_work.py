"""What is at work, as far as that can be known: what a clock that jumps must not jump over.

Attempts are known from their runner. Jobs of a `concurrent.futures` pool (`asyncio.to_thread`, `run_in_executor`) are
known from the frames of its threads: one that waits for a job stands in the pool's own function. A thread that was
started otherwise is not known.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import thread as pool
from contextlib import contextmanager
from typing import Any, TypeAlias

from orchestrator.clock import SystemClock
from orchestrator.execution.driver import Attempt, Runner

#: What an attempt is known by, whatever stands for its work.
_Id: TypeAlias = tuple[str, str, int, int]

#: The function in which a thread of a pool waits for its next job.
_WAITS_IN = getattr(getattr(pool, "_worker", None), "__code__", None)


class AtWork:
    """Attempts and jobs that are under way. What takes longer than `patience_seconds` (real ones) does not count."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._real = SystemClock()
        self._lock = threading.Lock()
        self._since: dict[_Id, float] = {}
        self._asleep: set[_Id] = set()
        #: When a thread of a pool was first seen at its job.
        self._threads: dict[int, float] = {}

    def begin(self, attempt: Attempt) -> None:
        """An attempt is at work from now on."""
        with self._lock:
            self._since[_id(attempt)] = self._real.monotonic()

    def end(self, attempt: Attempt) -> None:
        """It is over."""
        with self._lock:
            self._since.pop(_id(attempt), None)
            self._asleep.discard(_id(attempt))

    @contextmanager
    def asleep(self, attempt: Attempt | None) -> Iterator[None]:
        """Within the block it waits for the clock itself, and is not at work; it has all of its time again then."""
        if attempt is None or _id(attempt) not in self._since:
            yield
            return
        self._asleep.add(_id(attempt))
        try:
            yield
        finally:
            self._asleep.discard(_id(attempt))
            if _id(attempt) in self._since:
                self.begin(attempt)

    def is_any(self) -> bool:
        """Whether anything is at work."""
        now = self._real.monotonic()
        with self._lock:
            busy = busy_threads()
            self._threads = {ident: self._threads.get(ident, now) for ident in busy}
            since = [began for number, began in self._since.items() if number not in self._asleep]
            return any(now - began < self._patience_seconds for began in (*since, *self._threads.values()))


def _id(attempt: Attempt) -> _Id:
    return attempt.execution_id, attempt.step_key, attempt.generation, attempt.attempt


class WatchedRunner:
    """A runner of which is known what is at work."""

    def __init__(self, runner: Runner, at_work: AtWork) -> None:
        self._runner, self._at_work = runner, at_work

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Run the attempt's work, which is at work until its outcome is known."""
        self._at_work.begin(attempt)
        try:
            running = asyncio.ensure_future(self._runner.invoke(attempt))
        except BaseException:
            self._at_work.end(attempt)
            raise
        running.add_done_callback(lambda _: self._at_work.end(attempt))
        return running

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """Run it and wait for it: the loop does nothing else meanwhile."""
        return self._runner.perform(attempt, keep_alive)

    def interrupt(self) -> None:
        """Ask everything that runs in processes to end."""
        self._runner.interrupt()

    async def close(self) -> None:
        """End whatever is left."""
        await self._runner.close()


def busy_threads() -> set[int]:
    """The threads of pools that are at a job."""
    found = set()
    for ident, innermost in sys._current_frames().items():
        frame = None if innermost.f_code is _WAITS_IN else innermost
        while frame is not None:
            if frame.f_code is _WAITS_IN:
                found.add(ident)
                break
            frame = frame.f_back
    return found
