"""What is known of one step, as the fold keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import ErrorData
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

_ENDED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that failed: when, why, and when the next one was due (None for the last)."""

    attempt: int
    at: float
    error: ErrorData
    due_at: float | None
    #: When the recovery must be over.
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Intervention:
    """What a person was asked about a failed step, and the answer: `decision` is None until there is one."""

    instructions: str
    asked_at: float
    deadline: float | None = None
    decision: str | None = None
    value: Encoded | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """The attempt of a step that holds others: which case of a switch, the inputs of a sub-pipeline, its deadline.

    `since` is when its time began to run; `late` says whether its deadline has passed.
    """

    attempt: int
    case: int | None = None
    inputs: tuple[tuple[str, Encoded], ...] = ()
    deadline: float | None = None
    since: float = 0.0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step waits for, since when and until when, and what came: see `events.StepWaiting`.

    `over` says what ended it: `due` (the time, or the deadline), `signal`, or `answer`.
    """

    kind: str
    since: float
    until: float | None = None
    subject: str = ""
    ask: Mapping[str, Any] = field(default_factory=dict)
    over: str | None = None
    value: Encoded | None = None
    decision: str | None = None
    by: str = ""
    over_at: float | None = None


@dataclass(slots=True)
class StepRecord:
    """What is known of one step. `attempt` is the latest one begun, 0 before the first."""

    key: StepKey
    status: StepStatus = StepStatus.PENDING
    generation: int = 1
    attempt: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    output: Encoded | None = None
    items: tuple[Encoded, ...] | None = None
    items_done: int = 0
    items_failed: int = 0
    reason: str = ""
    checkpoint: str | None = None
    name: str = ""
    #: The recovery plan that was chosen when the attempts were over (RecoveryPlan.to_dict); None where none was.
    plan: Mapping[str, Any] | None = None
    intervention: Intervention | None = None
    #: Attempts that were used up before a rollback: a budget that no restore gives back.
    spent: int = 0
    #: Of this generation; kept for the story of an error also when a later attempt succeeded.
    failures: list[FailedAttempt] | None = None
    #: The attempt that holds other steps, where this one does.
    block: Block | None = None
    #: Whether the output of a loop says of each item whether it succeeded.
    collects: bool = False
    #: How many rounds of a `while` were begun; None for other steps.
    rounds: int | None = None
    #: The steps of its block that its output is a mapping of; None where it is made otherwise.
    parts: tuple[str, ...] | None = None
    waiting_for: Waiting | None = None
    #: The policy for an attempt whose effect is in doubt; None where none is.
    in_doubt: str | None = None
    #: The step inside of it that made it fail.
    cause: StepKey | None = None
    #: What is known inside of it, directly.
    inner: dict[StepKey, None] | None = None

    @property
    def error(self) -> ErrorData | None:
        """Why it failed for good, or why its latest attempt did."""
        return self.failures[-1].error if self.failures else None

    @property
    def waiting(self) -> bool:
        """Whether it waits for a person, a signal or a time that has not come."""
        if self.status in _ENDED:
            return False  # given up before it came
        asked, awaited = self.intervention, self.waiting_for
        return (asked is not None and asked.decision is None) or (awaited is not None and awaited.over is None)

    @property
    def failed_attempts(self) -> int:
        """How many attempts failed, those before a rollback included."""
        return self.failures[-1].attempt if self.failures else self.spent

    @property
    def holds_others(self) -> bool:
        """Whether other steps are inside of it: items, rounds, or those of a block."""
        return self.items is not None or self.block is not None or self.rounds is not None

    def fail(self, failure: FailedAttempt) -> None:
        """Note a failed attempt."""
        if self.failures is None:
            self.failures = []
        self.failures.append(failure)
