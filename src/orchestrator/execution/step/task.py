"""One step to carry on, with all that it may know, and how its attempts are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, TypeAlias

from orchestrator.execution.driver import Assign, Attempt, Invoke, Keep, Over, Prepared, Record, Request, Work
from orchestrator.execution.recovery import AttemptPlan, RecoveryPlan, attempts
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import ErrorData
from orchestrator.journal.fold import Writes
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.plan import Plan, PlannedStep
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
    #: How what is inside of it came to its end; None where it has no inside, or that goes on.
    over: Over | None = None
    #: The names as they are inside of it, where it holds others.
    inside: Callable[[], Mapping[str, Any]] = dict
    #: Which step was the first to fail where one inside did, and what is kept of that.
    failure: Callable[[StepKey], tuple[StepKey, ErrorData]] = lambda key: (key, {})
    #: The output of a step that ended, and a recorded value: decoded.
    output_of: Callable[[StepKey], Any] = lambda _: None
    read: Callable[[Encoded], Any] = lambda _: None
    #: What else is recorded of an exception that a durable function is to see, and the step that it came from.
    raised: Callable[[BaseException], tuple[Mapping[str, Any], StepKey | None]] | None = None
    #: What looks whether its effect has happened, where that is a function at hand.
    verify: Callable[..., Any] | None = None
    #: Whether it runs a durable function.
    is_function: bool = False
    #: How what ran of a step inside came to its end when it was cancelled.
    how_ended: Callable[[StepKey], str] = lambda _: ""
    #: The plan of the sub-pipeline that it runs; where it was given one, also its name, model and graph.
    sub_plan: Plan | None = None
    brings: tuple[Any, ...] = ()
    #: What the names of the variables begin with that it sets: those of a sub-pipeline are its own.
    prefix: str = ""
    #: Why it was given up, where it was.
    cancel_reason: str = ""
    rollbacks: int = 0
    claims_without_progress: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether this is the step as its definition says, not an item or a round of it."""
        return self.key[-1:] != "]"

    @property
    def has_items(self) -> bool:
        """Whether the step as a whole is a loop: its items or rounds do what it says."""
        return self.step.is_loop or self.step.is_repeated

    @property
    def checkpoint(self) -> str | None:
        """The name that its place in the journal is given when it ends."""
        return self.step.checkpoint if self.is_whole else None

    @property
    def attempts_made(self) -> int:
        """The attempts that failed so far, those before a rollback included."""
        return self.known.failed_attempts if self.known else 0

    # Methods and no closures: while hundreds of steps run, each has its own.

    def begin(self, number: int) -> Record:
        """The start of an attempt. One whose effect may be in doubt must be known; any other waits for company."""
        return Record((ev.StepStarted(self.key, self.generation, number),), lazy=self.step.effect is None)

    def try_again(self, number: int, error: ErrorInfo, due_at: float, deadline: float | None) -> Record:
        """An attempt failed, and another one is due."""
        return Record((ev.StepRetrying(self.key, self.generation, number, error.to_dict(), due_at, deadline),))

    def describe_own(self, exc: Exception) -> ErrorInfo:
        """What is kept of an error of this step."""
        return self.describe(exc, self.key)


#: The attempt that succeeded, its output, and the GLOBAL variables that it set.
Outcome: TypeAlias = tuple[int, Encoded, Writes]
#: What an attempt begins with, given its number and its seconds; where it gives an output, that is all.
Before: TypeAlias = Callable[[int, float | None], Generator[Request, Any, Encoded | None]]


def work(task: StepTask, before: Before | None = None) -> Generator[Request, Any, Outcome]:
    """Do what the step is for: gives the outcome. Raises recovery.GaveUp when its attempts are over."""
    prepared = task.prepare()
    if isinstance(prepared, Assign):
        writes = yield from _keep_all(prepared.variables, task.prefix)
        return 1, (yield Keep(dict(prepared.variables))), writes
    attempt, (output, writes) = yield from attempts(_attempt_plan(task, prepared, before))
    return attempt, output, writes


def _keep_all(variables: Mapping[str, Any], prefix: str) -> Generator[Request, Any, Writes]:
    kept = []
    for name, value in variables.items():
        kept.append((prefix + name, (yield Keep(value))))
    return tuple(kept)


def _attempt_plan(task: StepTask, first: Work, before: Before | None) -> AttemptPlan[Request]:
    return attempt_plan(task, partial(_make, task, [first], before), task.begin)


def _make(
    task: StepTask, fresh: list[Work], before: Before | None, number: int, remaining_seconds: float | None
) -> Generator[Request, Any, tuple[Encoded, Writes]]:
    # Every attempt gets arguments of its own: an earlier one may have changed what it was given.
    its_own = fresh.pop() if fresh else task.prepare()
    assert not isinstance(its_own, Assign)
    limit = task.step.timeout_seconds
    if remaining_seconds is not None:
        limit = remaining_seconds if limit is None else min(limit, remaining_seconds)
    if before is not None and (found := (yield from before(number, limit))) is not None:
        return found, ()
    attempt = task.attempt(task.key, task.generation, number, its_own, limit)
    output = yield Keep((yield Invoke(attempt)))
    return output, (yield from _keep_all(attempt.writes, task.prefix)) if attempt.writes else ()


def attempt_plan(
    task: StepTask,
    make: Callable[[int, float | None], Generator[Request, Any, Any]],
    begin: Callable[[int], Request],
) -> AttemptPlan[Request]:
    """How a step is tried, given how one attempt of it is made and how its begin is recorded."""
    known = task.known
    last = known.failures[-1] if known and known.failures else None
    return AttemptPlan(
        decide=task.decide,
        make=make,
        begin=begin,
        fail=task.try_again,
        describe=task.describe_own,
        now=task.now,
        random=task.random,
        failed=task.attempts_made,
        due_at=last.due_at if last else None,
        delay_seconds=last.due_at - last.at if last and last.due_at is not None else math.inf,
        first_failed_at=known.failures[0].at if known and known.failures else None,
        deadline=task.deadline if task.deadline is not None else (last.deadline if last else None),
    )
