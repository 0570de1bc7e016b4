"""What progress tells: small facts, numbered per execution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any

from orchestrator.clock import utc_now


class ProgressEventType(StrEnum):
    """What happened."""

    EXECUTION_STARTED = auto()
    EXECUTION_COMPLETED = auto()
    EXECUTION_FAILED = auto()
    EXECUTION_PAUSED = auto()
    EXECUTION_RESUMED = auto()
    EXECUTION_CANCELLED = auto()
    STEP_STARTED = auto()
    STEP_COMPLETED = auto()
    STEP_FAILED = auto()
    STEP_SKIPPED = auto()
    STEP_RETRYING = auto()
    CHECKPOINT_CREATED = auto()
    CHECKPOINT_RESTORED = auto()
    PROGRESS_UPDATE = auto()
    CUSTOM_EVENT = auto()


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One fact about an execution. `sequence` counts the events of its execution from 1; 0 where none was given yet.

    `data` says what the type does not: `progress_percentage`, `total_steps`, what a step holds from then on (`items` of
    a loop, the attempt of a `block`, the number of a `round`), `checkpoint`, the `status` of a step that was given up,
    the `steps` that a restore or a rerun sets back, the `kind` of a CUSTOM_EVENT. Treat it as read-only: every handler
    sees the same.
    """

    event_type: ProgressEventType
    timestamp: datetime = field(default_factory=utc_now)
    execution_id: str = ""
    step_id: str | None = None
    step_name: str | None = None
    message: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the type as its word, the time as ISO text, and what JSON has no word for as its text."""
        return {
            "event_type": self.event_type.value,
            "timestamp": self.timestamp.isoformat(),
            "execution_id": self.execution_id,
            "step_id": self.step_id,
            "step_name": self.step_name,
            "message": self.message,
            "data": _plain(self.data),
            "sequence": self.sequence,
        }


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(_plain(key)): _plain(child) for key, child in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(child) for child in value]
        case datetime():
            return value.isoformat()
    return str(value)
