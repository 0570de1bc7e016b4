"""Steps of a context and tasks of a state: two words for one thing, kept in step.

The context tells what happens to its steps, and the state's tasks follow. The state does not tell what is done to its
three sets of tasks: what a program changes there by hand reaches the context by `hand_over` only.
"""

from __future__ import annotations

import threading

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.state import ExecutionContext, PipelineExecutionState
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import STEP_MOVES, StepStatus
from orchestrator.types import StepKey


class TaskLink:
    """Lets the tasks of a state follow the steps of a context, until it is closed. Thread-safe."""

    def __init__(self, context: ExecutionContext, state: PipelineExecutionState) -> None:
        self._context, self._state = context, state
        #: From reading a step to writing its task, so that what is written last is what was read last.
        self._lock = threading.Lock()
        #: A restore may leave nothing of a step.
        self._followed: set[StepKey] = set()
        self.close = context.subscribe(self._take)
        self.take_over()

    def _take(self, entry: Entry) -> None:
        match entry.event:
            case ev.StepStarted(key=key) | ev.StepSucceeded(key=key) | ev.StepSkipped(key=key) | ev.StepFailed(key=key):
                self._follow(key)
            case ev.ExecutionRestored() | ev.ExecutionRetried() | ev.ExecutionCancelled():
                self.take_over()

    def take_over(self) -> None:
        """Bring the tasks to where the steps stand. Tasks that never were steps stay as they are."""
        for key in [*self._context.record.steps, *list(self._followed)]:
            self._follow(key)

    def _follow(self, key: StepKey) -> None:
        with self._lock:
            self._followed.add(key)
            _set_task(self._state, key, self._context.record.steps.get(key) or StepRecord(key))

    def hand_over(self) -> None:
        """End the steps that the state says are executed or failed, in the order of their ids."""
        for task in sorted(self._state.executed_tasks):
            if status_of(self._context, task) is not StepStatus.SKIPPED:  # an executed task, too
                end_step(self._context, task, again=True)
        for task, error in sorted(self._state.failed_tasks.items()):
            end_step(self._context, task, False, error, again=True)


def end_step(
    context: ExecutionContext, step_id: str, success: bool = True, error: object = None, again: bool = False
) -> None:
    """End a step, unless it has ended so already.

    Where it has ended otherwise: with `again` it is started once more, else IllegalMoveError is raised.
    """
    status, wanted = status_of(context, step_id), StepStatus.COMPLETED if success else StepStatus.FAILED
    if status is wanted:
        return
    if again and not STEP_MOVES[status]:
        context.start_step(step_id)
    try:
        context.complete_step(step_id, success, error)
    except IllegalMoveError:
        if status_of(context, step_id) is not wanted:  # else another thread was faster
            raise


def status_of(context: ExecutionContext, step_id: str) -> StepStatus:
    """Where a step stands; PENDING where it is not known."""
    step = context.record.steps.get(StepKey(step_id))
    return StepStatus.PENDING if step is None else step.status


def _set_task(state: PipelineExecutionState, task: str, step: StepRecord) -> None:
    """Put a task where its step stands; one that is not begun, or was cancelled, is nowhere."""
    match step.status:
        case StepStatus.FAILED:
            state.mark_task_failed(task, str((step.error or {}).get("message") or "failed"))
        case StepStatus.COMPLETED | StepStatus.SKIPPED:
            state.mark_task_executed(task)
        case StepStatus.RUNNING:
            state.mark_task_pending(task)
        case StepStatus.PENDING | StepStatus.CANCELLED:
            state.forget_task(task)
