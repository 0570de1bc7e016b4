"""Async handlers: each attempt is a task of its own on the running loop, in a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.runners.handler_errors import as_failure, is_ctrl_c
from orchestrator.runners.supervise import Outcome, Reins


def call_on_loop(
    attempt: Attempt,
    handler: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    grace_seconds: float,
    running: set[asyncio.Task[Any]],
) -> asyncio.Future[Any]:
    """Begin `handler(**arguments)`: the future of its value. The task stands in `running` for as long as it runs."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    context.run(CURRENT_ATTEMPT.set, attempt)
    task = loop.create_task(_contained(handler, arguments), context=context)
    running.add(task)

    def reins() -> Reins:
        return Reins(task, task.cancel, None, grace_seconds, lambda: "a task on the event loop", task.cancel)

    outcome = Outcome(attempt, reins, loop)
    outcome.begin()

    def settle(task: asyncio.Task[Any]) -> None:
        running.discard(task)
        if task.cancelled():
            outcome.settle(None, asyncio.CancelledError("without having been asked to"))
        elif (error := task.exception()) is not None:
            outcome.settle(None, error)
        else:
            outcome.settle(task.result(), None)

    task.add_done_callback(settle)
    return outcome


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
