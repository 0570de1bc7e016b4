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
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure
from orchestrator.runners.supervise import Reins, supervise


class _Job:
    """One call on its way through the pool."""

    __slots__ = ("_error", "_value", "context", "done", "function", "loop", "thread")

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.function, self.loop = function, loop
        self.context = contextvars.copy_context()
        self.done: asyncio.Future[None] = loop.create_future()
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

    def settle(self) -> None:
        """On the loop: the call has ended."""
        self.done.set_result(None)

    def where(self) -> str:
        """The thread, for messages."""
        return f"thread {self.thread.name}" if self.thread else "a thread"

    def result(self) -> Any:
        """What came of the call; may be asked once, so that an idle pool holds on to nothing."""
        value, error = self._value, self._error
        self._value = self._error = None
        if error is not None:
            raise as_failure(error)
        return value


class ThreadPool:
    """Runs plain functions in at most `max_threads` daemon threads, which are made when they are needed."""

    def __init__(self, max_threads: int, name: str) -> None:
        self._slots = asyncio.Semaphore(max_threads)
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished: set[_Job] = set()

    async def call(self, attempt: Attempt, function: Callable[[], Any], *, grace_seconds: float) -> Any:
        """Make the call for an attempt, whose timeout and cancellation hold for it."""
        async with self._slots:
            job = self._start(function, attempt)
            reins = Reins(job.done, _nothing, None, grace_seconds, job.where)
            await supervise(job.done, reins, step_key=attempt.step_key, timeout_seconds=attempt.timeout_seconds)
            return job.result()

    async def run(self, function: Callable[[], Any]) -> Any:
        """Make a short call of the house's own; cancelling it does not end it."""
        async with self._slots:
            job = self._start(function, None)
            await asyncio.wait({job.done})
            return job.result()

    def close(self) -> None:
        """End the threads, and wait for the end of those that can."""
        stuck = {job.thread for job in self._unfinished}
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread not in stuck:
                thread.join()
        self._threads.clear()

    def _start(self, function: Callable[[], Any], attempt: Attempt | None) -> _Job:
        job = _Job(function, asyncio.get_running_loop())
        job.context.run(CURRENT_ATTEMPT.set, attempt)
        self._unfinished.add(job)
        job.done.add_done_callback(lambda _: self._unfinished.discard(job))
        if len(self._unfinished) > len(self._threads):
            name = f"{self._name}-{len(self._threads) + 1}"
            thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        return job


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    """The life of a thread."""
    while (job := jobs.get()) is not None:
        job.perform()
        with contextlib.suppress(RuntimeError):  # a given-up handler ended after its loop was closed
            job.loop.call_soon_threadsafe(job.settle)
        del job


def _nothing() -> None:
    """All that can be done to end a thread."""
