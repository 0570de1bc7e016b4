"""The ledger: what the progress events of one execution fold to.

`apply` takes in one event and is the only thing that changes anything; the counts are counts of the steps' states, so
that they can be told again from the events. A step whose key says that it belongs to another step that is known here
(an item `months[3]` of `months`, a part `fetch/mirror` of `fetch`) is kept, and not counted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.steps import ENDED, StepProgress, is_item, owner_of
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus, StepStatus

#: Events kept per execution, for those who come later or were late.
MAX_EVENTS = 1_000

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
        self._head = ExecutionProgress(execution_id)
        self._forget_steps()

    def _forget_steps(self) -> None:
        self.steps: dict[str, StepProgress] = {}
        #: How many counted steps stand where.
        self._counts: Counter[StepStatus] = Counter()
        self._running: dict[str, StepProgress] = {}
        #: Items and parts -> the step that they belong to.
        self._owners: dict[str, str] = {}
        #: Loops -> how many items they have, and how many of these have ended.
        self.items: dict[str, int] = {}
        self.items_ended: Counter[str] = Counter()

    @classmethod
    def of(cls, record: ExecutionRecord, total_steps: int = 0) -> Ledger:
        """What a journal's fold says, as if the events had been told; it begins with no history."""
        ledger = cls(record.execution_id)
        ledger.position, steps = record.position, [*record.steps.values()]  # in this order: the record may go on
        ledger._head = ExecutionProgress.of(record, total_steps)
        for step in sorted(steps, key=lambda one: len(one.key)):  # owners before what they own
            if step.items is not None:
                ledger.items[step.key] = len(step.items)
            ledger._step(step.key, None)
            ledger.steps[step.key] = StepProgress.of(step)
            ledger._count(ledger.steps[step.key], StepStatus.PENDING)
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

    def owner(self, step_id: str) -> str | None:
        """The known step that an item or a part belongs to; None for a step that counts by itself."""
        return self._owners.get(step_id) if step_id in self.steps else owner_of(step_id, self.steps)

    def is_running(self, step_id: str) -> bool:
        """Whether a step is under way."""
        return step_id in self._running

    def has_ended(self, step_id: str) -> bool:
        """Whether a step has ended and was not begun again."""
        step = self.steps.get(step_id)
        return step is not None and step.is_completed

    def loop_percentage(self, step_id: str) -> float:
        """How many of a loop's items have ended, from 0 to 100."""
        items = self.items[step_id]
        return 100.0 * self.items_ended[step_id] / items if items else 100.0

    def belonging_to(self, step_ids: Iterable[str]) -> list[str]:
        """The items and parts of these steps, and theirs."""
        above, found = {*step_ids}, []
        for key in sorted(self._owners, key=len):  # owners before what they own
            if self._owners[key] in above:
                above.add(key)
                found.append(key)
        return found

    def progress(self, now: datetime) -> ExecutionProgress:
        """A copy, as of now."""
        counted = [step for key, step in self._running.items() if key not in self._owners]
        fraction = sum(step.progress_percentage for step in counted) / 100.0
        return replace(self._head, running_fraction=fraction, as_of=now)

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
        elif event.event_type is _Type.CHECKPOINT_RESTORED:
            self._set_back(event.data)
        elif event.event_type in _STEP_EVENTS and event.step_id is not None:
            self._apply_step(event, event.step_id)
        self._head.total_steps = max(event.data.get("total_steps", self.total_steps), self._counts.total())
        return event

    def _move(self, what: ProgressEventType, status: ExecutionStatus, at: datetime) -> None:
        if what is _Type.EXECUTION_STARTED and self.ended:  # another run, whose events are numbered on
            self._head = ExecutionProgress(self.execution_id)
            self._forget_steps()
        head = self._head
        head.status, head.start_time = status, head.start_time or at
        head.end_time = at if self.ended else None
        if status is ExecutionStatus.CANCELLED:
            for step in [*self._running.values()]:
                step.cancel(at=at)
                self._count(step, StepStatus.RUNNING)

    def _apply_step(self, event: ProgressEvent, step_id: str) -> None:
        step, at = self._step(step_id, event.step_name), event.timestamp
        before = step.status
        match event.event_type:
            case _Type.STEP_STARTED:
                step.start(at=at)
            case _Type.STEP_COMPLETED:
                step.complete(event.data.get("progress_percentage", 100.0), at=at)
            case _Type.STEP_FAILED:
                step.fail(event.message or "", at=at)
            case _Type.STEP_SKIPPED:
                step.skip(event.message or "", at=at)
            case _Type.STEP_RETRYING:
                step.progress_percentage = 0.0
                if step.is_completed:
                    step.status, step.end_time, step.error_message = StepStatus.PENDING, None, None
            case _Type.PROGRESS_UPDATE:
                self._update(step, event)
        if step.status is not before:
            self._count(step, before)

    def _update(self, step: StepProgress, event: ProgressEvent) -> None:
        data = event.data
        step.progress_percentage = data.get("progress_percentage", step.progress_percentage)
        if event.message is not None:
            step.metadata["last_message"] = event.message
        if "metric" in data:
            step.metadata[data["metric"]] = data["value"]
        if "items" in data:
            self.items[step.step_id] = data["items"]

    def _set_back(self, data: Mapping[str, Any]) -> None:
        """A restore: how the `steps` that differ stand again (None where they are gone), and the `status` then."""
        steps: Mapping[str, str | None] = data.get("steps", {})
        for key in [key for key, word in steps.items() if word is None]:
            self._forget(key)
        for key, word in steps.items():
            if word is not None and key in self.steps:
                step = self.steps[key]
                before = step.status
                step.set_back(StepStatus(word))
                self._count(step, before)
        for key in [key for key in self.items if key in steps]:
            if self.steps[key].status is StepStatus.PENDING:
                del self.items[key], self.items_ended[key]
            else:
                self.steps[key].progress_percentage = self.loop_percentage(key)
        head = self._head
        head.status = ExecutionStatus(data.get("status", head.status))
        head.end_time = head.end_time if self.ended else None

    def _forget(self, step_id: str) -> None:
        if (step := self.steps.get(step_id)) is None:
            return
        before, step.status = step.status, StepStatus.PENDING
        self._count(step, before)
        self._counts[StepStatus.PENDING] -= step_id not in self._owners
        del self.steps[step_id]
        self._owners.pop(step_id, None)
        self.items.pop(step_id, None)
        del self.items_ended[step_id]

    def _step(self, step_id: str, name: str | None) -> StepProgress:
        step = self.steps.get(step_id)
        if step is None:
            if (owner := self.owner(step_id)) is not None:
                self._owners[step_id] = owner
            else:
                self._counts[StepStatus.PENDING] += 1
            step = self.steps[step_id] = StepProgress(step_id)
        step.step_name = name or step.step_name
        return step

    def _count(self, step: StepProgress, before: StepStatus) -> None:
        """Count a step where it stands now, no longer where it stood before."""
        self._running.pop(step.step_id, None)
        if step.status is StepStatus.RUNNING:
            self._running[step.step_id] = step
        if (owner := self._owners.get(step.step_id)) is not None:
            if is_item(step.step_id):
                self.items_ended[owner] += (step.status in ENDED) - (before in ENDED)
            return
        self._counts[before] -= 1
        self._counts[step.status] += 1
        head, counts = self._head, self._counts
        head.completed_steps, head.failed_steps = counts[StepStatus.COMPLETED], counts[StepStatus.FAILED]
        head.skipped_steps, head.cancelled_steps = counts[StepStatus.SKIPPED], counts[StepStatus.CANCELLED]
        head.running_steps = counts[StepStatus.RUNNING]
