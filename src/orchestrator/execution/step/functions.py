"""Steps that run a durable function.

An attempt of such a step is one way of the function from its first line to its last. Unlike that of a block, the deed
stays: the function says what is next, not the graph. After a restart the function runs again in the same attempt, and
what it asks for is in the journal as far as it had come.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from orchestrator.errors import StepTimeoutError
from orchestrator.execution.driver import Deed, Keep, PythonCall, Record, Request, RunFunction
from orchestrator.execution.recovery import attempts
from orchestrator.execution.step.leaving import cancelled, leftovers, nothing_to_begin
from orchestrator.execution.step.task import StepTask, attempt_plan
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.status import Closing


def run_function(task: StepTask) -> Deed[None]:
    """Carry a step on that runs a durable function. Raises recovery.GaveUp when its attempts are over."""
    over = task.over
    if over is not None and over.closing is Closing.CANCELLED:
        yield Record(cancelled(task, over))
        return

    def make(number: int, remaining: float | None) -> Generator[Request, Any, Encoded]:
        block = task.known.block if task.known is not None else None
        entered = block is not None and block.attempt == number
        if over is not None and entered:
            raise StepTimeoutError(task.key, task.step.timeout_seconds or 0.0)
        if not entered:
            limits = [limit for limit in (task.step.timeout_seconds, remaining) if limit is not None]
            deadline = task.now() + min(limits) if limits else None
            yield Record((ev.BlockEntered(task.key, task.generation, number, deadline=deadline),))
        work = task.prepare()
        assert isinstance(work, PythonCall)
        return (yield Keep((yield RunFunction(task.key, work))))  # type: ignore[no-any-return]

    attempt, output = yield from attempts(attempt_plan(task, make, nothing_to_begin))
    yield Record(
        (*leftovers(task, over), ev.StepSucceeded(task.key, task.generation, attempt, output, (), task.checkpoint))
    )
