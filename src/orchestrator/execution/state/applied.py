"""The state of one execution, and the one verb that changes it: `apply`.

It is the fold of the events (`record`) with what a fold does not keep: the variables, the metrics, who runs right now,
the marks to come back to, and the nested contexts. Live or in a replay, alone or in an engine, the same entries give
the same state. A context alone differs from one in an engine in one thing: a restore brings its steps back as they
stood, while an engine brings them back as pending and runs them again.

The lock of a parent is taken before those of its nested contexts, and a context's before its variable manager's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from orchestrator.clock import Clock, utc
from orchestrator.errors import InputError
from orchestrator.execution.delivery import Delivery
from orchestrator.execution.state.checkpoints import Checkpoint, checkpoint_number
from orchestrator.execution.state.marks import Mark, Marks, copy_step
from orchestrator.execution.state.tally import Tally
from orchestrator.execution.state.values import Values
from orchestrator.execution.variables import CloseContext, GetBlob, VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord, StepRecord, split_item_key
from orchestrator.status import ENDED, ExecutionStatus, StepStatus
from orchestrator.types import StepKey

_OF_A_STEP = frozenset(
    {
        ev.StepStarted,
        ev.StepRetrying,
        ev.StepRecovering,
        ev.InterventionRequested,
        ev.InterventionAnswered,
        ev.LoopExpanded,
        ev.StepSucceeded,
        ev.StepSkipped,
        ev.StepFailed,
    }
)
_BINDING = frozenset({ev.StepSucceeded, ev.StepSkipped})
#: Why a nested context was paused that goes on when its parent does.
PAUSED_WITH_PARENT = "its parent was paused"


def forget_owner(loop: StepRecord) -> bool:
    """Undo what the fold makes of a `c` that is no step, where a program has called one `c[0]`; whether it is so."""
    if loop.items is not None or loop.attempt:
        return False
    loop.status, loop.items_done, loop.items_failed = StepStatus.PENDING, 0, 0
    return True


class Owner(Protocol):
    """Whom the state is kept for. Both are called under the lock."""

    def _queue(self, entry: Entry, cancelled: Sequence[StepKey], status_changed: bool) -> None:
        """Queue what handlers are to be told of an entry."""
        ...

    def _restore(self, entry: Entry, event: ev.ExecutionRestored) -> None:
        """Go back to a checkpoint."""
        ...


class Applied:
    """What the entries of one execution have come to. `alone` says that no engine runs it.

    For the modules of this package: but for `apply`, `deliver`, the two verbs of marks and `touch`, everything is used
    under `lock`.
    """

    __slots__ = (
        "alone",
        "clock",
        "delivery",
        "every",
        "last_checkpoint",
        "lock",
        "marks",
        "max_kept",
        "name",
        "nested",
        "owner",
        "parent",
        "record",
        "tally",
        "touched",
        "undo",
        "values",
    )

    def __init__(
        self,
        owner: Owner,
        record: ExecutionRecord,
        manager: VariableManager,
        clock: Clock,
        parent: Applied | None,
        alone: bool,
        get_blob: GetBlob | None,
    ) -> None:
        self.owner, self.record, self.clock, self.parent, self.alone = owner, record, clock, parent, alone
        #: What the parent calls it.
        self.name = "" if parent is None else record.execution_id.removeprefix(parent.record.execution_id + ".")
        self.lock = threading.RLock()
        self.tally = Tally(whole_steps=not alone)
        self.marks = Marks()
        #: How many checkpoints are kept, and after how many completed steps one is made by itself.
        self.max_kept, self.every = 10, 5
        self.last_checkpoint = 0
        #: Where changes of steps are noted: the newest mark's notes; None while there is no mark.
        self.undo: dict[StepKey, StepRecord | None] | None = None
        #: These three are made when they are first needed. `touched` are the nested contexts that changed since the
        #: newest mark.
        self.nested: dict[str, Applied] | None = None
        self.touched: set[Applied] | None = None
        self.delivery: Delivery | None = None
        self.values = Values(manager, get_blob)
        self.values.count(self._count_variable)
        if parent is not None:
            self.values.watch(self.touch)

    # -- apply -----------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """Take in one entry. `deliver` must follow, with no lock held."""
        with self.lock:
            before = self.record.status
            cancelled = self._take_in(entry)
            self.touch()
            self.owner._queue(entry, cancelled, self.record.status is not before)

    def put(self, call: Callable[..., object], *args: object) -> None:
        """Queue a call for `deliver`. Under the lock."""
        if self.delivery is None:
            self.delivery = Delivery()
        self.delivery.put(call, *args)

    def deliver(self) -> None:
        """Call the handlers of what was applied, in order. With no lock held."""
        self.values.deliver()
        if self.delivery is not None:
            self.delivery.run()

    def _take_in(self, entry: Entry) -> Sequence[StepKey]:
        """Change the state; gives the steps that were cancelled."""
        event = entry.event
        if type(event) in _OF_A_STEP:
            self._take_in_step(entry, event.key)  # type: ignore[union-attr, arg-type]  # each of them has one
            return ()
        match event:
            case ev.CheckpointCreated(checkpoint=name, description=description, key=key):
                self.record.apply(entry)
                self._add_checkpoint(entry, name, description, key)
            case ev.ExecutionRestored():
                self.owner._restore(entry, event)
            case ev.ExecutionRetried(keys=keys):
                loops = [found[0] for key in keys if (found := split_item_key(key))]
                self.changing([*keys, *loops], lambda: self.record.apply(entry))
            case ev.ExecutionCancelled():
                return self._cancel(entry)
            case ev.VariablesChanged():
                self.record.apply(entry)
                self.values.take_in(self.record, event, entry.at)
            case _:
                self._live(entry)
        return ()

    # -- steps -----------------------------------------------------------------------------------------------------

    def _take_in_step(self, entry: Entry, key: StepKey) -> None:
        event, record = entry.event, self.record
        steps = record.steps
        found = split_item_key(key)
        loop = None
        loop_before = StepStatus.PENDING
        if found is not None:
            self.note(found[0], steps.get(found[0]))
            loop = record.step(found[0])
            loop_before = loop.status
        step = steps.get(key)
        self.note(key, step)
        before = StepStatus.PENDING if step is None else step.status
        if type(event) is ev.StepStarted:
            if step is not None and event.generation > step.generation:
                self._begin_anew(step, event.generation)
            self.tally.started(key)
        elif type(event) is ev.StepRetrying:
            self.tally.metrics.retries += 1
        record.apply(entry)
        self._moved(key, before, steps[key].status)
        if loop is not None and not forget_owner(loop):
            self._moved(loop.key, loop_before, loop.status)
        if type(event) in _BINDING:
            self.values.take_in(record, event, entry.at)
        if type(event) is ev.StepSucceeded and event.checkpoint is not None:
            self._add_checkpoint(entry, f"s{entry.position:07x}", event.checkpoint, key)

    def note(self, key: StepKey, step: StepRecord | None) -> None:
        """A step is about to change: remember how it stands, if that is not noted yet. Under the lock."""
        if self.undo is not None and key not in self.undo:
            self.undo[key] = copy_step(step)

    def changing(self, keys: Iterable[StepKey], change: Callable[[], object]) -> None:
        """Make a change to these steps, noted and counted. Under the lock."""
        steps = self.record.steps
        before = {}
        for key in keys:
            step = steps.get(key)
            self.note(key, step)
            before[key] = StepStatus.PENDING if step is None else step.status
        change()
        for key, old in before.items():
            now = steps.get(key)
            self._moved(key, old, StepStatus.PENDING if now is None else now.status)

    def _moved(self, key: StepKey, old: StepStatus, new: StepStatus) -> None:
        if old is new:
            return
        if old is StepStatus.RUNNING and (context_id := self.tally.running.get(key)) is not None:
            self.values.change([CloseContext(context_id)], self.record.updated_at)
        self.tally.moved(key, old, new)

    def _begin_anew(self, step: StepRecord, generation: int) -> None:
        """A step that ended starts once more: nothing is known of the new generation yet."""
        fresh = StepRecord(step.key, generation=generation, spent=step.failed_attempts, name=step.name)
        self.record.steps[step.key] = fresh
        if step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            self.record.steps_done -= 1
        elif step.status is StepStatus.FAILED:
            self.record.steps_failed -= 1

    # -- the execution's life --------------------------------------------------------------------------------------

    def _live(self, entry: Entry) -> None:
        was = self.record.status
        self.record.apply(entry)
        event, metrics = entry.event, self.tally.metrics
        match event:
            case ev.ExecutionCreated():
                self.values.take_in(self.record, event, entry.at)
            case ev.ExecutionClaimed():
                metrics.start_time = metrics.start_time or utc(entry.at)
                metrics.end_time = metrics.duration = None
                if was is ExecutionStatus.PAUSED:
                    self._tell_nested(event, lambda nested: nested.pause_reason == PAUSED_WITH_PARENT)
            case ev.ExecutionPaused():
                self._tell_nested(
                    ev.ExecutionPaused(PAUSED_WITH_PARENT), lambda nested: nested.status is ExecutionStatus.RUNNING
                )
        if self.record.status in ENDED:
            metrics.mark_completed(utc(entry.at))

    def _cancel(self, entry: Entry) -> Sequence[StepKey]:
        keys = list(self.tally.running)
        self.changing(keys, lambda: self.record.apply(entry))
        self.tally.metrics.mark_completed(utc(entry.at))
        self._tell_nested(entry.event, lambda nested: nested.status not in ENDED)
        return keys

    def _tell_nested(self, event: Event, concerned: Callable[[ExecutionRecord], bool]) -> None:
        """What happens to a parent happens to the contexts nested in it, as far as it concerns them."""
        for nested in (self.nested or {}).values():
            with nested.lock:
                if concerned(nested.record):
                    nested.apply(nested.entry(event))
                    self.put(nested.deliver)

    def entry(self, event: Event, offset: int = 1) -> Entry:
        """An event in the place after the last one, now."""
        return Entry(self.record.position + offset, self.clock.time(), event)

    # -- nested contexts -------------------------------------------------------------------------------------------

    def attach(self, inner: Applied) -> None:
        """Take in a nested context. Raises InputError where one of that name is there."""
        with self.lock:
            self.nested = {} if self.nested is None else self.nested
            if inner.name in self.nested:
                raise InputError(f"{self.record.execution_id} has a nested context {inner.name!r} already")
            self.note_nested(inner.name)
            self.nested[inner.name] = inner
            self._touched().add(inner)
            self.touch()

    def detach(self, name: str) -> Applied | None:
        """Let a nested context go; a restore may bring it back. None where there is none of that name."""
        with self.lock:
            inner = (self.nested or {}).get(name)
            if inner is not None:
                self.note_nested(name)
                del self.nested[name]  # type: ignore[union-attr]  # it was found there
                if self.marks.newest is None or self.marks.newest.nested[name] is not inner:
                    self._touched().discard(inner)  # no mark knows it
                self.touch()
            return inner

    # -- marks -----------------------------------------------------------------------------------------------------

    def note_nested(self, name: str) -> None:
        """A nested context is about to come or go: remember what was there. Under the lock."""
        newest = self.marks.newest
        if newest is not None and name not in newest.nested:
            newest.nested[name] = (self.nested or {}).get(name)

    def take_mark(self) -> Mark:
        """A mark of how everything stands now."""
        with self.lock:
            return self._mark(None)

    def forget_mark(self, mark: Mark) -> None:
        """That mark is not needed any more."""
        with self.lock:
            for nested in self.marks.drop(mark):
                self._touched().add(nested)  # type: ignore[arg-type]  # every holder is an Applied
            self.values.manager.forget(mark.variables)
            newest = self.marks.newest
            self.undo = newest.steps if newest is not None else None

    def _add_checkpoint(self, entry: Entry, name: str, description: str, key: StepKey | None) -> None:
        self.last_checkpoint = max(self.last_checkpoint, checkpoint_number(name))
        self.tally.metrics.checkpoints_created += 1
        self._mark(
            Checkpoint(name, utc(entry.at), self.record.execution_id, key, self.record.status, description or None)
        )
        for surplus in self.marks.surplus(self.max_kept):
            self.forget_mark(surplus)

    def _mark(self, checkpoint: Checkpoint | None) -> Mark:
        record, tally = self.record, self.tally
        mark = Mark(
            record.position,
            record.status,
            record.pause_reason,
            replace(tally.metrics),
            self.values.manager.mark(),
            dict(tally.running),
            checkpoint,
        )
        while self.touched:
            nested = self.touched.pop()
            earlier = mark.states.pop(nested, None)
            mark.states[nested] = nested.take_mark()
            if earlier is not None:
                nested.forget_mark(earlier)
        self.marks.add(mark)
        self.undo = mark.steps
        return mark

    def touch(self) -> None:
        """Something changed here: the next mark of the parent needs a new one of this. Takes no lock."""
        parent = self.parent
        if parent is not None and self not in parent._touched():
            parent._touched().add(self)
            parent.touch()

    def _touched(self) -> set[Applied]:
        if self.touched is None:
            self.touched = set()
        return self.touched

    def _count_variable(self, created: bool) -> None:
        metrics = self.tally.metrics
        metrics.variables_created += created
        metrics.variables_updated += not created
