"""Calling somebody else's step function, sync or async, within a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from orchestrator.clock import Clock
from orchestrator.errors import RecoveryTimeoutError, StepError

T = TypeVar("T")

#: Runs a step: sync, async, or giving an awaitable; called without arguments, or with a step's id where it needs one.
StepExecutor: TypeAlias = Callable[..., Any]


def fits(executor: StepExecutor, *arguments: Any) -> bool:
    """Whether it can be called with these; a function that does not tell its signature can."""
    try:
        inspect.signature(executor).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a built-in one
        return True
    return True


async def call(executor: StepExecutor, *arguments: Any) -> Any:
    """Call it and give its value: an async one here, any other in a thread, which sees a copy of our context.

    A thread cannot be ended: where the caller stops waiting, it runs on to its own end.
    """
    if inspect.iscoroutinefunction(executor) or inspect.iscoroutinefunction(type(executor).__call__):
        return await executor(*arguments)
    value = await asyncio.to_thread(_called, executor, *arguments)
    return await value if inspect.isawaitable(value) else value


def _called(executor: StepExecutor, *arguments: Any) -> Any:
    try:
        return executor(*arguments)
    except StopIteration as exc:  # cannot travel through a future
        raise RuntimeError("the step raised StopIteration") from exc


async def within(
    work: Coroutine[Any, Any, T], clock: Clock, seconds: float | None, stopped: asyncio.Future[None], step_id: str
) -> T:
    """Do the work in a task of its own, until it ends, its time is over, or somebody stops it.

    The task sees none of the exceptions that the caller is handling, which would look like causes of its own. What it
    raises is raised here, a cancellation too. Nothing of it is left when this returns.
    """
    task = asyncio.create_task(work)
    timers = [asyncio.create_task(_sleep(clock, seconds))] if seconds is not None else []
    try:
        ends: list[asyncio.Future[Any]] = [task, stopped, *timers]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if stopped.done():
            raise StepError(f"the recovery of step {step_id!r} was stopped: its manager was shut down")
        raise RecoveryTimeoutError(step_id, seconds or 0.0)
    finally:
        await _end(task, *timers)


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
