"""The session: one open execution, held under a lease.

It is the recorder of everything that happens in the execution, and owns *commit, then apply*: events are queued, one
append carries all that was queued since the last one, and only when the store has it do the context (fold, variables,
checkpoints), the machine and the subscribers see it. An append in flight does not hold up the next: positions are given
when events are sealed, and the store keeps the order. Whoever asked for the record may be gone by then; the session is
not.

An event that waits for company (a start) rides in the next append. An automatic
checkpoint rides in the append of the step that it follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from orchestrator.clock import Clock
from orchestrator.errors import IllegalMoveError
from orchestrator.execution.integration.tally import Tally
from orchestrator.execution.machine import Called, Instruction, Machine, Node
from orchestrator.execution.state import (
    ExecutionContext,
    Recorder,
    checkpoint_due,
    checkpoint_id,
    passing_checkpoints,
)
from orchestrator.execution.variables import VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord, Writes
from orchestrator.journal.keys import is_step, owners_of
from orchestrator.journal.records import blobs_of, encode_body
from orchestrator.journal.store import Append, Commit, Lease, OnDone, Store, Summary
from orchestrator.pipelines.definition import fingerprint_of, members_of, steps_of
from orchestrator.pipelines.plan import Plan, PlannedStep, add_pipeline, member_folder, recorded_plan
from orchestrator.types import StepKey

#: Is called with each entry after its commit. One that raises is logged and breaks nothing.
Subscriber: TypeAlias = Callable[[Entry], None]

#: Is called when a record is durable and applied (with None), or refused (with the error).
OnRecorded: TypeAlias = Callable[[BaseException | None], None]


class _Nobody:
    """The recorder of a session whose context's verbs nobody calls."""

    def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
        """Refuse."""
        raise IllegalMoveError(f"execution {context.execution_id}", "open in a session", type(events[0]).__name__)


_NOBODY = _Nobody()
_BEGINNINGS = (ev.StepStarted, ev.StepWaiting, ev.LoopExpanded, ev.BlockEntered)
_OUTCOMES = (ev.StepSucceeded, ev.StepSkipped, ev.StepFailed, ev.StepCancelled)
#: Nothing of this life follows them: the lease is given back with their commit.
_LAST_EVENTS = (ev.ExecutionCompleted, ev.ExecutionFailed, ev.ExecutionPaused, ev.ExecutionCancelled)


