"""The state of one execution. `applying` is the one place that changes it.

It is the fold of the events (`record`) with what a fold does not keep: the variables, the metrics, who runs right now,
the marks to come back to, and the nested contexts. Live or in a replay, alone or in an engine, the same entries give
the same state. A context alone differs from one in an engine in one thing: a restore brings its steps back as they
stood, while an engine brings them back as pending and runs them again.

The lock of a parent is taken before those of its nested contexts, and a context's before its variable manager's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.clock import Clock
from orchestrator.errors import InputError
from orchestrator.execution.delivery import Delivery
from orchestrator.execution.state.checkpoints import Checkpoint, checkpoint_id
from orchestrator.execution.state.handlers import Listening
from orchestrator.execution.state.marks import Mark, Marks
from orchestrator.execution.state.steps import Steps
from orchestrator.execution.state.tally import Tally
from orchestrator.execution.state.values import Values
from orchestrator.execution.variables import GetBlob, VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus
from orchestrator.types import StepKey


class Applied:
    """What the entries of one execution have come to. `alone` says that no engine runs it.

    For the modules of this package. Used under `lock`, but for what takes it by itself or says that it takes none.
    """

    __slots__ = (
        "alone",
        "awaited",
        "clock",
        "delivery",
        "every",
        "last_checkpoint",
        "listening",
        "lock",
        "marks",
        "max_kept",
        "name",
        "nested",
        "owner",
        "parent",
        "passing",
        "pinned",
        "record",
        "steps",
        "tally",
        "touched",
        "values",
    )

    def __init__(
        self,
        owner: Any,
        record: ExecutionRecord,
        manager: VariableManager,
        clock: Clock,
        parent: Applied | None,
        alone: bool,
        get_blob: GetBlob | None,
    ) -> None:
        #: The context whose state it is; for whoever asks its parent for it.
        self.owner = owner
        self.record, self.clock, self.parent, self.alone = record, clock, parent, alone
        #: What the parent calls it.
        self.name = "" if parent is None else record.execution_id.removeprefix(parent.record.execution_id + ".")
        self.lock = threading.RLock()
        self.tally = Tally(whole_steps=not alone)
        self.marks = Marks()
        #: How many checkpoints are kept, and after how many completed steps one is made by itself.
        self.max_kept, self.every = 10, 5
        self.last_checkpoint = 0
        #: Descriptions and ids of checkpoints that retention keeps.
        self.pinned: frozenset[str] = frozenset()
        #: Checkpoints of a replayed journal that later ones will push out: nothing is remembered for them.
        self.passing: frozenset[str] = frozenset()
        #: Is given the checkpoint of that id when it is made; whoever asked for it takes itself away.
        self.awaited: dict[str, Callable[[Checkpoint], object]] = {}
        #: These four are made when they are first needed. `touched` are the nested contexts that changed since the
        #: newest mark.
        self.nested: dict[str, Applied] | None = None
        self.touched: set[Applied] | None = None
        self.delivery: Delivery | None = None
        self.listening: Listening | None = None
        self.values = Values(manager, get_blob)
        self.values.inside.count(self._count_variable)
        if parent is not None:
            self.values.inside.touch(self.touch)
        self.steps = Steps(record, self.tally, self.values)

    # -- telling -----------------------------------------------------------------------------------------------------

    def tell(self, entry: Entry, cancelled: Sequence[StepKey], before: ExecutionStatus) -> None:
        """Queue what handlers are to be told of an entry; `before` is the status until then. Under the lock."""
        if self.listening is not None:
            status = self.record.status
            self.put(self.listening.tell, entry, cancelled, status if status is not before else None)

    def handlers(self) -> Listening:
        """Who wants to hear, made when the first one does. Takes the lock."""
        with self.lock:
            if self.listening is None:
                self.listening = Listening()
            return self.listening

    def put(self, call: Callable[..., object], *args: object) -> None:
        """Queue a call for `deliver`. Under the lock."""
        if self.delivery is None:
            self.delivery = Delivery()
        self.delivery.put(call, *args)

    def deliver(self) -> None:
        """Call the handlers of what was applied, in order. With no lock held."""
        self.values.inside.deliver()
        if self.delivery is not None:
            self.delivery.run()

    def entry(self, event: Event, offset: int = 1) -> Entry:
        """An event in the place after the last one, now."""
        return Entry(self.record.position + offset, self.clock.time(), event)

    # -- nested contexts ---------------------------------------------------------------------------------------------

    def attach(self, inner: Applied) -> None:
        """Take in a nested context. Raises InputError where one of that name is there. Takes the lock."""
        with self.lock:
            self.nested = {} if self.nested is None else self.nested
            if inner.name in self.nested:
                raise InputError(f"{self.record.execution_id} has a nested context {inner.name!r} already")
            self.note_nested(inner.name)
            self.nested[inner.name] = inner
            self._touched().add(inner)
            self.touch()

    def detach(self, name: str) -> Applied | None:
        """Let a nested context go; a restore may bring it back. None where there is none. Takes the lock."""
        with self.lock:
            inner = (self.nested or {}).get(name)
            if inner is not None:
                self.note_nested(name)
                del self.nested[name]  # type: ignore[union-attr]  # it was found there
                if self.marks.newest is None or self.marks.newest.nested[name] is not inner:
                    self._touched().discard(inner)  # no mark knows it
                self.touch()
            return inner

    # -- marks -------------------------------------------------------------------------------------------------------

    def note_nested(self, name: str) -> None:
        """A nested context is about to come or go: remember what was there. Under the lock."""
        newest = self.marks.newest
        if newest is not None and name not in newest.nested:
            newest.nested[name] = (self.nested or {}).get(name)

    def take_mark(self) -> Mark:
        """A mark of how everything stands now. Takes the lock."""
        with self.lock:
            return self.mark(None)

    def mark(self, checkpoint: Checkpoint | None) -> Mark:
        """A mark of how everything stands now, which is a checkpoint or another's need. Under the lock."""
        record, tally = self.record, self.tally
        mark = Mark(
            record.position,
            record.status,
            record.pause_reason,
            replace(tally.metrics),
            self.values.manager.mark(),
            dict(tally.running),
            tally.expected,
            checkpoint,
        )
        while self.touched:
            nested = self.touched.pop()
            earlier = mark.states.pop(nested, None)
            mark.states[nested] = nested.take_mark()
            if earlier is not None:
                nested.forget_mark(earlier)
        self.marks.add(mark)
        self.steps.notes = mark.steps
        return mark

    def forget_mark(self, mark: Mark) -> None:
        """That mark is not needed any more. Takes the lock."""
        with self.lock:
            for nested in self.marks.drop(mark, (self.nested or {}).values()):
                self._touched().add(nested)  # type: ignore[arg-type]  # every holder is an Applied
            self.values.manager.forget(mark.variables)
            newest = self.marks.newest
            self.steps.notes = newest.steps if newest is not None else None

    def drop_surplus(self) -> None:
        """Let the checkpoints go that are more than are kept. Takes the lock."""
        with self.lock:
            for mark in self.marks.surplus(self.max_kept, self.pinned):
                self.forget_mark(mark)
                self.touch()

    def new_checkpoint(self, description: str, key: StepKey | None = None) -> ev.CheckpointCreated:
        """The event of a checkpoint under an id that no other one has. Under the lock."""
        self.last_checkpoint = max(self.last_checkpoint, self.record.position) + 1
        return ev.CheckpointCreated(checkpoint_id(self.last_checkpoint), description, key)

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
