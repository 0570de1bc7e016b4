"""The one durable step.

A step is carried on by one generator: it evaluates what the step needs from the variables, makes attempts until one
succeeds or the policy gives up, and records one outcome. It decides and asks; a driver performs. A step whose outcome
is in the journal is never carried on: the machine does not ask for it.

What steers a step and is not itself a recorded value (whether its `when` held, the items of its loop) is recorded
before anything depends on it: the skip and the expansion are events, and a true condition is known by the start.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from orchestrator.errors import TooManyInterruptionsError
from orchestrator.execution.driver import Deed, Keep, Record, Request
from orchestrator.execution.recovery import (
    ENGINE_FAULTS,
    MAX_CLAIMS_WITHOUT_PROGRESS,
    GaveUp,
    RecoveryPlan,
    RecoveryStrategy,
)
from orchestrator.execution.step.strategies import answered, failed, recover, take_alternative
from orchestrator.execution.step.task import StepTask, work
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.pipelines.plan import loop_items


def execute(task: StepTask) -> Deed[None]:
    """Carry a step on to its outcome."""
    try:
        if task.claims_without_progress >= MAX_CLAIMS_WITHOUT_PROGRESS:
            raise TooManyInterruptionsError(
                f"the engine died {task.claims_without_progress} times in a row while step {task.key!r} was to run; "
                "see `orchestrator logs`, then `orchestrator retry`"
            )
        try:
            yield from _expand(task) if task.is_loop else _run(task)
        except GaveUp as exc:
            yield from recover(task, exc)
    except ENGINE_FAULTS:
        raise
    except Exception as exc:  # noqa: BLE001 - recorded: a template, a loop's items, a value that cannot be kept: no attempt was made
        yield failed(task, task.attempts_made, task.describe(exc, task.key))


def join(task: StepTask) -> Deed[None]:
    """End a loop whose items have all ended."""
    yield Record((ev.StepSucceeded(task.key, task.generation, 1, None, (), task.step.checkpoint),))


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
    known = task.known
    asked = known.intervention if known else None
    plan = RecoveryPlan.from_dict(known.plan) if known is not None and known.plan is not None else None
    if plan is not None and plan.strategy is RecoveryStrategy.ALTERNATIVE_PATH:  # it was begun in an earlier life
        yield from take_alternative(task, plan)
    elif asked is not None and asked.decision in ("skip", "abort"):
        yield from answered(task, asked)
    elif not _held(task):
        yield _skipped(task)
    else:
        attempt, output, writes = yield from work(task)
        checkpoint = None if task.step.loop else task.step.checkpoint
        yield Record((ev.StepSucceeded(task.key, task.generation, attempt, output, writes, checkpoint),))
