"""The fold: events to the state that views show and a session goes on from.

`ExecutionRecord.apply` takes events one by one, live or replayed, and keeps per step what a person asks for: where it
stands, how often it was tried, what came out. It decides nothing and checks nothing (the machine does), so that it can
show any journal, also one that stopped half-way. The step of a loop stands as failed while one of its items does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, ErrorData
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

_ITEM = re.compile(r"(.+)\[(\d+)\]\Z")


def item_key(loop: StepKey, index: int) -> StepKey:
    """The step key of one item of a loop: `months[3]`."""
    return StepKey(f"{loop}[{index}]")


def split_item_key(key: StepKey) -> tuple[StepKey, int] | None:
    """The loop and the index of an item's key; None for the key of a plain step."""
    if not key.endswith("]"):
        return None
    found = _ITEM.match(key)
    return (StepKey(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that failed: when, why, and when the next one was due (None for the last)."""

    attempt: int
    at: float
    error: ErrorData
    due_at: float | None


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
    #: Of this generation; kept for the story of an error also when a later attempt succeeded.
    failures: list[FailedAttempt] | None = None

    @property
    def error(self) -> ErrorData | None:
        """Why it failed for good, or why its latest attempt did."""
        return self.failures[-1].error if self.failures else None

    @property
    def failed_attempts(self) -> int:
        """How many attempts of this generation failed."""
        return self.failures[-1].attempt if self.failures else 0

    def _fail(self, failure: FailedAttempt) -> None:
        if self.failures is None:
            self.failures = []
        self.failures.append(failure)


@dataclass(slots=True)
class ExecutionRecord:
    """What is known of one execution."""

    execution_id: ExecutionId
    pipeline_id: str = ""
    status: ExecutionStatus = ExecutionStatus.PENDING
    position: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    ended_at: float | None = None
    model: Encoded | None = None
    fingerprint: str = ""
    base_dir: str = ""
    inputs: Mapping[str, Encoded] = field(default_factory=dict)
    variables: dict[str, tuple[Encoded, StepKey]] = field(default_factory=dict)
    steps: dict[StepKey, StepRecord] = field(default_factory=dict)
    outputs: Encoded | None = None
    error: ErrorData | None = None
    failed_step: StepKey | None = None
    pause_reason: str = ""
    owner: str = ""
    epoch: int = 0
    steps_total: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    checkpoints: dict[str, int] = field(default_factory=dict)
    #: How often in a row the execution was claimed after a crash with nothing achieved in between.
    claims_without_progress: int = 0
    _progress: bool = True

    @classmethod
    def of(cls, execution_id: ExecutionId, entries: Iterable[Entry]) -> ExecutionRecord:
        """The fold of a journal."""
        record = cls(execution_id)
        for entry in entries:
            record.apply(entry)
        return record

    def step(self, key: StepKey) -> StepRecord:
        """The record of a step; made where nothing was recorded of it yet."""
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = StepRecord(key)
        return found

    def apply(self, entry: Entry) -> None:
        """Take in one event."""
        self.position, self.updated_at = entry.position, entry.at
        event, at = entry.event, entry.at
        match event:
            case ev.StepStarted(key=key, attempt=attempt):
                step = self.step(key)
                step.status, step.attempt = StepStatus.RUNNING, attempt
                step.started_at = step.started_at or at
            case ev.StepSucceeded(key=key, output=output, writes=writes, checkpoint=checkpoint):
                step = self._end(key, StepStatus.COMPLETED, at)
                step.output, step.checkpoint = output, checkpoint
                for name, value in writes:
                    self.variables[name] = (value, key)
                if checkpoint is not None:
                    self.checkpoints[checkpoint] = entry.position
            case ev.StepSkipped(key=key, reason=reason):
                self._end(key, StepStatus.SKIPPED, at).reason = reason
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
                self.step(key)._fail(FailedAttempt(attempt, at, error, due_at))
                self._progress = True
            case ev.StepFailed(key=key, attempt=attempt, error=error):
                self._end(key, StepStatus.FAILED, at)._fail(FailedAttempt(attempt, at, error, None))
            case ev.LoopExpanded(key=key, items=items):
                step = self.step(key)
                step.status, step.started_at, step.items = StepStatus.RUNNING, at, items
                self._progress = True
            case ev.ExecutionRetried(keys=keys):
                self._retry(keys)
            case _:
                self._apply_life(event, at)

    def _apply_life(self, event: ev.Event, at: float) -> None:
        match event:
            case ev.ExecutionCreated():
                self.pipeline_id, self.model, self.fingerprint = (
                    event.pipeline_id,
                    event.model,
                    event.fingerprint,
                )
                self.inputs, self.base_dir, self.created_at = dict(event.inputs), event.base_dir, at
            case ev.ExecutionClaimed(owner=owner, epoch=epoch):
                crashed = self.status is ExecutionStatus.RUNNING
                self.claims_without_progress = self.claims_without_progress + 1 if crashed and not self._progress else 0
                self._progress = False
                self.status, self.owner, self.epoch = ExecutionStatus.RUNNING, owner, epoch
                self.ended_at, self.error, self.failed_step, self.pause_reason = None, None, None, ""
            case ev.ExecutionPaused(reason=reason):
                self.status, self.pause_reason = ExecutionStatus.PAUSED, reason
            case ev.ExecutionCompleted(outputs=outputs):
                self.status, self.outputs, self.ended_at = ExecutionStatus.COMPLETED, outputs, at
            case ev.ExecutionFailed(step_key=step_key, error=error):
                self.status, self.error, self.failed_step, self.ended_at = (
                    ExecutionStatus.FAILED,
                    error,
                    step_key,
                    at,
                )

    def _end(self, key: StepKey, status: StepStatus, at: float) -> StepRecord:
        step = self.step(key)
        step.status, step.ended_at = status, at
        step.started_at = step.started_at or at
        self._progress = True
        failed = status is StepStatus.FAILED
        if found := split_item_key(key):
            loop = self.step(found[0])
            loop.items_done += not failed
            loop.items_failed += failed
            if failed:
                loop.status = StepStatus.FAILED
        else:
            self.steps_done += not failed
        self.steps_failed += failed
        return step

    def _retry(self, keys: tuple[StepKey, ...]) -> None:
        for key in keys:
            self.steps[key] = StepRecord(key, generation=self.step(key).generation + 1)
            self.steps_failed -= 1
            if found := split_item_key(key):
                loop = self.step(found[0])
                loop.items_failed -= 1
                if not loop.items_failed:
                    loop.status = StepStatus.RUNNING
