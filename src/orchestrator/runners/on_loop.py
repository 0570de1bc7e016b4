"""Async handlers: each attempt is a task of its own on the running loop, in a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure, is_ctrl_c
from orchestrator.runners.supervise import Reins, supervise


async def call_on_loop(
    attempt: Attempt,
    handler: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    grace_seconds: float,
    running: set[asyncio.Task[Any]],
) -> Any:
    """Await `handler(**arguments)`; the task stands in `running` for as long as it runs."""
    context = contextvars.copy_context()
    context.run(CURRENT_ATTEMPT.set, attempt)
    task = asyncio.get_running_loop().create_task(_contained(handler, arguments), context=context)
    running.add(task)
    task.add_done_callback(running.discard)
    reins = Reins(task, task.cancel, None, grace_seconds, lambda: "a task on the event loop")
    try:
        await supervise(task, reins, step_key=attempt.step_key, timeout_seconds=attempt.timeout_seconds)
    except BaseException:
        task.add_done_callback(_look_at)
        raise
    if task.cancelled():
        raise as_failure(asyncio.CancelledError("without having been asked to"))
    error = task.exception()
    if error is not None:
        raise as_failure(error)
    return task.result()


async def _contained(handler: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """The handler's coroutine, kept from ending the loop with SystemExit, and from going on in a fork of the engine."""
    engine = os.getpid()
    try:
        return await handler(**arguments)
    except (SystemExit, KeyboardInterrupt) as exc:
        if is_ctrl_c(exc):
            raise
        raise as_failure(exc) from exc
    finally:
        if os.getpid() != engine:
            os._exit(0)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Nobody waits for the outcome any more; to asyncio it counts as seen."""
    if not task.cancelled():
        task.exception()
