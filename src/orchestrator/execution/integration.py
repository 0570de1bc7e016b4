"""The session: one open execution, held under a lease.

It is the recorder of everything that happens in the execution, and owns *commit, then apply*: events are queued, one
append carries all that was queued since the last one, and only when the store has it do the fold, the machine, the
variables and the subscribers see it. An append in flight does not hold up the next: positions are given when events
are sealed, and the store keeps the order. Whoever asked for the record may be gone by then; the session is not.

A lazy event (a start) waits for company: it rides in the next append, and goes alone after `LAZY_SECONDS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from orchestrator.clock import Clock
from orchestrator.errors import IllegalMoveError
from orchestrator.execution.machine import Instruction, Machine
from orchestrator.execution.variables import GetBlob, ListCell, RecordedCell, VariableManager, VariableType
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord, item_key, split_item_key
from orchestrator.journal.records import blobs_of, encode_body
from orchestrator.journal.store import Append, Commit, Lease, OnDone, Store, Summary
from orchestrator.pipelines.plan import Plan
from orchestrator.status import ExecutionStatus
from orchestrator.types import StepKey

#: A start is committed alone when nothing else is within this time.
LAZY_SECONDS = 0.010

#: Is called with each entry after its commit. One that raises is logged and breaks nothing.
Subscriber: TypeAlias = Callable[[Entry], None]

#: Is called when a record is durable and applied (with None), or refused (with the error).
OnRecorded: TypeAlias = Callable[[BaseException | None], None]
#: Nothing of this life follows them: the lease is given back with their commit.
_LAST_EVENTS = (ev.ExecutionCompleted, ev.ExecutionFailed, ev.ExecutionPaused)


@dataclass(slots=True)
class _Tally:
    """What the summary row shows, counted as events are sealed: the fold lags behind by what is in flight."""

    status: ExecutionStatus = ExecutionStatus.PENDING
    created_at: float = 0.0
    updated_at: float = 0.0
    done: int = 0
    failed: int = 0
    message: str = ""

    def count(self, entry: Entry) -> None:
        """Take in one event."""
        event = entry.event
        self.updated_at = entry.at
        self.created_at = self.created_at or entry.at
        self.status = ev.STATUS_AFTER.get(type(event), self.status)
        match event:
            case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key):
                self.done += split_item_key(key) is None
            case ev.StepFailed():
                self.failed += 1
            case ev.ExecutionRetried(keys=keys):
                self.failed -= len(keys)
                self.message = ""
            case ev.ExecutionFailed(error=error):
                self.message = str(error.get("message", ""))[:500]


@dataclass(slots=True)
class Session:
    """One open execution. Not thread-safe: it belongs to whoever drives it."""

    store: Store
    lease: Lease
    plan: Plan
    clock: Clock
    record: ExecutionRecord
    machine: Machine
    variables: VariableManager
    subscribers: Sequence[Subscriber]
    #: Is called with a subscriber that raised, while the exception is being handled.
    on_fault: Callable[[object], None]
    #: Whether the last event of this life was added: nothing may follow it.
    ended: bool = False
    #: Whether the lease was given back with it.
    released: bool = False
    _outbox: list[tuple[float, Event]] = field(default_factory=list)
    _waiting: list[OnRecorded] = field(default_factory=list)
    _in_flight: deque[tuple[Commit, list[Entry], list[OnRecorded]]] = field(default_factory=deque)
    _sent_position: int = 0
    _tally: _Tally = field(default_factory=lambda: _Tally())

    @classmethod
    def open(
        cls,
        store: Store,
        lease: Lease,
        plan: Plan,
        clock: Clock,
        subscribers: Sequence[Subscriber] = (),
        on_fault: Callable[[object], None] = lambda _: None,
    ) -> Session:
        """A session over an execution without any event yet; `replay` brings in those that there are."""
        windows = {s.id: s.loop.max_parallel for s in plan.steps.values() if s.loop and s.loop.max_parallel}
        return cls(
            store,
            lease,
            plan,
            clock,
            ExecutionRecord(lease.execution_id, steps_total=len(plan.steps)),
            Machine(plan.steps, windows),
            VariableManager(plan.pipeline_id, clock=clock),
            subscribers,
            on_fault,
        )

    # -- what has happened before ----------------------------------------------------------------------------------

    def replay(self, entry: Entry) -> None:
        """Take in an event of an earlier life; nothing follows from it, and no subscriber sees it."""
        self._apply(entry)
        self._tally.count(entry)
        self._sent_position = entry.position

    # -- what happens now ------------------------------------------------------------------------------------------

    def add(self, events: Sequence[Event], on_done: OnRecorded | None = None) -> None:
        """Queue events for the next append. Raises IllegalMoveError for an outcome that comes too late."""
        if self.ended:
            raise IllegalMoveError(f"execution {self.lease.execution_id}", "ended", type(events[0]).__name__)
        at = self.clock.time()
        for event in events:
            self.machine.check(event)
            self.ended = self.ended or isinstance(event, _LAST_EVENTS)
            self._outbox.append((at, event))
        if on_done is not None:
            self._waiting.append(on_done)

    @property
    def pending(self) -> bool:
        """Whether events wait to be sealed."""
        return bool(self._outbox)

    def seal(self, on_done: OnDone) -> None:
        """Hand what was queued to the store as one append. Once that calls back, `settle` takes it from there."""
        items, waiting = self._outbox, self._waiting
        self._outbox, self._waiting = [], []
        first = self._sent_position + 1
        self._sent_position += len(items)
        entries = [Entry(first + i, at, event) for i, (at, event) in enumerate(items)]
        blobs = tuple(dict.fromkeys(b for _, event in items for b in blobs_of(event)))
        append = Append(
            self.lease,
            first - 1,
            len(items),
            encode_body(items),
            self._summary(entries),
            blobs,
            releases=isinstance(entries[-1].event, _LAST_EVENTS),
        )
        self._in_flight.append((self.store.commit(append, on_done), entries, waiting))

    def settle(self) -> list[Instruction]:
        """Apply what is durable by now, in order, and give the instructions that follow.

        Raises why the store refused an append; nothing can be recorded after that.
        """
        instructions: list[Instruction] = []
        while self._in_flight and self._in_flight[0][0].done:
            commit, entries, waiting = self._in_flight.popleft()
            if commit.error is not None:
                for item in waiting:
                    item(commit.error)
                raise commit.error
            self.released = self.released or commit.append.releases
            instructions += self._take_in(entries)
            for item in waiting:
                item(None)
        return instructions

    def _take_in(self, entries: list[Entry]) -> list[Instruction]:
        instructions: list[Instruction] = []
        for entry in entries:
            instructions += self._apply(entry)
            for subscriber in self.subscribers:
                try:
                    subscriber(entry)
                except Exception:  # noqa: BLE001 - logged; a view may fail alone
                    self.on_fault(subscriber)
        return instructions

    def _summary(self, entries: Sequence[Entry]) -> Summary:
        """The summary row as it is once these entries and all that were sealed before them are applied."""
        tally = self._tally
        for entry in entries:
            tally.count(entry)
        return Summary(
            execution_id=self.lease.execution_id,
            pipeline_id=self.plan.pipeline_id,
            status=tally.status,
            created_at=tally.created_at,
            updated_at=tally.updated_at,
            steps_total=len(self.plan.steps),
            steps_done=tally.done,
            steps_failed=tally.failed,
            message=tally.message,
        )

    # -- apply -----------------------------------------------------------------------------------------------------

    def _apply(self, entry: Entry) -> list[Instruction]:
        self.record.apply(entry)
        self._apply_values(entry.event, entry.at)
        return self.machine.apply(entry.event)

    def _apply_values(self, event: Event, at: float) -> None:
        match event:
            case ev.ExecutionCreated(inputs=inputs):
                for name, value in inputs:
                    self.variables.bind(name, self._cell(value), at, var_type=VariableType.INPUT)
            case ev.StepSucceeded(key=key, output=output, writes=writes) if split_item_key(key) is None:
                cell = ListCell(self._item_outputs(key), self._get_blob) if output is None else self._cell(output)
                self.variables.bind(key, cell, at, key, var_type=VariableType.OUTPUT)
                for name, value in writes:
                    self.variables.bind(name, self._cell(value), at, key)
            case ev.StepSucceeded(key=key, writes=writes):
                for name, value in writes:
                    self.variables.bind(name, self._cell(value), at, key)
            case ev.StepSkipped(key=key) if split_item_key(key) is None:
                self.variables.bind(key, self._cell(_NULL), at, key, var_type=VariableType.OUTPUT)

    def _item_outputs(self, key: StepKey) -> list[Encoded | None]:
        items = self.record.step(key).items or ()
        return [self.record.step(item_key(key, i)).output for i in range(len(items))]

    @property
    def _get_blob(self) -> GetBlob:
        return self.store.get_blob

    def _cell(self, value: Encoded) -> RecordedCell:
        return RecordedCell(value, self.store.get_blob)


_NULL = Encoded(b"\xc0")
