"""The fold: events to the state that views show and a session goes on from.

`ExecutionRecord.apply` takes events one by one, live or replayed, and keeps per step what a person asks for: where it
stands, how often it was tried, what came out. It decides nothing and checks nothing (the machine does), so that it can
show any journal, also one that stopped half-way. What holds others fails by an event of its own; in journals of old,
which have none, it does when the execution fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, ErrorData
from orchestrator.journal.keys import is_inside, is_part, owners_of, place_of, split_item_key
from orchestrator.journal.step_record import Block, FailedAttempt, Intervention, StepRecord, Waiting
from orchestrator.status import ENDED, ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

#: Variables and their new values, as events carry them.
Writes: TypeAlias = tuple[tuple[str, Encoded], ...]

#: What depends on a step goes on after these.
ENDED_WELL = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})

_NULL = Encoded(b"\xc0")


@dataclass(slots=True)
class Signal:
    """A signal that came; `taken_by` is the step (and its generation) that it went to, None while it is kept."""

    name: str
    payload: Encoded
    at: float
    by: str = ""
    message: int = 0
    taken_by: tuple[StepKey, int] | None = None


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
    #: The signals that came, by the position of their event.
    signals: dict[int, Signal] = field(default_factory=dict)
    #: Those of them that nobody has taken: name -> their positions, the first that came first.
    signals_kept: dict[str, dict[int, None]] = field(default_factory=dict)
    #: Who asked for its end, while that is not reached; None where nobody did.
    cancel: ev.CancelRequested | None = None
    #: The position at which that was.
    cancelled_at: int = 0
    #: Whether a paused execution waits for a message, or for `waits_until` (None: for a message alone).
    waits: bool = False
    waits_until: float | None = None
    #: The handlers' code as it was seen last, and the hash of each step's when it ended.
    code: Mapping[str, str] = field(default_factory=dict)
    #: The execution that it was forked from, and where.
    forked_from: tuple[ExecutionId, int] | None = None
    #: The execution that the first event of this journal is of, where that is another.
    origin: ExecutionId | None = None
    #: How often a step's recovery set the execution back: a budget, which a retry or rerun gives back, and no restore.
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
            if key[-1:] == "]" or "." in key or "/" in key:
                self._put_inside(key)
        return found

    def _put_inside(self, key: StepKey) -> None:
        """Note a step with the nearest one that it is inside of, as far as those are known."""
        place = place_of(key)
        while place is not None:
            if (owner := self.steps.get(place.owner)) is not None:
                if owner.inner is None:
                    owner.inner = {}
                owner.inner[key] = None
                return
            place = place_of(place.owner)

    def regroup(self) -> None:
        """Find out afresh what is inside of what, after steps were put in or taken away by hand."""
        for step in self.steps.values():
            step.inner = None
        for key in self.steps:
            self._put_inside(key)

    def inside(self, key: StepKey) -> list[StepKey]:
        """The keys of all that is known inside of a step, at every depth."""
        found: list[StepKey] = []
        step = self.steps.get(key)
        for inner in (step.inner or ()) if step is not None else ():
            if inner in self.steps:  # in a journal out of order it may be gone with another
                found += [inner, *self.inside(inner)]
        return found

    def is_top(self, key: StepKey) -> bool:
        """Whether a step is one of the pipeline itself."""
        place = place_of(key)
        if place is None or place.mark != ".":
            return place is None and not is_part(key)
        owner = self.steps.get(place.owner)
        return not is_part(key) and (owner is None or owner.block is None)

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
                step = self._end(key, event.generation, StepStatus.COMPLETED, at)
                step.output, step.checkpoint, step.parts = output, checkpoint, event.parts
                for name, value in writes:
                    self.variables[name] = (value, key)
                if checkpoint is not None:
                    self.checkpoints[checkpoint] = entry.position
            case ev.StepSkipped(key=key, reason=reason, output=output):
                step = self._end(key, event.generation, StepStatus.SKIPPED, at)
                step.reason, step.output = reason, output
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at, deadline=deadline):
                step = self.step(key)
                step.generation = event.generation
                step.fail(FailedAttempt(attempt, at, error, due_at, deadline))
                self._progress = True
            case ev.StepFailed(key=key, attempt=attempt, error=error, cause=cause):
                step = self._end(key, event.generation, StepStatus.FAILED, at, cause)
                step.cause = cause
                step.fail(FailedAttempt(attempt, at, error, None))
            case ev.StepCancelled(key=key, reason=reason, how=how):
                step = self._end(key, event.generation, StepStatus.CANCELLED, at)
                step.reason = f"{reason} ({how})" if how else reason
                for part in map(self.step, self.inside(key)):  # what its recovery ran; the rest has ended by itself
                    if part.status is StepStatus.RUNNING:
                        part.status, part.ended_at = StepStatus.CANCELLED, at
                self._give_back_signals((key,), frozenset((key,)))  # what a step inside took and ended with is used up
            case ev.BlockEntered(key=key, generation=generation, attempt=attempt):
                self._enter(event, at)
            case ev.IterationStarted(key=key, index=index):
                step = self.step(key)
                step.status, step.started_at = StepStatus.RUNNING, step.started_at or at
                step.generation, step.rounds = event.generation, index + 1
                self._progress = True
            case ev.StepWaiting() | ev.SignalTaken() | ev.WaitOver() | ev.StepInDoubt() | ev.DeadlinePassed():
                self._apply_wait(event, at)
            case ev.SignalReceived(name=name, payload=payload, by=by, message=message):
                self.signals[entry.position] = Signal(name, payload, at, by, message)
                self.signals_kept.setdefault(name, {})[entry.position] = None
                self._progress = True
            case ev.LoopExpanded(key=key, items=items):
                step = self.step(key)
                step.status, step.started_at, step.items = StepStatus.RUNNING, at, items
                step.generation, step.collects = event.generation, event.collects
                self._progress = True
            case ev.ExecutionRetried(keys=keys):
                self._retry(keys)
                self._give_time(at)
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
                self.cancel = None
                if cause is None:
                    self._give_time(at)
            case ev.ExecutionRerun(keys=keys, expanded=expanded):
                self._renew(keys, expanded, afresh=True)
                self._give_time(at)
                self.outputs = self.error = self.failed_step = self.ended_at = self.cancel = None
                if self.status in ENDED:
                    self.status = ExecutionStatus.PAUSED
            case _:
                self._apply_life(event, at)

    def _apply_recovery(
        self, event: ev.StepRecovering | ev.InterventionRequested | ev.InterventionAnswered, at: float
    ) -> None:
        step = self.step(event.key)
        step.generation = event.generation
        match event:
            case ev.StepRecovering(attempt=attempt, error=error, plan=plan):
                step.plan = plan
                step.fail(FailedAttempt(attempt, at, error, None))
            case ev.InterventionRequested(attempt=attempt, error=error, instructions=instructions, deadline=deadline):
                step.fail(FailedAttempt(attempt, at, error, None))
                step.intervention = Intervention(instructions, at, deadline)
                step.in_doubt = step.in_doubt if step.in_doubt == "verify" else None  # only a look ends that one
            case ev.InterventionAnswered(decision=decision, value=value, by=by):
                awaited = step.waiting_for
                if awaited is not None and awaited.over is None:
                    step.waiting_for = replace(
                        awaited, over="answer", decision=decision, value=value, by=by, over_at=at
                    )
                else:
                    asked = step.intervention or Intervention("", at)
                    step.intervention = replace(asked, decision=decision, value=value, by=by)
        self._progress = True

    def _enter(self, event: ev.BlockEntered, at: float) -> None:
        """A step that holds others begins an attempt: of what an earlier one held nothing is known any more."""
        inside = self.inside(event.key)
        if self.signals and inside:
            given_up = tuple(inner for inner in inside if self.steps[inner].status is not StepStatus.COMPLETED)
            self._give_back_signals(given_up, frozenset(given_up))
        for inner in reversed(inside):  # the innermost first: what it is, what holds it says
            self._forget(inner)
        step = self.step(event.key)
        step.inner = None
        step.status, step.generation, step.attempt = StepStatus.RUNNING, event.generation, event.attempt
        step.started_at = step.started_at or at
        step.block = Block(event.attempt, event.case, event.inputs, event.deadline, at)
        self._progress = True

    def _apply_wait(
        self, event: ev.StepWaiting | ev.SignalTaken | ev.WaitOver | ev.StepInDoubt | ev.DeadlinePassed, at: float
    ) -> None:
        step = self.step(event.key)
        awaited = step.waiting_for or Waiting("", at)
        match event:
            case ev.StepWaiting(kind=kind, until=until, subject=subject, ask=ask):
                step.status, step.started_at = StepStatus.RUNNING, step.started_at or at
                step.generation, step.attempt = event.generation, event.attempt
                step.waiting_for = Waiting(kind, at, until, subject, ask)
            case ev.SignalTaken(position=position):
                signal = self.signals.get(position) or Signal("", _NULL, at)
                signal.taken_by = (event.key, event.generation)
                if (kept := self.signals_kept.get(signal.name)) is not None:
                    kept.pop(position, None)
                    if not kept:
                        del self.signals_kept[signal.name]
                step.waiting_for = replace(awaited, over="signal", value=signal.payload, by=signal.by, over_at=at)
            case ev.WaitOver():
                step.waiting_for = replace(awaited, over="due", over_at=at)
            case ev.StepInDoubt(policy=policy):
                step.in_doubt = policy
            case ev.DeadlinePassed():
                step.block = replace(step.block, late=True) if step.block is not None else None
        self._progress = True

    def _give_time(self, at: float) -> None:
        """Somebody asked for another go: a block that goes on has all of its time again."""
        for step in self.steps.values():
            block = step.block
            if block is not None and block.deadline is not None and step.status is StepStatus.RUNNING:
                step.block = replace(block, deadline=at + block.deadline - block.since, since=at, late=False)

    def _change_variables(self, writes: Writes, deleted: tuple[str, ...], source: StepKey) -> None:
        for name, value in writes:
            self.variables[name] = (value, source)
        for name in deleted:
            self.variables.pop(name, None)

    def _renew(self, keys: tuple[StepKey, ...], expanded: tuple[StepKey, ...], afresh: bool = False) -> None:
        """Begin a new generation of these steps: nothing is known of it yet. What is inside of them goes with them.

        Those in `expanded` keep what is inside of them, but for what `keys` name as well. The attempts that were made
        are spent, so that no rollback gives them back, unless a person wants the steps `afresh`.
        """
        kept = frozenset(expanded)
        if afresh:
            self._give_back_rollbacks(keys)
        olds = {key: self.step(key) for key in keys}
        for key in keys:
            if key not in kept:
                for inner in reversed(self.inside(key)):
                    self._forget(inner)
        self._give_back_signals(keys, kept)
        for key, old in olds.items():
            spent = 0 if afresh else old.failed_attempts
            new = self.steps[key] = StepRecord(key, generation=old.generation + 1, spent=spent)
            self._put_inside(key)
            if key in kept:
                new.status, new.started_at, new.items = StepStatus.RUNNING, old.started_at, old.items
                new.rounds, new.attempt, new.inner = old.rounds, old.attempt, old.inner
                new.collects = old.collects
                _go_on_inside(new, old.block)
        self._count()

    def _give_back_rollbacks(self, keys: tuple[StepKey, ...]) -> None:
        """A person wants another go: the budget of these steps, and of what is inside of them, is whole again."""
        for key in [*self.rollbacks]:
            if any(key == again or is_inside(key, again) for again in keys):
                del self.rollbacks[key]

    def _forget(self, key: StepKey) -> None:
        """Nothing is known of a step that is inside of one which begins anew."""
        gone = self.steps.pop(key, None)
        if gone is not None and gone.status is StepStatus.FAILED and gone.cause is None and not self._is_own(key):
            self.steps_failed -= 1

    def _is_own(self, key: StepKey) -> bool:
        """Whether a key is that of what a recovery runs for a step, which counts for nothing."""
        place = place_of(key)
        if place is None or place.mark != "/":
            return place is not None and self._is_own(place.owner)
        owner = self.steps.get(place.owner)
        return owner is None or owner.block is None or self._is_own(place.owner)

    def _give_back_signals(self, keys: tuple[StepKey, ...], kept: frozenset[StepKey]) -> None:
        """What a step had taken that begins anew is there again: no signal is lost."""
        for position, signal in self.signals.items():
            taker = signal.taken_by[0] if signal.taken_by is not None else None
            if taker is not None and any(taker == key or (key not in kept and is_inside(taker, key)) for key in keys):
                signal.taken_by = None
                there = {position, *self.signals_kept.get(signal.name, ())}
                self.signals_kept[signal.name] = dict.fromkeys(sorted(there))

    def _count(self) -> None:
        """The counts, afresh."""
        self.steps_done = self.steps_failed = 0
        for step in self.steps.values():
            step.items_done = step.items_failed = 0
        for key, step in [*self.steps.items()]:
            ended, failed = step.status in ENDED_WELL, step.status is StepStatus.FAILED
            if self._is_own(key):
                continue
            if found := split_item_key(key):
                loop = self.step(found[0])
                loop.items_done += ended
                loop.items_failed += failed
            elif self.is_top(key):
                self.steps_done += ended
            self.steps_failed += failed and step.cause is None and step.items is None

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
            case ev.CancelRequested():
                self.cancel, self.cancelled_at = event, self.position
            case ev.ExecutionForked(source=source, position=position):
                self.forked_from, self.origin = (source, position), self.origin or source
                self.status, self.cancel, self.outputs = ExecutionStatus.PAUSED, None, None
                self.waits, self.pause_reason = False, f"forked from {source}"
                self.ended_at, self.error, self.failed_step = None, None, None
            case ev.PipelineChanged():
                self.model, self.graph, self.fingerprint = event.model, event.graph, event.fingerprint
                self.base_dir = event.base_dir
            case ev.CodeSeen(hashes=hashes):
                self.code = {**self.code, **hashes}
            case ev.ExecutionClaimed(owner=owner, epoch=epoch):
                crashed = self.status is ExecutionStatus.RUNNING
                self.claims_without_progress = self.claims_without_progress + 1 if crashed and not self._progress else 0
                self._progress = False
                self.status, self.owner, self.epoch = ExecutionStatus.RUNNING, owner, epoch
                self.ended_at, self.error, self.failed_step, self.pause_reason = None, None, None, ""
                self.waits, self.waits_until = False, None
            case ev.ExecutionPaused(reason=reason, until=until, waits=waits):
                self.status, self.pause_reason = ExecutionStatus.PAUSED, reason
                self.waits, self.waits_until = waits, until
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
                for owner in owners_of(step_key) if step_key is not None else ():
                    held = self.steps.get(owner)
                    if held is not None and held.status is StepStatus.RUNNING:  # as journals of old have it
                        held.status, held.cause = StepStatus.FAILED, step_key

    def _end(
        self, key: StepKey, generation: int, status: StepStatus, at: float, cause: StepKey | None = None
    ) -> StepRecord:
        step = self.step(key)
        step.status, step.generation, step.ended_at = status, generation, at
        step.started_at = step.started_at or at
        step.in_doubt = step.in_doubt if status is StepStatus.FAILED else None
        self._progress = True
        if status is StepStatus.CANCELLED or (is_part(key) and self._is_own(key)):
            return step
        failed = status is StepStatus.FAILED
        if found := split_item_key(key):
            loop = self.step(found[0])
            loop.items_done += not failed
            loop.items_failed += failed
        elif not failed and self.is_top(key):
            self.steps_done += 1
        self.steps_failed += failed and cause is None
        return step

    def _retry(self, keys: tuple[StepKey, ...]) -> None:
        self._give_back_rollbacks(keys)
        for key in keys:
            for inner in reversed(self.inside(key)):
                self._forget(inner)  # what an earlier recovery ran counts for nothing now
            old = self.step(key)
            self.steps_failed -= old.status is StepStatus.FAILED and old.cause is None
            self.steps_done -= old.status in ENDED_WELL and self.is_top(key)
            self.steps[key] = StepRecord(key, generation=old.generation + 1, in_doubt=old.in_doubt)
            self._put_inside(key)
            if found := split_item_key(key):
                self.step(found[0]).items_failed -= old.status is StepStatus.FAILED
            self._revive(key)

    def _revive(self, key: StepKey) -> None:
        """What failed because of a step that is tried again goes on."""
        place = place_of(key)
        owner = self.steps.get(place.owner) if place is not None else None
        if owner is None or owner.status is not StepStatus.FAILED:
            return
        owner.status, owner.ended_at, owner.failures, owner.cause = StepStatus.RUNNING, None, None, None
        owner.plan = owner.intervention = None
        owner.spent = 0
        _go_on_inside(owner, owner.block)
        if found := split_item_key(owner.key):
            self.step(found[0]).items_failed -= 1
        self._revive(owner.key)


def _go_on_inside(step: StepRecord, block: Block | None) -> None:
    """What is inside of a step is kept: it counts as that of the attempt that is next."""
    if block is not None:
        step.attempt = step.failed_attempts + 1
        step.block = replace(block, attempt=step.attempt)
