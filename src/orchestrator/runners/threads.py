"""Plain handlers: a small pool of daemon threads.

Not `concurrent.futures`: its threads are joined at exit, so that one stuck handler keeps the program from ending, and
a round trip through it and `asyncio.wrap_future` costs three times as much. Here a job goes over a SimpleQueue and
its outcome comes back by one `call_soon_threadsafe`. A job is queued only when a thread is free for it, so that an
attempt's timeout counts from its start. All bookkeeping is done on the loop's thread; there is no lock.

A thread cannot be ended. One whose handler outlives its timeout and the grace after it is given up: the pool may start
another in its place, and takes it back should its handler ever end.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any

from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure
from orchestrator.runners.supervise import Outcome, Reins


class _Job:
    """One call on its way through the pool. `settle` is called on the loop when it has ended."""

    __slots__ = ("_error", "_gone", "_settle", "_value", "context", "ended", "function", "loop", "thread")

    def __init__(
        self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop, settle: Callable[[_Job], None]
    ) -> None:
        self.function, self.loop, self._settle = function, loop, settle
        self.context = contextvars.copy_context()
        #: Whether the loop knows that it has ended.
        self.ended = False
        self._gone: asyncio.Future[None] | None = None
        self.thread: threading.Thread | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    def perform(self) -> None:
        """In the thread: make the call and keep what comes of it."""
        engine = os.getpid()
        self.thread = threading.current_thread()
        try:
            self._value = self.context.run(self.function)
        except BaseException as exc:  # noqa: BLE001 - raised where the attempt is awaited
            self._error = exc
        if os.getpid() != engine:  # the handler forked, and this is the fork coming back from it
            os._exit(0)

    def reins(self, patience_seconds: float) -> Reins:
        """How to end it: a thread can only be waited for."""
        if self._gone is None:
            self._gone = self.loop.create_future()
            if self.ended:
                self._gone.set_result(None)
        return Reins(self._gone, _nothing, None, patience_seconds, self._where, how=self._how)

    def end(self) -> None:
        """On the loop: the call has ended."""
        self.ended = True
        if self._gone is not None:
            self._gone.set_result(None)
        self._settle(self)

    def _where(self) -> str:
        return f"thread {self.thread.name}" if self.thread else "a thread"

    def _how(self, seconds: float) -> str:
        return f"{self._where()} came to its end by itself {seconds:.1f} s later; what it gave was refused"

    def take(self) -> tuple[Any, BaseException | None]:
        """What came of the call: a value or an error. May be asked once, so that an idle pool holds on to nothing."""
        value, error = self._value, self._error
        self._value = self._error = None
        return value, error


class ThreadPool:
    """Runs plain functions in at most `max_threads` daemon threads, which are made when they are needed."""

    def __init__(self, max_threads: int, name: str) -> None:
        self._free = max_threads
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished: set[_Job] = set()
        #: Calls that wait for a place, in order, and what begins them.
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[], None]]] = deque()

    def call(
        self,
        attempt: Attempt,
        function: Callable[[], Any],
        *,
        on_coroutine: Callable[[Attempt, Coroutine[Any, Any, Any]], asyncio.Future[Any]],
        grace_seconds: float,
    ) -> Outcome:
        """Make the call for an attempt, whose timeout and cancellation hold for it.

        Where it gives a coroutine, what `on_coroutine` makes of that is the rest of it.
        """
        loop = asyncio.get_running_loop()

        def settle(job: _Job) -> None:
            value, error = job.take()
            if inspect.iscoroutine(value):
                outcome.go_on_as(on_coroutine(attempt, value))
            else:
                outcome.settle(value, error)

        job = _Job(function, loop, settle)
        job.context.run(CURRENT_ATTEMPT.set, attempt)
        outcome = Outcome(attempt, lambda: job.reins(grace_seconds), loop)

        def begin() -> None:
            outcome.begin()
            self._start(job)

        self._when_free(outcome, begin)
        return outcome

    async def run(self, function: Callable[[], Any]) -> Any:
        """Make a short call of the house's own; cancelling it does not end it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def settle(job: _Job) -> None:
            value, error = job.take()
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(as_failure(error))
            else:
                done.set_result(value)

        job = _Job(function, loop, settle)
        job.context.run(CURRENT_ATTEMPT.set, None)
        self._when_free(done, lambda: self._start(job))
        return await done

    def close(self) -> None:
        """End the threads, and wait for the end of those that can."""
        stuck = {job.thread for job in self._unfinished}
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread not in stuck:
                thread.join()
        self._threads.clear()

    def _when_free(self, done: asyncio.Future[Any], begin: Callable[[], None]) -> None:
        """Begin when there is a place, which is free again when `done` is: also where a thread was given up."""
        if self._free:
            self._free -= 1
            done.add_done_callback(self._next)
            begin()
        else:
            self._waiting.append((done, begin))

    def _next(self, _done: asyncio.Future[Any]) -> None:
        self._free += 1
        while self._waiting and self._free:
            done, begin = self._waiting.popleft()
            if not done.done():  # else it was cancelled before it began
                self._when_free(done, begin)

    def _start(self, job: _Job) -> None:
        self._unfinished.add(job)
        if len(self._unfinished) > len(self._threads):
            name = f"{self._name}-{len(self._threads) + 1}"
            thread = threading.Thread(target=_work, args=(self._jobs, self._ended), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def _ended(self, job: _Job) -> None:
        """On the loop: the call has ended."""
        self._unfinished.discard(job)
        job.end()


def _work(jobs: SimpleQueue[_Job | None], ended: Callable[[_Job], None]) -> None:
    """The life of a thread."""
    while (job := jobs.get()) is not None:
        job.perform()
        with contextlib.suppress(RuntimeError):  # a given-up handler ended after its loop was closed
            job.loop.call_soon_threadsafe(ended, job)
        del job


def _nothing() -> None:
    """All that can be done to end a thread."""
