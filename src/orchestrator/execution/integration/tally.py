"""The counts that the summary row of an execution shows.

They are kept as events are sealed, since the fold lags behind by what is in flight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.keys import is_step
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
    #: When a waiting execution is to be woken: infinity for one that only a message wakes; None where it does not wait.
    next_due: float | None = None

    def count(self, entry: Entry, record: ExecutionRecord) -> None:
        """Take in one event. `record` is looked at where nothing that counts then is in flight."""
        event = entry.event
        self.updated_at = entry.at
        self.created_at = self.created_at or entry.at
        self.status = ev.STATUS_AFTER.get(type(event), self.status)
        match event:
            case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key):
                self.done += is_step(key)
            case ev.StepFailed(key=key):
                self.failed += event.cause is None
            case ev.BlockEntered(key=key):  # what an earlier attempt held is forgotten
                self._forget(record.inside(key), record)
            case ev.ExecutionRetried(keys=keys):
                self._set_back(keys, (), record)
            case ev.ExecutionRestored(keys=keys, expanded=kept) | ev.ExecutionRerun(keys=keys, expanded=kept):
                self._set_back(keys, kept, record)
            case ev.ExecutionForked():
                self.status, self.message, self.next_due = ExecutionStatus.PAUSED, "", None
            case ev.ExecutionPaused(reason=reason):
                self.message = reason
                self.next_due = (math.inf if event.until is None else event.until) if event.waits else None
            case ev.ExecutionClaimed():
                self.message, self.next_due = "", None
            case ev.ExecutionFailed(error=error):
                self.message = str(error.get("message", ""))[:500]

    def _set_back(self, keys: Sequence[StepKey], kept: Sequence[StepKey], record: ExecutionRecord) -> None:
        """What begins anew counts no more, with all that is inside of it but where it is `kept`."""
        self.message = ""
        found = (inner for key in keys for inner in (key, *(record.inside(key) if key not in kept else ())))
        self._forget(dict.fromkeys(found), record)

    def _forget(self, keys: Iterable[StepKey], record: ExecutionRecord) -> None:
        for key in keys:
            step = record.steps.get(key)
            if step is not None:
                self.done -= is_step(key) and step.status in ENDED_WELL
                self.failed -= step.status is StepStatus.FAILED and step.cause is None
