"""The fold: events to the state that views show and a session goes on from.

`ExecutionRecord.apply` takes events one by one, live or replayed, and keeps per step what a person asks for: where it
stands, how often it was tried, what came out. It decides nothing and checks nothing (the machine does), so that it can
show any journal, also one that stopped half-way. The step of a loop stands as failed while one of its items does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, ErrorData
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

#: Variables and their new values, as events carry them.
Writes: TypeAlias = tuple[tuple[str, Encoded], ...]

#: What depends on a step goes on after these.
ENDED_WELL = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})

#: A key is taken apart a dozen times while its step runs.
_KEYS_KNOWN = 4096


def item_key(loop: StepKey, index: int) -> StepKey:
    """The step key of one item of a loop: `months[3]`."""
    return StepKey(f"{loop}[{index}]")


def part_key(key: StepKey, name: str) -> StepKey:
    """The step key of something that a step's recovery runs for it: `fetch/mirror`."""
    return StepKey(f"{key}/{name}")


def is_part(key: StepKey) -> bool:
    """Whether a key belongs to something that another step runs for itself."""
    return "/" in key


@lru_cache(_KEYS_KNOWN)
def split_item_key(key: StepKey) -> tuple[StepKey, int] | None:
    """The loop and the index of an item's key; None for the key of a plain step."""
    if key[-1:] != "]":
        return None
    loop, _, index = key[:-1].rpartition("[")
    return (StepKey(loop), int(index)) if loop and index.isdecimal() else None


