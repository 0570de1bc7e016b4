"""How far one execution is: counts, and what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orchestrator.clock import utc, utc_now
from orchestrator.execution.progress.steps import elapsed, items_fraction, owner_of
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ENDED, ExecutionStatus, StepStatus
from orchestrator.types import StepKey


@dataclass(slots=True)
class ExecutionProgress:
    """One execution in numbers. Times are timezone-aware UTC; one that is given without a zone is kept as it is, and
    taken for local time.

    A step counts under its latest state alone, so that the counts never sum to more than `total_steps`. What is
    inside of a step (the items of a loop, the steps of a block or a sub-pipeline, what a recovery runs for it) is a
    part of that step and counts nowhere. What a `ProgressTracker` hands
    out is a copy, as of the moment when it was asked.
    """

    execution_id: str
    total_steps: int = 0
    status: ExecutionStatus = ExecutionStatus.PENDING
    completed_steps: int = 0
    failed_steps: int = 0
    skipped_steps: int = 0
    cancelled_steps: int = 0
    running_steps: int = 0
    #: The sum of the running steps' fractions, each from 0 to 1.
    running_fraction: float = 0.0
    start_time: datetime | None = None
    end_time: datetime | None = None
    #: When a copy was made; what depends on the time of day is reckoned for this moment.
    as_of: datetime | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, record: ExecutionRecord, total_steps: int = 0) -> ExecutionProgress:
        """What a journal's fold says. A running step is at 0, but for a loop, of which the ended items are known."""
        steps = dict(record.steps)
        holders = {key for key, step in steps.items() if step.holds_others}
        counted = [step for step in steps.values() if owner_of(step.key, steps, holders) is None]
        counts = Counter(step.status for step in counted)
        running = [step for step in counted if step.status is StepStatus.RUNNING]
        return cls(
            record.execution_id,
            max(total_steps, record.steps_total, len(counted)),
            record.status,
            counts[StepStatus.COMPLETED],
            counts[StepStatus.FAILED],
            counts[StepStatus.SKIPPED],
            counts[StepStatus.CANCELLED],
            counts[StepStatus.RUNNING],
            sum(items_fraction(step) for step in running),
            _began(record, steps),
            utc(record.ended_at) if record.ended_at is not None else None,
        )

    @property
    def pending_steps(self) -> int:
        """The steps that nothing is known of yet."""
        begun = self.completed_steps + self.failed_steps + self.skipped_steps + self.cancelled_steps
        return self.total_steps - begun - self.running_steps

    @property
    def progress_percentage(self) -> float:
        """From 0 to 100: completed and skipped steps count whole, running ones by their own fraction.

        Failed and cancelled steps count nothing. An execution that completed is at 100, whatever it skipped over.
        """
        if self.status is ExecutionStatus.COMPLETED:
            return 100.0
        if not self.total_steps:
            return 0.0
        done = self.completed_steps + self.skipped_steps + self.running_fraction
        return min(100.0, 100.0 * done / self.total_steps)

    @property
    def is_completed(self) -> bool:
        """Whether it has ended, in whatever way; `status` says how."""
        return self.status in ENDED

    @property
    def duration(self) -> timedelta | None:
        """From its start to its end, or to now while it is under way; None before its start."""
        if self.start_time is None:
            return None
        return elapsed(self.start_time, self.end_time or self.as_of or utc_now())

    @property
    def estimated_completion(self) -> datetime | None:
        """When it ends if it keeps its pace so far; its end where it has ended; None where nothing tells."""
        if self.is_completed:
            return self.end_time
        duration, percentage = self.duration, self.progress_percentage
        if self.start_time is None or duration is None or not percentage or self.status is not ExecutionStatus.RUNNING:
            return None
        try:
            return self.start_time.astimezone(UTC) + duration * (100.0 / percentage)
        except OverflowError:  # so slow that the calendar ends first
            return None


def _began(record: ExecutionRecord, steps: Mapping[StepKey, StepRecord]) -> datetime | None:
    """When it began, as far as a fold knows: when it was created, else when its first step began."""
    if record.status is ExecutionStatus.PENDING:
        return None
    begun = [step.started_at for step in steps.values() if step.started_at is not None]
    at = record.created_at or min(begun, default=None)
    return utc(at) if at is not None else None
