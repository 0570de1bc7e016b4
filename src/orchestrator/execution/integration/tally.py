"""The counts that the summary row of an execution shows.

They are kept as events are sealed, since the fold lags behind by what is in flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord, is_part, is_step
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import StepKey


@dataclass(slots=True)
class Tally:
    """What was sealed so far, counted."""

    status: ExecutionStatus = ExecutionStatus.PENDING
    created_at: float = 0.0
    updated_at: float = 0.0
    done: int = 0
    failed: int = 0
    message: str = ""

    def count(self, entry: Entry, record: ExecutionRecord) -> None:
        """Take in one event. `record` is looked at for a restore only, when nothing is in flight."""
        event = entry.event
        self.updated_at = entry.at
        self.created_at = self.created_at or entry.at
        self.status = ev.STATUS_AFTER.get(type(event), self.status)
        match event:
            case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key):
                self.done += is_step(key)
            case ev.StepFailed(key=key):
                self.failed += not is_part(key)
            case ev.ExecutionRetried(keys=keys):
                self.failed -= len(keys)
                self.message = ""
            case ev.ExecutionRestored(keys=keys):
                self._set_back(keys, record)
            case ev.ExecutionPaused(reason=reason):
                self.message = reason
            case ev.ExecutionClaimed():
                self.message = ""
            case ev.ExecutionFailed(error=error):
                self.message = str(error.get("message", ""))[:500]

    def _set_back(self, keys: Sequence[StepKey], record: ExecutionRecord) -> None:
        for key in keys:
            step = record.steps.get(key)
            if step is not None and is_step(key):
                self.done -= step.status in ENDED_WELL
                self.failed -= step.status is StepStatus.FAILED
