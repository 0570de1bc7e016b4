"""A handler that is waited for in place: it runs in a thread, and the thread of the caller waits for that one."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from orchestrator.errors import HandlerStillRunningError, StepTimeoutError
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure

#: `keep_alive` is called this often.
_ALIVE_SECONDS = 5.0


class _Job:
    """One call, and what comes of it."""

    __slots__ = ("call", "context", "done", "error", "value")

    def __init__(self, call: Callable[[], Any], context: contextvars.Context) -> None:
        self.call, self.context = call, context
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def perform(self) -> None:
        """In the thread: make the call."""
        try:
            value = self.context.run(self.call)
            if inspect.iscoroutine(value):
                value = self.context.run(asyncio.run, value)
            self.value = value
        except BaseException as exc:  # noqa: BLE001 - raised where the attempt is waited for
            self.error = exc
        self.done.set()


class Aside:
    """One daemon thread, which is kept for the next call; one that outlives its call's timeout is given up."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._thread: threading.Thread | None = None

    def wait_for(
        self, attempt: Attempt, call: Callable[[], Any], keep_alive: Callable[[], None], grace_seconds: float
    ) -> Any:
        """Make a call for an attempt and wait for its value.

        Raises what it raised, StepTimeoutError, and HandlerStillRunningError where it outlives its
        timeout by the grace.
        """
        context = contextvars.copy_context()
        context.run(CURRENT_ATTEMPT.set, attempt)
        job, timeout = _Job(call, context), attempt.timeout_seconds
        thread = self._give(job)
        if not _wait(job.done, timeout, keep_alive):
            if not _wait(job.done, grace_seconds, keep_alive):
                self.close()
                raise HandlerStillRunningError(attempt.step_key, f"thread {thread.name}", grace_seconds)
            raise StepTimeoutError(attempt.step_key, timeout or 0.0)
        if job.error is not None:
            raise as_failure(job.error)
        return job.value

    def close(self) -> None:
        """The thread ends after what it does."""
        jobs, self._jobs, self._thread = self._jobs, None, None
        if jobs is not None:
            jobs.put(None)

    def _give(self, job: _Job) -> threading.Thread:
        if self._jobs is None or self._thread is None:
            jobs: SimpleQueue[_Job | None] = SimpleQueue()
            self._jobs = jobs
            self._thread = threading.Thread(
                target=_serve, args=(jobs,), name="orchestrator-handler-in-place", daemon=True
            )
            self._thread.start()
        self._jobs.put(job)
        return self._thread


def _serve(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.perform()
        del job  # what it held is no business of the next wait


def _wait(done: threading.Event, seconds: float | None, keep_alive: Callable[[], None]) -> bool:
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _ALIVE_SECONDS if until is None else min(_ALIVE_SECONDS, until - time.monotonic())
        if done.wait(max(0.0, left)):
            return True
        if until is not None and time.monotonic() >= until:
            return False
        keep_alive()
