"""The events of an execution: frozen facts, in the past tense.

An execution's journal is the ordered list of these; its state is what they fold to. An event says what was decided
or what came out, never how to do it. Positions count events from 1. Times are seconds since the epoch, UTC, and stand
in the `Entry`, not in the event, so that an event compares by what it says.

Values (inputs, outputs, variables, loop items) are carried encoded: a fold never needs to decode them, and each reader
gets a copy of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.journal.codec import Encoded
from orchestrator.status import ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: What `failure.ErrorInfo.to_dict` gives.
ErrorData: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExecutionCreated:
    """An execution was asked for. `model` is the pipeline's canonical form, `base_dir` where its handlers live."""

    execution_id: ExecutionId
    pipeline_id: str
    model: Encoded
    fingerprint: str
    inputs: tuple[tuple[str, Encoded], ...]
    base_dir: str


@dataclass(frozen=True, slots=True)
class ExecutionClaimed:
    """A process took the execution to run it, for the first time or after another one; `owner` reads `host:pid`."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ExecutionPaused:
    """Nothing runs until somebody resumes it."""

    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionCompleted:
    """Every step ended well; `outputs` is the mapping that the pipeline declares."""

    outputs: Encoded


@dataclass(frozen=True, slots=True)
class ExecutionFailed:
    """A step (or the outputs, where `step_key` is None) failed for good."""

    step_key: StepKey | None
    error: ErrorData


@dataclass(frozen=True, slots=True)
class ExecutionRetried:
    """Somebody asked for another go: each of these failed steps gets a new generation."""

    keys: tuple[StepKey, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An attempt began. Committed with its outcome, or alone when that takes longer than 10 ms."""

    key: StepKey
    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StepRetrying:
    """An attempt failed and another one is due at `due_at` (seconds since the epoch)."""

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData
    due_at: float


@dataclass(frozen=True, slots=True)
class LoopExpanded:
    """The items of a `for_each` step, each of which becomes a step `key[i]`."""

    key: StepKey
    generation: int
    items: tuple[Encoded, ...]


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """A step ended well. `output` is None for a loop, whose output is the list of its items' outputs.

    `writes` are the GLOBAL variables that it set, `checkpoint` the name that its place in the journal was given.
    """

    key: StepKey
    generation: int
    attempt: int
    output: Encoded | None
    writes: tuple[tuple[str, Encoded], ...] = ()
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step's `when` was false: its variable is null, and what depends on it goes on."""

    key: StepKey
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed for good."""

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData


Event: TypeAlias = (
    ExecutionCreated
    | ExecutionClaimed
    | ExecutionPaused
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionRetried
    | StepStarted
    | StepRetrying
    | LoopExpanded
    | StepSucceeded
    | StepSkipped
    | StepFailed
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place: `position` counts from 1 within its execution, `at` is seconds since the epoch."""

    position: int
    at: float
    event: Event


#: Where each event of an execution's life leads; the others leave its status as it is.
STATUS_AFTER: Mapping[type[Event], ExecutionStatus] = {
    ExecutionCreated: ExecutionStatus.PENDING,
    ExecutionClaimed: ExecutionStatus.RUNNING,
    ExecutionPaused: ExecutionStatus.PAUSED,
    ExecutionCompleted: ExecutionStatus.COMPLETED,
    ExecutionFailed: ExecutionStatus.FAILED,
}
