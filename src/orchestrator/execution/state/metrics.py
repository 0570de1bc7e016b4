"""What an execution has come to, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.clock import utc_now


@dataclass(slots=True)
class ExecutionMetrics:
    """Counts and times of one execution. Not thread-safe: an `ExecutionContext` alone changes its own.

    A step counts where it stands now: one that failed and then succeeded is completed, and a retry more. Times are
    timezone-aware UTC; those of an execution that has not begun are None. A naive time given by a caller is kept as
    given, and read as local time where times are compared.
    """

    start_time: datetime | None = field(default_factory=utc_now)
    end_time: datetime | None = None
    duration: timedelta | None = None
    steps_completed: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0
    steps_total: int = 0
    variables_created: int = 0
    variables_updated: int = 0
    checkpoints_created: int = 0
    retries: int = 0

    def mark_completed(self, at: datetime | None = None) -> None:
        """Set the end, now or at that time, and with it the duration."""
        self.end_time = at or utc_now()
        self.duration = None if self.start_time is None else self.end_time.astimezone() - self.start_time.astimezone()

    def completion_percentage(self) -> float:
        """How many of the steps ended well (completed or skipped), from 0 to 100; 0.0 where there are none."""
        if not self.steps_total:
            return 0.0
        return 100.0 * (self.steps_completed + self.steps_skipped) / self.steps_total

    def success_rate(self) -> float:
        """How many of the steps that succeeded or failed did succeed, from 0 to 100; 0.0 where none did either."""
        attempted = self.steps_completed + self.steps_failed
        return 100.0 * self.steps_completed / attempted if attempted else 0.0
