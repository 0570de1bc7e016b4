"""The board: a fold of events and notes into what a person wants to see of each step.

It stands on `ExecutionRecord` and adds what only somebody who watches asks for: which attempts run now and how far they
say they are, who is waited for, and for how long a step was really worked on (the hours between a crash and its resume,
or until a person answers, are nobody's work). `show` folds a whole journal with it, the live view one event after the
other. Taking in an event costs the same whether a loop has ten items or ten thousand. Thread-safe: notes come from
wherever handlers run.

Which steps have rows of their own, inside of others, is said by `branches`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from orchestrator.cli.branches import Branches
from orchestrator.cli.keys import home_of, renewed_by
from orchestrator.cli.outline import Outline
from orchestrator.cli.questions import Questions
from orchestrator.cli.rows import Doing, Row, way_out
from orchestrator.cli.underway import UnderWay
from orchestrator.cli.words import count
from orchestrator.cli.work import WorkTimes
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.keys import owners_of, place_of, split_item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.journal.store import Note
from orchestrator.status import StepStatus
from orchestrator.types import ExecutionId, StepKey

#: Of what runs in one step, a row carries this many.
_SHOWN_AT_ONCE = 3
#: A step in one of these has not ended.
_OPEN = (StepStatus.PENDING, StepStatus.RUNNING)


@dataclass(slots=True)
class Board:
    """What there is to see of one execution. `order` are its step ids as the pipeline has them."""

    execution_id: ExecutionId
    order: Sequence[str] = ()
    outline: Outline = field(default_factory=Outline)
    record: ExecutionRecord = field(init=False)
    #: How many steps had ended when `replay` was done, and how many events there were.
    done_before: int = 0
    events_before: int = 0
    questions: Questions = field(default_factory=Questions)
    _under_way: UnderWay = field(init=False)
    _times: WorkTimes = field(default_factory=WorkTimes)
    _said: dict[StepKey, str] = field(default_factory=dict)
    _earlier: frozenset[StepKey] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.record = ExecutionRecord(self.execution_id, steps_total=len(self.order))
        self._under_way = UnderWay(self._home)

    def show(self, outline: Outline) -> None:
        """Take over the outline of a pipeline, which says what there will be to see."""
        self.outline, self.order = outline, outline.order
        self.record.steps_total = len(self.order)

    # -- taking in ---------------------------------------------------------------------------------------------------

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take in what happened before; the steps that have ended by then are `earlier`."""
        for entry in entries:
            self.apply(entry)
        self.done_before, self.events_before = self.record.steps_done, self.record.position
        self._earlier = frozenset(step.key for step in self.record.steps.values() if step.status in ENDED_WELL)

    def apply(self, entry: Entry) -> None:
        """Take in an event."""
        with self._lock:
            self._follow(entry.event, entry.at)
            self.questions.take(entry)
            self.record.apply(entry)
            self._settle(entry.event, entry.at)

    def _follow(self, event: ev.Event, at: float) -> None:
        """What is under way and the times, as they follow from an event that the fold has not seen yet."""
        match event:
            case ev.StepStarted(key=key, attempt=attempt):
                self._begin(self._under_way.start(key, attempt, at, self._recovery(key)))
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
                text = str(error.get("message", ""))
                self._begin(self._under_way.wait(key, attempt, at, text, due_at, self._recovery(key)))
            case ev.StepRecovering(key=key, attempt=attempt, plan=plan):
                self._begin(self._under_way.recover(key, attempt, at, way_out(plan)))
            case (
                ev.StepSucceeded(key=key)
                | ev.StepSkipped(key=key)
                | ev.StepFailed(key=key)
                | ev.StepCancelled(key=key)
                | ev.InterventionRequested(key=key)
                | ev.StepWaiting(key=key)
            ):
                self._under_way.end(key)
                if self._home(key) == key:
                    self._times.end(key, at)
            case ev.LoopExpanded(key=key) | ev.IterationStarted(key=key):
                self._begin_around(key, at)
            case ev.ExecutionRetried(keys=keys):
                self._renew(keys, ())
            case ev.ExecutionRestored(keys=keys, expanded=expanded) | ev.ExecutionRerun(keys=keys, expanded=expanded):
                self._renew(keys, expanded)
            case ev.ExecutionClaimed():
                self._stop(min(at, self.record.updated_at))
                self._times.whole.begin(at)
            case ev.ExecutionForked():  # what had run in the other one does not run here
                self._stop(min(at, self.record.updated_at))
            case ev.ExecutionPaused() | ev.ExecutionCompleted() | ev.ExecutionFailed() | ev.ExecutionCancelled():
                self._stop(at)

    def _settle(self, event: ev.Event, at: float) -> None:
        """The times of steps that hold others, which depend on how things stand after an event."""
        match event:
            case ev.BlockEntered(key=key):
                self._begin_around(key, at)
            case (
                ev.StepSucceeded(key=key)
                | ev.StepSkipped(key=key)
                | ev.StepFailed(key=key)
                | ev.StepCancelled(key=key)
                | ev.InterventionRequested(key=key)
                | ev.StepWaiting(key=key)
            ):
                for owner in owners_of(self._home(key)):
                    self._rest(owner, at)
            case ev.ExecutionClaimed() | ev.ExecutionRestored() | ev.ExecutionRerun():
                self._go_on(at)

    def abandon(self) -> None:
        """Whoever ran it is gone: nothing runs since the last event."""
        with self._lock:
            self._stop(self.record.updated_at)

    def note(self, note: Note) -> None:
        """Take in progress or a line of output."""
        key = StepKey(note.step_key)
        with self._lock:
            known = self.record.steps.get(key)
            if known is not None and known.status not in _OPEN:
                return
            doing = self._under_way.note(note, self._recovery(key))
            if note.kind != "progress" and self._home(key) == key and split_item_key(key) is None:
                self._said[key] = doing.text

    def _home(self, key: StepKey) -> StepKey:
        return home_of(key, self.record)

    def _recovery(self, key: StepKey) -> str:
        """Which way out of a failure runs under this key, where one does."""
        home = self._home(key)
        owner = self.record.steps.get(home) if home != key else None
        return way_out(owner.plan) if owner else ""

    def _begin(self, doing: Doing) -> None:
        self._begin_around(self._home(doing.key), doing.since)

    def _begin_around(self, key: StepKey, at: float) -> None:
        """Work on a step begins, and on all that holds it; an item that holds nothing is timed by its record."""
        for owner in (key, *owners_of(key)):
            if split_item_key(owner) is None or self._holds_others(owner):
                self._times.begin(owner, at)

    def _holds_others(self, key: StepKey) -> bool:
        step = self.record.steps.get(key)
        return step is not None and step.holds_others

    def _rest(self, row: StepKey, at: float) -> None:
        """Where all that goes on inside of a step is to wait, or it failed, nobody works on it."""
        step = self.record.steps.get(row)
        failed = step is not None and step.status is StepStatus.FAILED
        if (failed or self.questions.open_of(row)) and not self._under_way.of_row(row):
            self._times.end(row, at)

    def _renew(self, keys: Sequence[StepKey], expanded: Sequence[StepKey]) -> None:
        renewed = renewed_by(keys, expanded)
        self._under_way.drop(renewed)
        self.questions.drop(renewed)
        self._earlier -= {*keys}
        self._times.forget(renewed)
        for key in [key for key in self._said if renewed(key)]:
            del self._said[key]

    def _stop(self, at: float) -> None:
        """Nothing runs any more."""
        self._times.stop(at)
        self._under_way.clear()

    def _go_on(self, at: float) -> None:
        """Steps that hold others, and had begun, go on with them."""
        for step in self.record.steps.values() if self._times.running else ():
            if step.holds_others and step.status is StepStatus.RUNNING and not self.questions.open_of(step.key):
                self._times.begin(step.key, at)

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def steps_total(self) -> int:
        """How many steps the pipeline has; of a durable function, which says so as it runs, how many it has had."""
        return len(self.order) or sum(self.record.is_top(key) for key in [*self.record.steps])

    def counted(self, done: int) -> str:
        """So many steps of all: `3 of 5 steps`; `3 steps` where nobody knows how many there will be."""
        return count(done, "step") if self.outline.function else f"{done} of {count(len(self.order), 'step')}"

    def seconds(self, now: float) -> float:
        """How long the execution ran, the time between its lives left out."""
        return self._times.whole.seconds(now)

    def step_seconds(self, key: StepKey, now: float) -> float | None:
        """How long a step ran; None where it has not begun. Of an item of a loop: from its start to its end."""
        if (seconds := self._times.of(key, now)) is not None:
            return seconds
        step = self.record.steps.get(key)
        if step is None or step.started_at is None or step.ended_at is None:
            return None
        return step.ended_at - step.started_at

    def checkpoint_at(self, position: int, otherwise: str) -> str:
        """The name of the checkpoint at a position of the journal."""
        return next((name for name, at in self.record.checkpoints.items() if at == position), otherwise)

    def state(self, step: StepRecord) -> str:
        """How a step stands, or one item of a loop, in the words of `Row.state`."""
        home = self._home(step.key)
        if home != step.key:  # itself it recovers from nothing
            doing = self._under_way.of(step.key)
            if doing is not None:
                return "retrying" if doing.due_at is not None else "running"
            return self._state(step, (), asked=False)
        doings = self._under_way.of_row(step.key)
        return self._state(step, doings.values(), asked=bool(self.questions.open_of(step.key)))

    def rows(self, now: float) -> list[Row]:
        """The steps of the pipeline in its order, each followed by what there is to see inside of it."""
        with self._lock:
            keys = dict.fromkeys(StepKey(key) for key in self.order)
            if not self.order:
                keys = dict.fromkeys(key for key in self.record.steps if place_of(key) is None)
            return [row for key in keys for row in self._rows_from(key, now)]

    def rows_of(self, key: StepKey, now: float) -> list[Row]:
        """One step, followed by what there is to see inside of it."""
        with self._lock:
            return self._rows_from(key, now)

    def _rows_from(self, key: StepKey, now: float) -> list[Row]:
        branches = Branches(self.record, self.outline, self._under_way.of_row, self.questions.open_of)
        found = branches.below(key)
        depths = [*(depth for _, depth in found[1:]), 0]
        return [
            self._row(inner, now, depth, opened=next_depth > depth)
            for (inner, depth), next_depth in zip(found, depths, strict=True)
        ]

    def _row(self, key: StepKey, now: float, depth: int, *, opened: bool) -> Row:
        step = self.record.steps.get(key) or StepRecord(key)
        doing, questions = self._under_way.of_row(key), self.questions.open_of(key)
        return Row(
            key=key,
            state=self._state(step, doing.values(), asked=bool(questions)),
            seconds=self.step_seconds(key, now),
            attempt=step.attempt,
            failed_attempts=step.failed_attempts,
            total=None if step.items is None else len(step.items),
            done=step.items_done,
            failed=step.items_failed,
            doing=tuple(islice(doing.values(), _SHOWN_AT_ONCE)),
            running=len(doing),
            text=self._said.get(key, ""),
            earlier=key in self._earlier,
            name=step.name,
            asked=next(iter(questions.values()), None),
            waiting=len(questions),
            recovery=way_out(step.plan),
            rollbacks=self.record.rollbacks.get(key, 0),
            depth=depth,
            opened=opened,
            rounds=step.rounds,
            alone=step.block is None and step.rounds is None,
            case=step.block.case if step.block is not None else None,
            reason=step.reason,
        )

    def _state(self, step: StepRecord, doing: Collection[Doing], *, asked: bool) -> str:
        if step.status not in _OPEN:
            return str(step.status)
        if doing:  # also where the first note came before the start was recorded
            if any(d.due_at is None and not d.recovery for d in doing):
                return "running"
            return "recovering" if any(d.recovery for d in doing) else "retrying"
        if asked:
            return "waiting"
        if step.status is StepStatus.RUNNING and not self._times.running:
            return "unfinished"
        return str(step.status)