@lru_cache(_KEYS_KNOWN)
def is_step(key: StepKey) -> bool:
    """Whether a key is that of a step of the pipeline, not of an item of a loop or of a part of a recovery."""
    return not is_part(key) and split_item_key(key) is None


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

    @property
    def error(self) -> ErrorData | None:
        """Why it failed for good, or why its latest attempt did."""
        return self.failures[-1].error if self.failures else None

    @property
    def waiting(self) -> bool:
        """Whether a person was asked about it and has not answered."""
        return self.intervention is not None and self.intervention.decision is None

    @property
    def failed_attempts(self) -> int:
        """How many attempts failed, those before a rollback included."""
        return self.failures[-1].attempt if self.failures else self.spent

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
    #: Which steps each step needs, by their places in the model; None in journals of old.
    graph: Encoded | None = None
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
    #: Checkpoint (by name where a person gave one, else by id) -> its position.
    checkpoints: dict[str, int] = field(default_factory=dict)
    #: How often a step's recovery set the execution back: a budget, which no restore gives back.
    rollbacks: dict[StepKey, int] = field(default_factory=dict)
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
            case ev.StepStarted(key=key, generation=generation, attempt=attempt, name=name):
                step = self.step(key)
                step.status, step.generation, step.attempt = StepStatus.RUNNING, generation, attempt
                step.started_at = step.started_at or at
                if name:
                    step.name = name
            case ev.StepSucceeded(key=key, output=output, writes=writes, checkpoint=checkpoint):
                step = self._end(key, StepStatus.COMPLETED, at)
                step.output, step.checkpoint = output, checkpoint
                for name, value in writes:
                    self.variables[name] = (value, key)
                if checkpoint is not None:
                    self.checkpoints[checkpoint] = entry.position
            case ev.StepSkipped(key=key, reason=reason, output=output):
                step = self._end(key, StepStatus.SKIPPED, at)
                step.reason, step.output = reason, output
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at, deadline=deadline):
                self.step(key)._fail(FailedAttempt(attempt, at, error, due_at, deadline))
                self._progress = True
            case ev.StepFailed(key=key, attempt=attempt, error=error):
                self._end(key, StepStatus.FAILED, at)._fail(FailedAttempt(attempt, at, error, None))
            case ev.LoopExpanded(key=key, items=items):
                step = self.step(key)
                step.status, step.started_at, step.items = StepStatus.RUNNING, at, items
                self._progress = True
            case ev.ExecutionRetried(keys=keys):
                self._retry(keys)
            case ev.CheckpointCreated(checkpoint=checkpoint, description=description):
                self.checkpoints[description or checkpoint] = entry.position
            case ev.StepRecovering() | ev.InterventionRequested() | ev.InterventionAnswered():
                self._apply_recovery(event, at)
            case ev.VariablesChanged(writes=writes, deleted=deleted, source=source):
                self._change_variables(writes, deleted, StepKey(source or ""))
            case ev.ExecutionRestored(checkpoint=checkpoint, keys=keys, expanded=expanded, cause=cause):
                if cause is not None:
                    self.rollbacks[cause] = self.rollbacks.get(cause, 0) + 1
                self._change_variables(event.writes, event.deleted, StepKey(f"restore:{checkpoint}"))
                self._renew(keys, expanded)
            case _:
                self._apply_life(event, at)

    def _apply_recovery(
        self, event: ev.StepRecovering | ev.InterventionRequested | ev.InterventionAnswered, at: float
    ) -> None:
        step = self.step(event.key)
        match event:
            case ev.StepRecovering(attempt=attempt, error=error, plan=plan):
                step.plan = plan
                step._fail(FailedAttempt(attempt, at, error, None))
            case ev.InterventionRequested(attempt=attempt, error=error, instructions=instructions, deadline=deadline):
                step._fail(FailedAttempt(attempt, at, error, None))
                step.intervention = Intervention(instructions, at, deadline)
            case ev.InterventionAnswered(decision=decision, value=value, by=by):
                asked = step.intervention or Intervention("", at)
                step.intervention = replace(asked, decision=decision, value=value, by=by)
        self._progress = True

    def _change_variables(self, writes: Writes, deleted: tuple[str, ...], source: StepKey) -> None:
        for name, value in writes:
            self.variables[name] = (value, source)
        for name in deleted:
            self.variables.pop(name, None)

    def _renew(self, keys: tuple[StepKey, ...], expanded: tuple[StepKey, ...]) -> None:
        """Begin a new generation of these steps: nothing is known of it yet. Items go with their loop."""
        renewed = set(keys)
        for key in [*self.steps]:
            owner = StepKey(key.partition("/")[0])
            found = split_item_key(owner)
            gone = found is not None and found[0] in renewed and found[0] not in expanded
            if key not in renewed and (owner in renewed or gone):
                del self.steps[key]
        for key in keys:
            old = self.step(key)
            new = self.steps[key] = StepRecord(key, generation=old.generation + 1, spent=old.failed_attempts)
            if key in expanded:
                new.status, new.started_at, new.items = StepStatus.RUNNING, old.started_at, old.items
        self._count()

    def _count(self) -> None:
        """The counts, afresh."""
        self.steps_done = self.steps_failed = 0
        for step in self.steps.values():
            step.items_done = step.items_failed = 0
        for key, step in [*self.steps.items()]:
            ended, failed = step.status in ENDED_WELL, step.status is StepStatus.FAILED
            if is_part(key):
                continue
            if found := split_item_key(key):
                loop = self.step(found[0])
                loop.items_done += ended
                loop.items_failed += failed
                self.steps_failed += failed
            else:
                self.steps_done += ended
                self.steps_failed += failed and step.items is None

    def _apply_life(self, event: ev.Event, at: float) -> None:
        match event:
            case ev.ExecutionCreated():
                self.pipeline_id, self.model, self.fingerprint = (
                    event.pipeline_id,
                    event.model,
                    event.fingerprint,
                )
                self.graph = event.graph
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
            case ev.ExecutionCancelled(reason=reason):
                self.status, self.pause_reason, self.ended_at = ExecutionStatus.CANCELLED, reason, at
                for step in self.steps.values():
                    if step.status is StepStatus.RUNNING:
                        step.status, step.ended_at = StepStatus.CANCELLED, at
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
        if is_part(key):
            return step
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
        for part in [key for key in self.steps if is_part(key) and key.partition("/")[0] in keys]:
            del self.steps[part]  # what an earlier recovery ran counts for nothing now
        for key in keys:
            self.steps[key] = StepRecord(key, generation=self.step(key).generation + 1)
            self.steps_failed -= 1
            if found := split_item_key(key):
                loop = self.step(found[0])
                loop.items_failed -= 1
                if not loop.items_failed:
                    loop.status = StepStatus.RUNNING