@dataclass(slots=True)
class Session:
    """One open execution. Not thread-safe: it belongs to whoever drives it."""

    store: Store
    lease: Lease
    plan: Plan
    clock: Clock
    context: ExecutionContext
    #: Takes the verbs of the context that are called from outside.
    recorder: Recorder
    machine: Machine
    subscribers: Sequence[Subscriber]
    #: Of the executions that have one key one is under way at a time; None where it has none.
    concurrency_key: str | None = field(default=None, kw_only=True)
    #: Is called with a subscriber that raised, while the exception is being handled.
    on_fault: Callable[[object], None]
    #: Is told of every entry after it was applied, before the subscribers.
    watcher: Callable[[Entry], None] = lambda _entry: None
    #: Where durable functions run: the position of each step's outcome, and what each has set that set variables.
    outcomes: dict[StepKey, int] = field(default_factory=dict)
    beginnings: dict[StepKey, int] = field(default_factory=dict)
    deadlines: dict[StepKey, int] = field(default_factory=dict)
    written: dict[StepKey, Writes] = field(default_factory=dict)
    #: Calls of a durable function after which a checkpoint is made.
    important: set[StepKey] = field(default_factory=set)
    #: The newest message of the inbox that was looked at.
    seen: int = 0
    #: Whether the last event of this life was added: nothing may follow it.
    ended: bool = False
    #: Whether the lease was given back with it.
    released: bool = False
    _outbox: list[tuple[float, Event]] = field(default_factory=list)
    _taken: list[int] = field(default_factory=list)
    _waiting: list[OnRecorded] = field(default_factory=list)
    _in_flight: deque[tuple[Commit, list[Entry], list[OnRecorded]]] = field(default_factory=deque)
    _sent_position: int = 0
    _tally: Tally = field(default_factory=Tally)

    @classmethod
    def open(
        cls,
        store: Store,
        lease: Lease,
        plan: Plan,
        clock: Clock,
        subscribers: Sequence[Subscriber] = (),
        on_fault: Callable[[object], None] = lambda _: None,
        variables: VariableManager | None = None,
        recorder: Recorder | None = None,
    ) -> Session:
        """A session over an execution without any event yet; `replay` brings in those that there are."""
        machine = Machine(plan.steps, plan.finally_, partial(_sub_flow, plan), calls=plan.function is not None)
        recorder = recorder or _NOBODY
        context = ExecutionContext(
            lease.execution_id,
            plan.pipeline_id,
            clock=clock,
            variable_manager=variables,
            recorder=recorder,
            get_blob=store.get_blob,
        )
        context.total_steps = len(plan.steps) + len(plan.finally_)
        context.pinned_checkpoints = frozenset(_checkpoints_of(plan))
        return cls(store, lease, plan, clock, context, recorder, machine, subscribers, on_fault)

    @property
    def record(self) -> ExecutionRecord:
        """What is known of the execution."""
        return self.context.record

    @property
    def variables(self) -> VariableManager:
        """Its variables."""
        return self.context.variable_manager

    # -- what has happened before ----------------------------------------------------------------------------------

    def replay(self, journal: Sequence[Entry], *, changed: bool = False) -> None:
        """Take in the events of earlier lives; nothing follows from them, and no subscriber sees them.

        What came before the pipeline was changed for the last time is taken in as far as it fits; with `changed` the
        plan is not that of the journal, and all of it is.
        """
        self.context.pass_over(passing_checkpoints(journal, self.context.max_checkpoints))
        last = max((n for n, entry in enumerate(journal) if isinstance(entry.event, ev.PipelineChanged)), default=-1)
        for n, entry in enumerate(journal):
            self.machine.lenient = changed or n < last
            self._tally.count(entry, self.record)
            self._apply(entry)
        self._sent_position = self.record.position

    # -- what happens now ------------------------------------------------------------------------------------------

    def add(self, events: Sequence[Event], on_done: OnRecorded | None = None, taken: Sequence[int] = ()) -> None:
        """Queue events for the next append; `taken` are the messages of the inbox that they stand for.

        Raises IllegalMoveError for an outcome that comes too late.
        """
        if self.ended:
            raise IllegalMoveError(f"execution {self.lease.execution_id}", "ended", type(events[0]).__name__)
        for event in events:  # all or none: they belong together
            self.machine.check(event)
        at = self.clock.time()
        for event in events:
            self.ended = self.ended or isinstance(event, _LAST_EVENTS)
            self._outbox.append((at, event))
        self._taken.extend(taken)
        if on_done is not None:
            self._waiting.append(on_done)

    @property
    def pending(self) -> bool:
        """Whether events wait to be sealed."""
        return bool(self._outbox)

    @property
    def unsettled(self) -> bool:
        """Whether events wait to be sealed, or to be applied."""
        return bool(self._outbox or self._in_flight)

    def seal(self, on_done: OnDone, *, releases: bool = False) -> None:
        """Hand what was queued to the store as one append. Once that calls back, `settle` takes it from there.

        `releases` gives the lease back with it, as the last event of a life does by itself.
        """
        waiting, taken = self._waiting, tuple(self._taken)
        self._waiting, self._taken = [], []
        before = self._sent_position
        entries = self._numbered()
        append = Append(
            self.lease,
            before,
            len(entries),
            encode_body([(entry.at, entry.event) for entry in entries]),
            self.summary(),
            tuple(dict.fromkeys(b for entry in entries for b in blobs_of(entry.event))),
            taken,
            releases=releases or isinstance(entries[-1].event, _LAST_EVENTS),
            seen=self.seen,
        )
        self._in_flight.append((self.store.commit(append, on_done), entries, waiting))

    def _numbered(self) -> list[Entry]:
        """What was queued, each event in its place, and behind a step the checkpoint that is due with it."""
        entries: list[Entry] = []
        outbox, self._outbox = self._outbox, []
        for at, event in outbox:
            self._append(entries, at, event)
            if isinstance(event, ev.StepSucceeded) and is_step(event.key) and self._is_checkpoint_due(event):
                self._append(entries, at, ev.CheckpointCreated(checkpoint_id(self._sent_position + 1), "", event.key))
        return entries

    def _append(self, entries: list[Entry], at: float, event: Event) -> None:
        self._sent_position += 1
        entry = Entry(self._sent_position, at, event)
        self._tally.count(entry, self.record)
        entries.append(entry)

    def _is_checkpoint_due(self, event: ev.StepSucceeded) -> bool:
        if event.checkpoint is not None:  # has one of its own
            return False
        if self.plan.function is not None:
            important = event.key in self.important
        elif event.key in self.plan.steps:
            important = self.plan.steps[event.key].important
        else:  # only tidies up
            return False
        return important or checkpoint_due(self._tally.done, self.context.auto_checkpoint_steps)

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
            self.watcher(entry)
            for subscriber in self.subscribers:
                try:
                    subscriber(entry)
                except Exception:  # noqa: BLE001 - logged; a view may fail alone
                    self.on_fault(subscriber)
        self.context.deliver()
        return instructions

    def _apply(self, entry: Entry) -> list[Instruction]:
        self.context.apply(entry)
        event = entry.event
        if self.machine.has_calls and isinstance(event, _OUTCOMES):
            self.outcomes[event.key] = entry.position
            self.beginnings.setdefault(event.key, entry.position)
            if type(event) is ev.StepSucceeded and event.writes:
                self.written[event.key] = event.writes
        elif self.machine.has_calls:
            self._note_call(event, entry.position)
        if isinstance(event, ev.BlockEntered) and event.model is not None:
            self._bring(event.pipeline, event.model, event.graph)
        return self.machine.apply(event)

    def _note_call(self, event: Event, position: int) -> None:
        """Where each step began, of its latest generation, and where its time was over."""
        if isinstance(event, _BEGINNINGS):
            self.beginnings.setdefault(event.key, position)
        elif isinstance(event, ev.DeadlinePassed):
            self.deadlines[event.key] = position
        elif isinstance(event, ev.ExecutionRetried | ev.ExecutionRestored | ev.ExecutionRerun):
            kept = () if isinstance(event, ev.ExecutionRetried) else event.expanded
            anew = {key for key in event.keys if key not in kept}
            for key in [k for k in self.beginnings if k in anew or any(owner in anew for owner in owners_of(k))]:
                del self.beginnings[key]

    def _bring(self, ref: str, model: Encoded, graph: Encoded | None) -> None:
        """A durable function runs a pipeline that it was given."""
        if ref not in self.plan.pipelines:
            definition = decode(model, self.store.get_blob)
            steps = decode(graph, self.store.get_blob) if graph is not None else ()
            folder = member_folder(definition, self.plan.base_dir)
            if folder is None and "folder" in definition:
                folder = Path(definition["folder"])
            plan = recorded_plan(definition, steps, fingerprint_of(definition), folder)
            add_pipeline(self.plan, ref, plan)
            for inner in definition.get("pipelines", ()):
                add_pipeline(self.plan, inner, plan.pipelines[inner])

    def _steps_total(self) -> int:
        """Of a durable function those that have ended."""
        if self.plan.function is not None:
            return self._tally.done + self._tally.failed
        return len(self.plan.steps) + len(self.plan.finally_)

    def summary(self) -> Summary:
        """The summary row as it is once everything sealed so far is applied."""
        tally = self._tally
        return Summary(
            execution_id=self.lease.execution_id,
            pipeline_id=self.plan.pipeline_id,
            status=tally.status,
            created_at=tally.created_at,
            updated_at=tally.updated_at,
            steps_total=self._steps_total(),
            steps_done=tally.done,
            steps_failed=tally.failed,
            message=tally.message,
            next_due=tally.next_due,
            concurrency_key=self.concurrency_key,
        )


def _checkpoints_of(plan: Plan) -> Iterator[str]:
    """The names of the checkpoints that a person gave, at every depth."""
    yield from (step.checkpoint for step in plan.steps.values() if step.checkpoint)
    if any(step.is_compound for step in plan.steps.values()) or plan.finally_:
        for _, member in members_of(plan.canonical):
            yield from (step["checkpoint"] for _, step in steps_of(member) if "checkpoint" in step)


def _sub_flow(plan: Plan, node: Node) -> tuple[Mapping[str, Node], Mapping[str, Node]]:
    """The steps of the pipeline that a step runs, and its `finally` steps."""
    assert isinstance(node, PlannedStep | Called)
    sub = plan.pipelines[node.definition["pipeline"]]
    return sub.steps, sub.finally_
