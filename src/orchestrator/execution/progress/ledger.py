"""The ledger: what the progress events of one execution fold to.

`apply` takes in one event and is the only thing that changes anything, so that all of it can be told again from the
events. The steps and their counts are in `counted`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import datetime

from orchestrator.execution.progress.counted import CountedSteps
from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.steps import StepProgress
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus, StepStatus

#: Events kept per execution, for those who come later or were late.
MAX_EVENTS = 1_000

#: The data of an update that say what a step holds: the number of items, of an attempt, of a round.
HOLDS = frozenset({"items", "block", "round"})

_Type = ProgressEventType

_STATUS_AFTER = {
    _Type.EXECUTION_STARTED: ExecutionStatus.RUNNING,
    _Type.EXECUTION_RESUMED: ExecutionStatus.RUNNING,
    _Type.EXECUTION_PAUSED: ExecutionStatus.PAUSED,
    _Type.EXECUTION_COMPLETED: ExecutionStatus.COMPLETED,
    _Type.EXECUTION_FAILED: ExecutionStatus.FAILED,
    _Type.EXECUTION_CANCELLED: ExecutionStatus.CANCELLED,
}

_STEP_EVENTS = frozenset(
    {
        _Type.STEP_STARTED,
        _Type.STEP_COMPLETED,
        _Type.STEP_FAILED,
        _Type.STEP_SKIPPED,
        _Type.STEP_RETRYING,
        _Type.PROGRESS_UPDATE,
    }
)


class Ledger:
    """One execution's progress. Not thread-safe: it belongs to its tracker."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.events: deque[ProgressEvent] = deque(maxlen=MAX_EVENTS)
        self.sequence = 0
        #: The journal position that it stands at, where it follows a journal.
        self.position = 0
        #: How far a step is when it ends, as a verb said: (step, generation) -> percentage. Its entry is on the way.
        self.expected: dict[tuple[str, int], float] = {}
        self.steps = CountedSteps()
        #: Status, times and total; the counts are those of `steps`.
        self._head = ExecutionProgress(execution_id)

    @classmethod
    def of(cls, record: ExecutionRecord, total_steps: int = 0) -> Ledger:
        """What a journal's fold says, as if the events had been told; it begins with no history."""
        ledger = cls(record.execution_id)
        ledger.position, steps = record.position, [*record.steps.values()]  # in this order: the record may go on
        ledger._head = ExecutionProgress.of(record, total_steps)
        ledger.steps = CountedSteps.of(steps)
        return ledger

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> ExecutionStatus:
        """Where the execution stands."""
        return self._head.status

    @property
    def ended(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._head.is_completed

    @property
    def total_steps(self) -> int:
        """The steps announced, or those seen where they are more."""
        return self._head.total_steps

    def progress(self, now: datetime) -> ExecutionProgress:
        """A copy, as of now."""
        counts = self.steps.counts
        return replace(
            self._head,
            completed_steps=counts[StepStatus.COMPLETED],
            failed_steps=counts[StepStatus.FAILED],
            skipped_steps=counts[StepStatus.SKIPPED],
            cancelled_steps=counts[StepStatus.CANCELLED],
            running_steps=counts[StepStatus.RUNNING],
            running_fraction=self.steps.running_fraction(),
            as_of=now,
        )

    def step(self, step_id: str, now: datetime) -> StepProgress | None:
        """A copy, as of now."""
        found = self.steps.get(step_id)
        return None if found is None else replace(found, metadata=dict(found.metadata), as_of=now)

    # -- writing -----------------------------------------------------------------------------------------------------

    def apply(self, event: ProgressEvent) -> ProgressEvent:
        """Take in one event; gives it with its number."""
        self.sequence += 1
        event = replace(event, sequence=self.sequence)
        self.events.append(event)
        if (status := _STATUS_AFTER.get(event.event_type)) is not None:
            self._move(event.event_type, status, event.timestamp)
        elif event.event_type is _Type.CHECKPOINT_RESTORED or (event.step_id is None and "steps" in event.data):
            self._set_back(event)
        elif event.event_type in _STEP_EVENTS and event.step_id is not None:
            self._apply_step(event, event.step_id)
        counts = self.steps.counts
        begun = counts.total() - counts[StepStatus.PENDING]  # what a restore set back need not come again
        self._head.total_steps = max(event.data.get("total_steps", self.total_steps), begun)
        return event

    def _move(self, what: ProgressEventType, status: ExecutionStatus, at: datetime) -> None:
        if what is _Type.EXECUTION_STARTED and self.ended:  # another run, whose events are numbered on
            self._head, self.steps = ExecutionProgress(self.execution_id), CountedSteps()
        head = self._head
        head.status, head.start_time = status, head.start_time or at
        head.end_time = at if self.ended else None
        if status is ExecutionStatus.CANCELLED:
            self.steps.cancel_running(at)

    def _apply_step(self, event: ProgressEvent, step_id: str) -> None:
        step, at = self.steps.begin(step_id, event.step_name), event.timestamp
        before = step.status
        match event.event_type:
            case _Type.STEP_STARTED:
                step.start(at=at)
            case _Type.STEP_COMPLETED:
                step.complete(event.data.get("progress_percentage", 100.0), at=at)
            case _Type.STEP_FAILED if event.data.get("status") == StepStatus.CANCELLED:
                step.cancel(at=at)
            case _Type.STEP_FAILED:
                step.fail(event.message or "", at=at)
                step.progress_percentage = event.data.get("progress_percentage", step.progress_percentage)
            case _Type.STEP_SKIPPED:
                step.skip(event.message or "", at=at)
            case _Type.STEP_RETRYING if event.data.get("afresh"):
                self.steps.renew(step)
            case _Type.STEP_RETRYING:
                step.try_again()
            case _Type.PROGRESS_UPDATE:
                self._update(step, event)
        if step.status is not before:
            self.steps.count(step, before)

    def _update(self, step: StepProgress, event: ProgressEvent) -> None:
        data = event.data
        step.progress_percentage = data.get("progress_percentage", step.progress_percentage)
        if event.message is not None:
            step.metadata["last_message"] = event.message
        if "metric" in data:
            step.metadata[data["metric"]] = data["value"]
        if not data.keys().isdisjoint(HOLDS):
            self.steps.hold(step.step_id, data.get("items"), afresh="block" in data)

    def _set_back(self, event: ProgressEvent) -> None:
        """A restore or a rerun: how the `steps` that differ stand again (None: they are gone), the `status` then."""
        self.steps.set_back(event.data.get("steps", {}))
        head = self._head
        head.status = ExecutionStatus(event.data.get("status", head.status))
        head.end_time = head.end_time if self.ended else None
