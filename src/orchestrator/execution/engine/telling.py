"""Telling a tracker what happens: ours follows the context by itself, any other is told by the protocol's verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.execution.progress import ProgressTracker, ProgressTrackerProtocol
from orchestrator.execution.state import ExecutionContext
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.keys import is_step
from orchestrator.types import StepKey


def tell(tracker: ProgressTrackerProtocol, context: ExecutionContext) -> Callable[[], object]:
    """Tell the tracker from now on; gives a function that ends it."""
    if isinstance(tracker, ProgressTracker):
        return tracker.watch(context)
    return context.subscribe(_Teller(tracker, context))


@dataclass(slots=True)
class _Teller:
    """Entries to verbs. What is inside of a step is not told: only the steps of the pipeline itself."""

    tracker: ProgressTrackerProtocol
    context: ExecutionContext
    #: Step -> the generation whose start was told: a further attempt is no start, and an outcome needs one before it.
    _told: dict[StepKey, int] = field(default_factory=dict)

    def __call__(self, entry: Entry) -> None:
        tracker, id_ = self.tracker, self.context.execution_id
        match entry.event:
            case ev.ExecutionClaimed():
                tracker.on_execution_started(id_, self.context.total_steps)
            case ev.ExecutionCompleted():
                tracker.on_execution_completed(id_, True)
            case ev.ExecutionFailed() | ev.ExecutionCancelled():
                tracker.on_execution_completed(id_, False)
            case ev.StepStarted(key=key) | ev.StepWaiting(key=key) if is_step(key):
                self._start(key, entry.event.generation)
            case ev.LoopExpanded(key=key) | ev.BlockEntered(key=key) | ev.IterationStarted(key=key) if is_step(key):
                self._start(key, entry.event.generation)
            case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key) if is_step(key):
                self._start(key, entry.event.generation)
                tracker.on_step_completed(id_, key, self._name(key), True)
            case ev.StepFailed(key=key) | ev.StepCancelled(key=key) if is_step(key):
                self._start(key, entry.event.generation)
                tracker.on_step_completed(id_, key, self._name(key), False)

    def _start(self, key: StepKey, generation: int) -> None:
        if self._told.get(key) != generation:
            self._told[key] = generation
            self.tracker.on_step_started(self.context.execution_id, key, self._name(key))

    def _name(self, key: StepKey) -> str:
        return self.context.record.step(key).name or key
