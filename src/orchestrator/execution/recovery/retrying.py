"""The one retry loop in the house.

It decides (count, classify, wait) and asks a driver for everything else, so that the engine, a durable function and
`execute_recovery` take it by `yield from` and none repeats it.

An attempt that was cut off by the death of its engine did not fail: it is made again under the same number and uses
nothing of the retry policy. Engines that die again and again have a limit of their own, `MAX_CLAIMS_WITHOUT_PROGRESS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

from orchestrator.errors import HandlerStillRunningError, IllegalMoveError, RecoveryTimeoutError, StoreError
from orchestrator.execution.driver import Wait
from orchestrator.execution.recovery.plan import RETRIES, RecoveryPlan, RecoveryStrategy, fail_fast
from orchestrator.failure import ErrorInfo

R = TypeVar("R")

#: An execution whose engine died this often in a row with nothing achieved in between fails: its step kills engines.
MAX_CLAIMS_WITHOUT_PROGRESS = 10

#: What is no failure of a step: nothing can be recorded any more, or the engine itself is wrong.
ENGINE_FAULTS = (StoreError, IllegalMoveError)

#: What runs a step again, which must not happen while an attempt of it still runs.
_RUNS_IT_AGAIN = RETRIES | {RecoveryStrategy.ROLLBACK}


class GaveUp(Exception):
    """The last attempt failed and no further one is made; `plan` is what to do now."""

    def __init__(self, attempt: int, error: ErrorInfo, plan: RecoveryPlan) -> None:
        self.attempt, self.error, self.plan = attempt, error, plan
        super().__init__(error.message)


@dataclass(slots=True, eq=False)  # not frozen: that costs a microsecond for this many fields
class AttemptPlan(Generic[R]):
    """How one step is tried. Times are seconds since the epoch.

    `make` makes an attempt, given its number and the seconds that are left for it, if that is bounded. `begin` and
    `fail` give the requests that record; `describe` turns an exception into data; `decide` says what follows a failure.

    `failed` attempts were made before, in an earlier life of the engine; the first of them failed at `first_failed_at`,
    and the next one is due at `due_at`, which was `delay_seconds` after the last of them. `deadline` is when all of it
    must be over, as far as that is known before anything fails here. `uncounted` runs of the step were made that
    `failed` and `max_attempts` do not count.
    """

    decide: Callable[[Exception, ErrorInfo, int], RecoveryPlan]
    make: Callable[[int, float | None], Generator[R, Any, Any]]
    begin: Callable[[int], R]
    fail: Callable[[int, ErrorInfo, float, float | None], R]
    describe: Callable[[Exception], ErrorInfo]
    now: Callable[[], float]
    random: Random
    failed: int = 0
    due_at: float | None = None
    delay_seconds: float = math.inf
    first_failed_at: float | None = None
    deadline: float | None = None
    uncounted: int = 0


def attempts(plan: AttemptPlan[R]) -> Generator[R | Wait, Any, tuple[int, Any]]:
    """Try until one attempt succeeds: gives its number and its value. Raises GaveUp where no further one is made."""
    attempt, deadline, first_failed_at = plan.failed, plan.deadline, plan.first_failed_at
    if plan.due_at is not None and plan.due_at > plan.now():
        yield Wait(plan.due_at, plan.delay_seconds)
    while True:
        if deadline is not None and plan.now() >= deadline:
            raise _too_late(plan, attempt)
        attempt += 1
        yield plan.begin(attempt)
        try:
            return attempt, (yield from plan.make(attempt, deadline - plan.now() if deadline is not None else None))
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # recorded by `fail`, or by the caller of GaveUp
            error = plan.describe(exc)
            first_failed_at = plan.now() if first_failed_at is None else first_failed_at
            chosen = _safe(plan.decide(exc, error, attempt), exc)
            deadline = _deadline(plan, chosen, first_failed_at)
            delay = _delay_seconds(plan, chosen, error, attempt)
            due_at = plan.now() + (delay or 0.0)
            if delay is None or (deadline is not None and due_at >= deadline):
                raise GaveUp(attempt, error, _given_up(chosen)) from exc
        yield plan.fail(attempt, error, due_at, deadline)
        yield Wait(due_at, delay)


def _safe(chosen: RecoveryPlan, exc: Exception) -> RecoveryPlan:
    if isinstance(exc, HandlerStillRunningError) and chosen.strategy in _RUNS_IT_AGAIN:
        return fail_fast("it still runs")
    return chosen


def _deadline(plan: AttemptPlan[R], chosen: RecoveryPlan, first_failed_at: float) -> float | None:
    """When the whole recovery must be over; a plan's own timeout counts from the first failure."""
    if (seconds := chosen.timeout_seconds) is None:
        return plan.deadline
    own = first_failed_at + seconds
    return own if plan.deadline is None else min(own, plan.deadline)


def _delay_seconds(plan: AttemptPlan[R], chosen: RecoveryPlan, error: ErrorInfo, attempt: int) -> float | None:
    """How long until the next attempt, or None where none is to be made.

    A delay that the other side asked for (Retry-After) is obeyed; it may be longer than the plan's own.
    """
    if chosen.strategy not in RETRIES or not chosen.retry.has_attempts_left(error, attempt):
        return None
    retries_made = attempt - 1 + plan.uncounted
    return max(chosen.retry.get_delay(retries_made, plan.random), error.retry_after or 0.0)


def _given_up(chosen: RecoveryPlan) -> RecoveryPlan:
    return fail_fast("its attempts are used up") if chosen.strategy in RETRIES else chosen


def _too_late(plan: AttemptPlan[R], attempt: int) -> GaveUp:
    error = plan.describe(RecoveryTimeoutError())
    return GaveUp(attempt, error, fail_fast("its time is over"))
