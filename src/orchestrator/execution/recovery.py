"""Recovery: what follows when an attempt fails.

There is one retry loop in the house, `attempts`. It decides (count, classify, wait) and asks a driver for everything
else, so that the engine, a durable function and `execute_recovery` take it by `yield from` and none repeats it.

An attempt that was cut off by the death of its engine did not fail: it is made again under the same number and uses
nothing of the retry policy. Engines that die again and again have a limit of their own, `MAX_CLAIMS_WITHOUT_PROGRESS`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random
from typing import Any

from orchestrator.errors import HandlerStillRunningError, IllegalMoveError, StoreError
from orchestrator.execution.driver import Request, Wait
from orchestrator.failure import (
    ErrorCategory,
    ErrorInfo,
    ErrorSeverity,
    RetryConfig,
    classify,
)

__all__ = ["ErrorCategory", "ErrorInfo", "ErrorSeverity", "RetryConfig", "attempts", "classify"]

#: An execution whose engine died this often in a row with nothing achieved in between fails: its step kills engines.
MAX_CLAIMS_WITHOUT_PROGRESS = 10


#: What is no failure of a step: nothing can be recorded any more, or the engine itself is wrong.
ENGINE_FAULTS = (StoreError, IllegalMoveError)


class GaveUp(Exception):
    """The last attempt failed and no further one is allowed."""

    def __init__(self, attempt: int, error: ErrorInfo) -> None:
        self.attempt, self.error = attempt, error
        super().__init__(error.message)


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """How one step is tried. `begin` and `fail` give the requests that record; `describe` turns an exception into data.

    `failed` attempts were made before, in an earlier life of the engine, and the next one is due at `due_at`.
    """

    policy: RetryConfig
    make: Callable[[int], Generator[Request, Any, Any]]
    begin: Callable[[int], Request]
    fail: Callable[[int, ErrorInfo, float], Request]
    describe: Callable[[Exception], ErrorInfo]
    now: Callable[[], float]
    random: Random
    failed: int = 0
    due_at: float | None = None


def attempts(plan: AttemptPlan) -> Generator[Request, Any, tuple[int, Any]]:
    """Try until one attempt succeeds: gives its number and its value. Raises GaveUp where the policy says so.

    A delay that the other side asked for (Retry-After) is obeyed; it may be longer than the policy's own.
    """
    attempt = plan.failed
    if plan.due_at is not None and plan.due_at > plan.now():
        yield Wait(plan.due_at)
    while True:
        attempt += 1
        yield plan.begin(attempt)
        try:
            value = yield from plan.make(attempt)
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # recorded by `fail`, or by the caller of GaveUp
            error = plan.describe(exc)
            if isinstance(exc, HandlerStillRunningError) or not plan.policy.should_retry(error, attempt):
                raise GaveUp(attempt, error) from exc
            delay = plan.policy.get_delay(attempt - 1, plan.random)  # the first wait is the initial delay
            due_at = plan.now() + max(delay, error.retry_after or 0.0)
            yield plan.fail(attempt, error, due_at)
            yield Wait(due_at)
        else:
            return attempt, value
