"""How a deed leaves a step that goes on without it: inside of it, or until something comes that it waits for."""

from __future__ import annotations

from orchestrator.execution.driver import Over, Record
from orchestrator.execution.step.task import StepTask
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event


class Left(BaseException):
    """Unwinds a deed whose step is asked for again by the machine: nothing of it stays in memory until then."""


def nothing_to_begin(_number: int) -> Record:
    """The begin of an attempt that another event tells."""
    return Record((), lazy=True)


def cancelled(task: StepTask, over: Over) -> tuple[Event, ...]:
    """A step was given up together with what had begun inside of it."""
    return (*leftovers(task, over), ev.StepCancelled(task.key, task.generation, task.cancel_reason))


def leftovers(task: StepTask, over: Over | None) -> tuple[Event, ...]:
    """What had begun inside of a step and will not end, as cancelled."""
    if over is None:
        return ()
    return tuple(
        ev.StepCancelled(key, generation, task.cancel_reason or f"{task.key!r} is over", task.how_ended(key))
        for key, generation in over.leftovers
    )
