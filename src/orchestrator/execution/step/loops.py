"""Loops: the items of a `for_each`, the rounds of a `while`.

Items and rounds are steps of their own. The loop records what they are (`LoopExpanded`, `IterationStarted`) and leaves;
when they are over the machine asks for it again.
"""

from __future__ import annotations

from orchestrator.errors import InnerStepError, TooManyIterationsError
from orchestrator.execution.driver import Deed, Keep, Over, Record
from orchestrator.execution.step.leaving import cancelled, leftovers
from orchestrator.execution.step.strategies import failure_of
from orchestrator.execution.step.task import StepTask
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.pipelines.plan import loop_items
from orchestrator.status import Closing


def expand(task: StepTask) -> Deed[None]:
    """Record the items of a loop; the steps that they are may start then."""
    loop = task.step.loop
    assert loop is not None
    items: list[Encoded] = []
    for item in loop_items(loop.items.resolve(task.scope)):
        items.append((yield Keep(item)))
    collects = task.step.item_failure == "collect"
    yield Record((ev.LoopExpanded(task.key, task.generation, tuple(items), collects),))


def join(task: StepTask, over: Over) -> Deed[None]:
    """End a loop whose items are over."""
    if over.closing is Closing.CANCELLED:
        yield Record(cancelled(task, over))
    elif over.closing is Closing.FAILED:
        yield _failed_inside(task, over)
    else:
        ended = ev.StepSucceeded(task.key, task.generation, 1, None, (), task.step.checkpoint)
        yield Record((*leftovers(task, over), ended))


def next_round(task: StepTask, over: Over | None) -> Deed[None]:
    """Judge the condition of a `while`: one more round, or its end."""
    repeat, known = task.step.repeat, task.known
    assert repeat is not None
    rounds = (known.rounds or 0) if known is not None else 0
    if over is not None and over.closing is Closing.CANCELLED:
        yield Record(cancelled(task, over))
    elif over is not None and over.closing is Closing.FAILED:
        yield _failed_inside(task, over)
    elif not repeat.condition.resolve(task.scope):
        output = None if rounds else (yield Keep(None))
        yield Record((ev.StepSucceeded(task.key, task.generation, 1, output, (), task.step.checkpoint),))
    elif rounds >= repeat.max_iterations:
        raise TooManyIterationsError(task.key, rounds)
    else:
        yield Record((ev.IterationStarted(task.key, task.generation, rounds),))


def _failed_inside(task: StepTask, over: Over) -> Record:
    """A loop has no attempts of its own: what fails in it fails it."""
    assert over.failed is not None
    failure = InnerStepError(*task.failure(over.failed))
    data, _ = failure_of(task, task.describe(failure, task.key))
    return Record((ev.StepFailed(task.key, task.generation, 1, data, failure.step_key),))
