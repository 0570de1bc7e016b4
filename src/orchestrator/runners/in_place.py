"""A handler that is waited for in place: it runs in a thread, and the thread of the caller waits for that one."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

from orchestrator.errors import HandlerStillRunningError, StepTimeoutError
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure

#: `keep_alive` is called this often.
_ALIVE_SECONDS = 5.0


def wait_in_place(
    attempt: Attempt, call: Callable[[], Any], keep_alive: Callable[[], None], grace_seconds: float
) -> Any:
    """Make a call for an attempt and wait for its value. Raises what it raised, StepTimeoutError, and
    HandlerStillRunningError where it outlives its timeout by the grace.
    """
    done = threading.Event()
    came: list[tuple[Any, BaseException | None]] = []
    context = contextvars.copy_context()
    context.run(CURRENT_ATTEMPT.set, attempt)

    def body() -> None:
        try:
            value = context.run(call)
            if inspect.iscoroutine(value):
                value = context.run(asyncio.run, value)
            came.append((value, None))
        except BaseException as exc:  # noqa: BLE001 - raised where the attempt is waited for
            came.append((None, exc))
        done.set()

    thread = threading.Thread(target=body, name="orchestrator-handler-in-place", daemon=True)
    thread.start()
    timeout = attempt.timeout_seconds
    if not _wait(done, timeout, keep_alive):
        if not _wait(done, grace_seconds, keep_alive):
            raise HandlerStillRunningError(attempt.step_key, f"thread {thread.name}", grace_seconds)
        raise StepTimeoutError(attempt.step_key, timeout or 0.0)
    value, error = came[0]
    if error is not None:
        raise as_failure(error)
    return value


def _wait(done: threading.Event, seconds: float | None, keep_alive: Callable[[], None]) -> bool:
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _ALIVE_SECONDS if until is None else min(_ALIVE_SECONDS, until - time.monotonic())
        if done.wait(max(0.0, left)):
            return True
        if until is not None and time.monotonic() >= until:
            return False
        keep_alive()
