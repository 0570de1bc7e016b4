"""The board: a fold of events and notes into what a person wants to see of each step.

It stands on `ExecutionRecord` and adds what only somebody who watches asks for: which attempts run now and how far they
say they are, who is waited for, and for how long a step was really worked on (the hours between a crash and its resume,
or until a person answers, are nobody's work). `show` folds a whole journal with it, the live view one event after the
other. Taking in an event costs the same whether a loop has ten items or ten thousand. Thread-safe: notes come from
wherever handlers run.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from orchestrator.cli.keys import owner_of, renewed_by, row_of
from orchestrator.cli.questions import Questions
from orchestrator.cli.rows import Doing, Row, way_out
from orchestrator.cli.underway import UnderWay
from orchestrator.cli.work import WorkTimes
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord, StepRecord, is_part
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
    record: ExecutionRecord = field(init=False)
    #: How many steps had ended when `replay` was done, and how many events there were.
    done_before: int = 0
    events_before: int = 0
    questions: Questions = field(default_factory=Questions)
    _under_way: UnderWay = field(default_factory=UnderWay)
    _times: WorkTimes = field(default_factory=WorkTimes)
    _said: dict[StepKey, str] = field(default_factory=dict)
    _earlier: frozenset[StepKey] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.record = ExecutionRecord(self.execution_id, steps_total=len(self.order))

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
                | ev.InterventionRequested(key=key)
            ):
                self._under_way.end(key)
                if row_of(key) == key:
                    self._times.end(key, at)
            case ev.LoopExpanded(key=key):
                self._times.begin(key, at)
            case ev.ExecutionRetried(keys=keys):
                self._renew(keys, ())
            case ev.ExecutionRestored(keys=keys, expanded=expanded):
                self._renew(keys, expanded)
            case ev.ExecutionClaimed():
                self._stop(min(at, self.record.updated_at))
                self._times.whole.begin(at)
            case ev.ExecutionPaused() | ev.ExecutionCompleted() | ev.ExecutionFailed() | ev.ExecutionCancelled():
                self._stop(at)

    def _settle(self, event: ev.Event, at: float) -> None:
        """The times of loops, which depend on how things stand after an event."""
        match event:
            case (
                ev.StepSucceeded(key=key)
                | ev.StepSkipped(key=key)
                | ev.StepFailed(key=key)
                | ev.InterventionRequested(key=key)
            ):
                self._rest(row_of(key), at)
            case ev.ExecutionClaimed() | ev.ExecutionRestored():
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
            if note.kind != "progress" and row_of(key) == key:
                self._said[key] = doing.text

    def _recovery(self, key: StepKey) -> str:
        """Which way out of a failure runs under this key, where one does."""
        owner = self.record.steps.get(owner_of(key)) if is_part(key) else None
        return way_out(owner.plan) if owner else ""

    def _begin(self, doing: Doing) -> None:
        self._times.begin(row_of(doing.key), doing.since)

    def _rest(self, row: StepKey, at: float) -> None:
        """Of a loop that failed, or waits for a person, nothing may be under way: no item starts by itself then."""
        step = self.record.steps.get(row)
        failed = step is not None and step.status is StepStatus.FAILED
        if (failed or self.questions.open_of(row)) and not self._under_way.of_row(row):
            self._times.end(row, at)

    def _renew(self, keys: Sequence[StepKey], expanded: Sequence[StepKey]) -> None:
        renewed = renewed_by(keys, expanded)
        self._under_way.drop(renewed)
        self.questions.drop(renewed)
        self._earlier -= {*keys}
        for key in keys:
            self._times.forget(key)
            self._said.pop(key, None)

    def _stop(self, at: float) -> None:
        """Nothing runs any more."""
        self._times.stop(at)
        self._under_way.clear()

    def _go_on(self, at: float) -> None:
        """Loops that had begun go on with their items."""
        for step in self.record.steps.values() if self._times.running else ():
            if step.items is not None and step.status is StepStatus.RUNNING and not self.questions.open_of(step.key):
                self._times.begin(step.key, at)

    # -- looking -----------------------------------------------------------------------------------------------------

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
        doing = self._under_way.of(step.key)
        asked = step.key in self.questions.open_of(row_of(step.key))
        if doing is not None and is_part(step.key):  # itself it recovers from nothing
            return "retrying" if doing.due_at is not None else "running"
        return self._state(step, [doing] if doing else [], asked=asked)

    def rows(self, now: float) -> list[Row]:
        """Every step of the pipeline, in its order."""
        with self._lock:
            keys = dict.fromkeys(StepKey(key) for key in self.order)
            if not self.order:
                keys = dict.fromkeys(row_of(key) for key in self.record.steps)
            return [self._row(key, now) for key in keys]

    def _row(self, key: StepKey, now: float) -> Row:
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
