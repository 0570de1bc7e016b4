"""The one durable step.

A step is carried on by one generator: it evaluates what the step needs from the variables, makes attempts until one
succeeds or the policy gives up, and records one outcome. It decides and asks; a driver performs. A step whose outcome
is in the journal is never carried on: the machine does not ask for it.

What steers a step and is not itself a recorded value (whether its `when` held, the items of its loop, the case of a
switch) is recorded before anything depends on it: the skip, the expansion and the entering are events, and a true
condition is known by the start.
"""

from __future__ import annotations

from orchestrator.errors import FailStepError, TooManyInterruptionsError
from orchestrator.execution.driver import Deed, Keep, Record
from orchestrator.execution.recovery import (
    ENGINE_FAULTS,
    MAX_CLAIMS_WITHOUT_PROGRESS,
    GaveUp,
    RecoveryPlan,
    RecoveryStrategy,
)
from orchestrator.execution.step.blocks import run_block
from orchestrator.execution.step.effects import in_doubt, looker, resolve_doubt
from orchestrator.execution.step.functions import run_function
from orchestrator.execution.step.leaving import Left
from orchestrator.execution.step.loops import expand, join, next_round
from orchestrator.execution.step.strategies import answered, failed, recover, take_alternative
from orchestrator.execution.step.task import StepTask, work
from orchestrator.execution.step.waits import wait
from orchestrator.journal import events as ev
from orchestrator.pipelines.plan import FailSpec, ReturnSpec


def execute(task: StepTask) -> Deed[None]:
    """Carry a step on: to its outcome, or to where it goes on without a deed."""
    try:
        if task.claims_without_progress >= MAX_CLAIMS_WITHOUT_PROGRESS:
            raise TooManyInterruptionsError(
                f"the engine died {task.claims_without_progress} times in a row while step {task.key!r} was to run; "
                "see `orchestrator logs`, then `orchestrator retry`"
            )
        try:
            yield from _whole(task) if task.is_whole else _run(task)
        except GaveUp as exc:
            yield from recover(task, exc)
    except Left:
        return
    except ENGINE_FAULTS:
        raise
    except Exception as exc:  # noqa: BLE001 - recorded: a template, a loop's items, a value that cannot be kept: no attempt was made
        yield failed(task, task.attempts_made, task.describe(exc, task.key))


def _held(task: StepTask) -> bool:
    """Whether the step's condition holds, or was found to hold in an earlier life."""
    step = task.step
    judged_here = step.when is not None and (not task.has_items or step.when_per_item != task.is_whole)
    if not judged_here or (task.known is not None and task.known.started_at is not None):
        return True
    assert step.when is not None
    return bool(step.when.resolve(task.scope))


def _skip(task: StepTask) -> Deed[None]:
    yield Record((ev.StepSkipped(task.key, task.generation, "its condition was false"),))


# These choose the deed, and are none themselves: what a step asks for passes through each deed that is around it.


def _whole(task: StepTask) -> Deed[None]:
    """A step as its definition says: a loop as a whole, or a step without one."""
    if not task.has_items:
        return _run(task)
    if task.over is not None and not task.step.is_repeated:
        return join(task, task.over)
    if not _held(task):
        return _skip(task)
    return next_round(task, task.over) if task.step.is_repeated else expand(task)


def _run(task: StepTask) -> Deed[None]:
    known = task.known
    asked = known.intervention if known else None
    plan = RecoveryPlan.from_dict(known.plan) if known is not None and known.plan is not None else None
    if plan is not None and plan.strategy is RecoveryStrategy.ALTERNATIVE_PATH:  # it was begun in an earlier life
        return take_alternative(task, plan)
    if asked is not None and asked.decision in ("skip", "abort"):
        return answered(task, asked)
    return _do(task) if _held(task) else _skip(task)


def _do(task: StepTask) -> Deed[None]:
    if task.is_function:
        return run_function(task)
    match task.step.kind:
        case "call" | "run" | "set":
            return _work(task)
        case "wait" | "signal" | "approve":
            return wait(task)
        case "return":
            return _return(task)
        case "fail":
            spec = task.step.spec
            assert isinstance(spec, FailSpec)
            raise FailStepError(str(spec.message.resolve(task.scope)))
        case _:
            return run_block(task)


def _work(task: StepTask) -> Deed[None]:
    if in_doubt(task.step, task.known) and (yield from resolve_doubt(task)):
        return
    attempt, output, writes = yield from work(task, looker(task))
    yield Record((ev.StepSucceeded(task.key, task.generation, attempt, output, writes, task.checkpoint),))


def _return(task: StepTask) -> Deed[None]:
    spec = task.step.spec
    assert isinstance(spec, ReturnSpec)
    output = yield Keep({name: value.resolve(task.scope) for name, value in spec.outputs.items()})
    yield Record((ev.StepSucceeded(task.key, task.generation, 1, output, (), task.checkpoint),))
