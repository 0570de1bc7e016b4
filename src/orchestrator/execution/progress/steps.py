"""How far one step is."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.clock import utc, utc_now
from orchestrator.journal.keys import place_of, split_item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

#: A step in one of these goes on only when it is started again.
ENDED = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})


def clamped(percentage: float) -> float:
    """A percentage brought into 0 to 100. Raises ValueError or TypeError where it is no number."""
    number = float(percentage)
    if number != number:
        raise ValueError("a percentage cannot be NaN")
    return min(100.0, max(0.0, number))


def is_item(step_id: str) -> bool:
    """Whether a step's key reads like that of an item of a loop."""
    return split_item_key(StepKey(step_id)) is not None


def owner_of(step_id: str, known: Container[str], holders: Container[str]) -> str | None:
    """The nearest known step that one is inside of: an item `months[3]`, a part `fetch/mirror`, `route.small`.

    None where none is known. A dot may stand in any name: it counts behind a step that is known to hold others.
    """
    place = place_of(StepKey(step_id))
    if place is None:
        return None
    if place.owner in known and (place.mark != "." or place.owner in holders):
        return place.owner
    return owner_of(place.owner, known, holders)


def items_fraction(step: StepRecord) -> float:
    """How many of a loop's items have ended, from 0 to 1; 0.0 for a step that is no loop."""
    return (step.items_done + step.items_failed) / len(step.items) if step.items else 0.0


def elapsed(start: datetime, end: datetime) -> timedelta:
    """From one time to another; one without a zone is local time."""
    return end.astimezone(UTC) - start.astimezone(UTC)


@dataclass(slots=True)
class StepProgress:
    """One step: where it stands, since when, and how far it is (0 to 100). Times are timezone-aware UTC.

    One that is given without a zone is kept as it is, and taken for local time.

    Usable alone; not thread-safe. What a `ProgressTracker` hands out is a copy, as of the moment when it was asked.
    """

    step_id: str
    step_name: str = ""
    status: StepStatus = StepStatus.PENDING
    start_time: datetime | None = None
    end_time: datetime | None = None
    progress_percentage: float = 0.0
    error_message: str | None = None
    #: `skip_reason`, `last_message`, and whatever else was reported for it.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: When a copy was made; a running step's duration ends there.
    as_of: datetime | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.step_name = self.step_name or self.step_id

    def start(self, *, at: datetime | None = None) -> None:
        """Run from now on, from 0; also for another time."""
        self.status, self.start_time, self.end_time = StepStatus.RUNNING, at or utc_now(), None
        self.progress_percentage, self.error_message = 0.0, None
        self.metadata.pop("skip_reason", None)

    def complete(self, progress_percentage: float = 100.0, *, at: datetime | None = None) -> None:
        """End well; a step that was not started is started at the same moment."""
        self._end(StepStatus.COMPLETED, at)
        self.progress_percentage = clamped(progress_percentage)

    def fail(self, msg: str, *, at: datetime | None = None) -> None:
        """End in failure; the percentage says how far it came."""
        self._end(StepStatus.FAILED, at)
        self.error_message = msg

    def skip(self, reason: str = "", *, at: datetime | None = None) -> None:
        """Be left out; `metadata["skip_reason"]` says why."""
        self._end(StepStatus.SKIPPED, at)
        self.metadata["skip_reason"] = reason

    def try_again(self) -> None:
        """Begin from 0: the next attempt of a running step, or another go for one that has ended."""
        self.progress_percentage = 0.0
        if self.is_completed:
            self.status, self.end_time, self.error_message = StepStatus.PENDING, None, None

    def set_back(self, status: StepStatus) -> None:
        """Stand again as it stood at a checkpoint; nothing more is known of that than the status."""
        self.status, self.error_message = status, None
        self.progress_percentage = 100.0 if status is StepStatus.COMPLETED else 0.0
        if status not in ENDED:
            self.end_time = None
        if status is StepStatus.PENDING:
            self.start_time, self.metadata = None, {}

    def cancel(self, *, at: datetime | None = None) -> None:
        """Be given up with the execution."""
        self._end(StepStatus.CANCELLED, at)

    def _end(self, status: StepStatus, at: datetime | None) -> None:
        self.status, self.end_time = status, at or utc_now()
        self.start_time = self.start_time or self.end_time

    @classmethod
    def of(cls, record: StepRecord) -> StepProgress:
        """What a journal's fold says of one."""
        step = cls(record.key, record.name)
        step.status, step.progress_percentage = record.status, 100.0 * items_fraction(record)
        step.start_time = utc(record.started_at) if record.started_at is not None else None
        step.end_time = utc(record.ended_at) if record.ended_at is not None else None
        match record.status:
            case StepStatus.COMPLETED:
                step.progress_percentage = 100.0
            case StepStatus.FAILED:
                step.error_message = str((record.error or {}).get("message", ""))
            case StepStatus.SKIPPED:
                step.metadata["skip_reason"] = record.reason
        return step

    @property
    def duration(self) -> timedelta | None:
        """From its start to its end, or to now while it runs; None before it started."""
        if self.start_time is None:
            return None
        return elapsed(self.start_time, self.end_time or self.as_of or utc_now())

    @property
    def is_completed(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in ENDED

    @property
    def is_successful(self) -> bool:
        """Whether it ran and ended well."""
        return self.status is StepStatus.COMPLETED
