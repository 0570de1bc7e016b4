"""The one durable step.

A step is carried on by one generator: it evaluates what the step needs from the variables, makes attempts until one
succeeds or the policy gives up, and records one outcome. It decides and asks; a driver performs. A step whose outcome
is in the journal is never carried on: the machine does not ask for it.

What steers a step and is not itself a recorded value (whether its `when` held, the items of its loop) is recorded
before anything depends on it: the skip and the expansion are events, and a true condition is known by the start.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from orchestrator.errors import TooManyInterruptionsError
from orchestrator.execution.driver import Assign, Attempt, Deed, Invoke, Keep, Prepared, Record, Request, Work
from orchestrator.execution.recovery import (
    ENGINE_FAULTS,
    MAX_CLAIMS_WITHOUT_PROGRESS,
    AttemptPlan,
    GaveUp,
    attempts,
)
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.fold import StepRecord
from orchestrator.pipelines.plan import PlannedStep, loop_items
from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class StepTask:
    """One step to carry on, with all that it may know. Time, chance and variables are given, never fetched."""

    key: StepKey
    generation: int
    step: PlannedStep
    known: StepRecord | None
    scope: Mapping[str, Any]
    prepare: Callable[[], Prepared]
    attempt: Callable[[StepKey, int, int, Work, float | None], Attempt]
    now: Callable[[], float]
    describe: Callable[[Exception, StepKey], ErrorInfo]
    random: Random
    claims_without_progress: int = 0

    @property
    def is_loop(self) -> bool:
        """Whether this is a loop as a whole, not one of its items."""
        return self.step.loop is not None and self.key == self.step.id


def execute(task: StepTask) -> Deed[None]:
    """Carry a step on to its outcome."""
    try:
        if task.claims_without_progress >= MAX_CLAIMS_WITHOUT_PROGRESS:
            raise TooManyInterruptionsError(
                f"the engine died {task.claims_without_progress} times in a row while step {task.key!r} was to run; "
                "see `orchestrator logs`, then `orchestrator retry`"
            )
        yield from _expand(task) if task.is_loop else _run(task)
    except GaveUp as exc:
        yield _failed(task, exc.attempt, exc.error)
    except ENGINE_FAULTS:
        raise
    except Exception as exc:  # noqa: BLE001 - recorded: a template, a loop's items, a value that cannot be kept: no attempt was made
        made = task.known.failed_attempts if task.known else 0
        yield _failed(task, made, task.describe(exc, task.key))


def join(task: StepTask) -> Deed[None]:
    """End a loop whose items have all ended."""
    yield Record((ev.StepSucceeded(task.key, task.generation, 1, None, (), task.step.checkpoint),))


def _failed(task: StepTask, attempt: int, error: ErrorInfo) -> Record:
    return Record((ev.StepFailed(task.key, task.generation, attempt, error.to_dict()),))


def _held(task: StepTask) -> bool:
    """Whether the step's condition holds, or was found to hold in an earlier life."""
    step = task.step
    judged_here = step.when is not None and (step.loop is None or step.when_per_item != task.is_loop)
    if not judged_here or (task.known is not None and task.known.started_at is not None):
        return True
    assert step.when is not None
    return bool(step.when.resolve(task.scope))


def _skipped(task: StepTask) -> Record:
    return Record((ev.StepSkipped(task.key, task.generation, "its condition was false"),))


def _expand(task: StepTask) -> Generator[Request, Any, None]:
    if not _held(task):
        yield _skipped(task)
        return
    loop = task.step.loop
    assert loop is not None
    items: list[Encoded] = []
    for item in loop_items(loop.items.resolve(task.scope)):
        items.append((yield Keep(item)))
    yield Record((ev.LoopExpanded(task.key, task.generation, tuple(items)),))


def _run(task: StepTask) -> Generator[Request, Any, None]:
    if not _held(task):
        yield _skipped(task)
        return
    work = task.prepare()
    if isinstance(work, Assign):
        attempt, (output, writes) = 1, (yield from _assign(work))
    else:
        attempt, output = yield from attempts(_attempt_plan(task, work))
        writes = ()
    checkpoint = None if task.step.loop else task.step.checkpoint
    yield Record((ev.StepSucceeded(task.key, task.generation, attempt, output, writes, checkpoint),))


def _assign(work: Assign) -> Generator[Request, Any, tuple[Encoded, tuple[tuple[str, Encoded], ...]]]:
    writes = []
    for name, value in work.variables.items():
        writes.append((name, (yield Keep(value))))
    return (yield Keep(dict(work.variables))), tuple(writes)


def _attempt_plan(task: StepTask, work: Work) -> AttemptPlan:
    key, generation = task.key, task.generation
    last = task.known.failures[-1] if task.known and task.known.failures else None
    fresh = [work]

    def make(attempt: int) -> Generator[Request, Any, Encoded]:
        # Every attempt gets arguments of its own: an earlier one may have changed what it was given.
        its_own = fresh.pop() if fresh else task.prepare()
        assert not isinstance(its_own, Assign)
        value = yield Invoke(task.attempt(key, generation, attempt, its_own, task.step.timeout_seconds))
        return (yield Keep(value))  # type: ignore[no-any-return]  # answers are untyped

    return AttemptPlan(
        policy=task.step.retry,
        make=make,
        begin=lambda attempt: Record((ev.StepStarted(key, generation, attempt),), lazy=True),
        fail=lambda attempt, error, due: Record((ev.StepRetrying(key, generation, attempt, error.to_dict(), due),)),
        describe=lambda exc: task.describe(exc, key),
        now=task.now,
        random=task.random,
        failed=last.attempt if last else 0,
        due_at=last.due_at if last else None,
    )
