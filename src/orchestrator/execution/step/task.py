"""One step to carry on, with all that it may know, and how its attempts are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from orchestrator.execution.driver import Assign, Attempt, Invoke, Keep, Prepared, Record, Request, Work
from orchestrator.execution.recovery import AttemptPlan, RecoveryPlan, attempts
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.fold import StepRecord, Writes
from orchestrator.pipelines.plan import PlannedStep
from orchestrator.types import StepKey


@dataclass(slots=True, eq=False)  # not frozen: that costs a microsecond for this many fields
class StepTask:
    """One step to carry on, which nobody changes. Time, chance and variables are given, never fetched.

    `decide` says what follows from a failed attempt, `alternative` gives the task of another step of the pipeline that
    runs for this one under a key of its own.
    """

    key: StepKey
    generation: int
    step: PlannedStep
    known: StepRecord | None
    scope: Mapping[str, Any]
    prepare: Callable[[], Prepared]
    attempt: Callable[[StepKey, int, int, Work, float | None], Attempt]
    now: Callable[[], float]
    describe: Callable[[Exception, StepKey], ErrorInfo]
    decide: Callable[[Exception, ErrorInfo, int], RecoveryPlan]
    alternative: Callable[[str], StepTask]
    random: Random
    #: When its work must be over, in seconds since the epoch, where it runs for the recovery of another.
    deadline: float | None = None
    rollbacks: int = 0
    claims_without_progress: int = 0

    @property
    def is_loop(self) -> bool:
        """Whether this is a loop as a whole, not one of its items."""
        return self.step.loop is not None and self.key == self.step.id

    @property
    def attempts_made(self) -> int:
        """The attempts that failed so far, those before a rollback included."""
        return self.known.failed_attempts if self.known else 0


#: The attempt that succeeded, its output, and the GLOBAL variables that it set.
Outcome: TypeAlias = tuple[int, Encoded, Writes]


def work(task: StepTask) -> Generator[Request, Any, Outcome]:
    """Do what the step is for: gives the outcome. Raises recovery.GaveUp when its attempts are over."""
    prepared = task.prepare()
    if isinstance(prepared, Assign):
        writes = yield from _keep_all(prepared.variables)
        return 1, (yield Keep(dict(prepared.variables))), writes
    attempt, (output, writes) = yield from attempts(_attempt_plan(task, prepared))
    return attempt, output, writes


def _keep_all(variables: Mapping[str, Any]) -> Generator[Request, Any, Writes]:
    kept = []
    for name, value in variables.items():
        kept.append((name, (yield Keep(value))))
    return tuple(kept)


def _attempt_plan(task: StepTask, first: Work) -> AttemptPlan[Request]:
    key, generation, known = task.key, task.generation, task.known
    last = known.failures[-1] if known and known.failures else None
    fresh = [first]

    def make(number: int, remaining_seconds: float | None) -> Generator[Request, Any, tuple[Encoded, Writes]]:
        # Every attempt gets arguments of its own: an earlier one may have changed what it was given.
        its_own = fresh.pop() if fresh else task.prepare()
        assert not isinstance(its_own, Assign)
        limits = [limit for limit in (task.step.timeout_seconds, remaining_seconds) if limit is not None]
        attempt = task.attempt(key, generation, number, its_own, min(limits, default=None))
        output = yield Keep((yield Invoke(attempt)))
        return output, (yield from _keep_all(attempt.writes))

    return AttemptPlan(
        decide=task.decide,
        make=make,
        begin=lambda number: Record((ev.StepStarted(key, generation, number),), lazy=True),
        fail=lambda number, error, due_at, deadline: Record(
            (ev.StepRetrying(key, generation, number, error.to_dict(), due_at, deadline),)
        ),
        describe=lambda exc: task.describe(exc, key),
        now=task.now,
        random=task.random,
        failed=task.attempts_made,
        due_at=last.due_at if last else None,
        delay_seconds=last.due_at - last.at if last and last.due_at is not None else math.inf,
        first_failed_at=known.failures[0].at if known and known.failures else None,
        deadline=task.deadline if task.deadline is not None else (last.deadline if last else None),
    )
