"""What a verb comes to: the events that follow from it, as the execution stands.

Each of these yields events one by one, and goes on when the one before was applied; so what is asked of the ledger is
always asked of the latest state. None of them changes anything.

A step that ends without having begun is begun first. What is said of a step that has ended is ignored, but for a new
start and for a metric. Of two reports on a running step the later one counts, also where it says less: work may turn
out to be more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.ledger import Ledger
from orchestrator.execution.progress.steps import clamped, is_item
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ExecutionStatus, StepStatus

Events: TypeAlias = Iterator[ProgressEvent]

_Type = ProgressEventType


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides for one execution, at one moment."""

    ledger: Ledger
    at: datetime

    def event(
        self, event_type: ProgressEventType, step_id: str | None = None, message: str | None = None, **data: Any
    ) -> ProgressEvent:
        """An event of this execution; a known step's name is added."""
        step = self.ledger.steps.get(step_id) if step_id is not None else None
        name = step.step_name if step is not None else step_id
        return ProgressEvent(event_type, self.at, self.ledger.execution_id, step_id, name, message, data)

    # -- the execution -----------------------------------------------------------------------------------------------

    def begin(self) -> Events:
        """A verb about a step of an execution that nobody started starts it."""
        if self.ledger.status is ExecutionStatus.PENDING:
            yield self.event(_Type.EXECUTION_STARTED, total_steps=self.ledger.total_steps)

    def start_execution(self, total_steps: int) -> Events:
        """Start it, also again after its end; where it is under way, only take over how many steps there are."""
        if self.ledger.status is ExecutionStatus.PENDING or self.ledger.ended or not self.ledger.sequence:
            yield self.event(_Type.EXECUTION_STARTED, total_steps=total_steps)
        else:
            yield from self.announce(total_steps)

    def join_execution(self, total_steps: int) -> Events:
        """As `start_execution`, for one that its journal has started, whose entry may still be on its way here."""
        if self.ledger.status is not ExecutionStatus.PENDING and not self.ledger.ended:
            yield from self.start_execution(total_steps)

    def announce(self, total_steps: int) -> Events:
        """Say how many steps there are, where that is news."""
        if total_steps and total_steps != self.ledger.total_steps:
            yield self.event(_Type.PROGRESS_UPDATE, total_steps=total_steps)

    def complete_execution(self, success: bool) -> Events:
        """End it, once."""
        yield from self.begin()
        if not self.ledger.ended:
            yield self.event(_Type.EXECUTION_COMPLETED if success else _Type.EXECUTION_FAILED)

    # -- steps -------------------------------------------------------------------------------------------------------

    def start_step(self, step_id: str, name: str | None = None) -> Events:
        """Start it, also again after its end; nothing where it runs."""
        if self.ledger.steps.is_running(step_id):
            return
        steps = self.ledger.steps
        for holder in reversed(steps.owners(step_id)):
            if holder in steps.holders and not steps.is_running(holder):
                yield self.event(_Type.STEP_STARTED, holder)
        started = self.event(_Type.STEP_STARTED, step_id)
        yield ProgressEvent(_Type.STEP_STARTED, self.at, started.execution_id, step_id, name or started.step_name)

    def complete_step(
        self, step_id: str, success: bool, message: str | None, percentage: float = 100.0, name: str | None = None
    ) -> Events:
        """End it, well or not; nothing where it has ended. `message` is the error of one that failed.

        A failure at 100 is one that nothing is said of: it keeps what it came to.
        """
        if self.ledger.steps.has_ended(step_id):
            return
        yield from self.start_step(step_id, name)
        data = {"progress_percentage": clamped(percentage)} if success or percentage != 100.0 else {}
        if success:
            yield self.event(_Type.STEP_COMPLETED, step_id, message, **data)
            yield from self._loop_goes_on(step_id)
        else:
            yield self.event(_Type.STEP_FAILED, step_id, message, **data)
            yield from self._loop_goes_on(step_id)

    def fail_around(self, step_id: str, message: str) -> Events:
        """What a step is inside of has failed with it; in journals of old no event of its own says so."""
        for holder in self.ledger.steps.owners(step_id):
            if not self.ledger.steps.has_ended(holder):
                yield self.event(_Type.STEP_FAILED, holder, f"{step_id}: {message}")

    def cancel_step(self, step_id: str) -> Events:
        """Give it up; nothing where it has ended."""
        if not self.ledger.steps.has_ended(step_id):
            yield from self.start_step(step_id)
            word = StepStatus.CANCELLED
            yield self.event(_Type.STEP_FAILED, step_id, word, status=word)
            yield from self._loop_goes_on(step_id)

    def skip_step(self, step_id: str, reason: str) -> Events:
        """Leave it out; nothing where it has ended."""
        if not self.ledger.steps.has_ended(step_id):
            yield self.event(_Type.STEP_SKIPPED, step_id, reason)
            yield from self._loop_goes_on(step_id)

    def update_step(self, step_id: str, percentage: float | None, message: str | None, **data: Any) -> Events:
        """Say how far it is, or something else about it; starts a step that has not begun.

        Of one that has ended only a metric is taken.
        """
        if self.ledger.steps.has_ended(step_id):
            percentage = message = None
            if "metric" not in data:
                return
        else:
            yield from self.start_step(step_id)
        if percentage is not None:
            data["progress_percentage"] = clamped(percentage)
        yield self.event(_Type.PROGRESS_UPDATE, step_id, message, **data)

    def take_report(self, step_id: str, percentage: float | None, message: str | None, **data: Any) -> Events:
        """As `update_step`, for a report that nothing orders with the journal, such as a note of a handler.

        A step that its journal has set back (a restore, a retry) is begun by the journal alone: the report may be of a
        handler that has not heard of it.
        """
        if not (self.ledger.position and self.ledger.steps.is_set_back(step_id)):
            yield from self.update_step(step_id, percentage, message, **data)

    def report_on(self, step: StepRecord, percentage: float | None, message: str | None, **data: Any) -> Events:
        """As `update_step`, for one that stands so in its journal, whose entries may still be on their way here."""
        if step.status is StepStatus.RUNNING:
            yield from self.start_step(step.key, step.name or None)
            yield from self.update_step(step.key, percentage, message, **data)
        elif "metric" in data:
            yield from self.update_step(step.key, None, None, **data)

    def hold(self, step_id: str, **what: Any) -> Events:
        """A step holds others. Of a loop's `items` each ended one is a part of its progress."""
        yield from self.start_step(step_id)
        yield self.event(_Type.PROGRESS_UPDATE, step_id, **what)

    def try_again(self, step_id: str) -> Events:
        """A step that failed for good gets another go, and so does what failed with it around it."""
        for holder in reversed(self.ledger.steps.owners(step_id)):
            if self.ledger.steps.has_ended(holder):
                yield self.event(_Type.STEP_RETRYING, holder)
        yield self.event(_Type.STEP_RETRYING, step_id, afresh=True)

    def _loop_of(self, step_id: str) -> str | None:
        owner = self.ledger.steps.owner(step_id) if is_item(step_id) else None
        return owner if owner in self.ledger.steps.items else None

    def _loop_goes_on(self, step_id: str) -> Events:
        loop = self._loop_of(step_id)
        if loop is None or not self.ledger.steps.is_running(loop):
            return
        ended = self.ledger.steps.items_ended[loop]
        yield from self.update_step(loop, self.ledger.steps.loop_percentage(loop), None, items_ended=ended)
