"""The board: a fold of events and notes into what a person wants to see of each step.

It stands on `ExecutionRecord` and adds what only somebody who watches asks for: which attempts run now and how far they
say they are, and for how long a step was really worked on (the hours between a crash and its resume are nobody's work).
`show` folds a whole journal with it, the live view one event after the other. Taking in an event costs the same
whether a loop has ten items or ten thousand. Thread-safe: notes come from wherever handlers run.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from orchestrator.cli.rows import Doing, Row
from orchestrator.cli.words import one_line
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord, StepRecord, split_item_key
from orchestrator.journal.store import Note
from orchestrator.status import StepStatus
from orchestrator.types import ExecutionId, StepKey

#: Of what runs in one step, a row carries this many.
_SHOWN_AT_ONCE = 3
#: A longer line of output than this is of no use beside a step.
_LINE_CHARACTERS = 300


@dataclass(slots=True)
class _Work:
    """The time that was worked on something: what earlier spans came to, and since when the present one lasts."""

    spent: float = 0.0
    since: float | None = None

    def begin(self, at: float) -> None:
        if self.since is None:
            self.since = at

    def end(self, at: float) -> None:
        if self.since is not None:
            self.spent += max(0.0, at - self.since)
            self.since = None

    def seconds(self, now: float) -> float:
        return self.spent + (max(0.0, now - self.since) if self.since is not None else 0.0)


@dataclass(slots=True)
class Board:
    """What there is to see of one execution. `order` are its step ids as the pipeline has them."""

    execution_id: ExecutionId
    order: Sequence[str] = ()
    record: ExecutionRecord = field(init=False)
    #: How many steps had ended when `replay` was done, and how many events there were.
    done_before: int = 0
    events_before: int = 0
    _doing: dict[StepKey, dict[StepKey, Doing]] = field(default_factory=dict)
    _work: dict[StepKey, _Work] = field(default_factory=dict)
    _whole: _Work = field(default_factory=_Work)
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
        ended = (StepStatus.COMPLETED, StepStatus.SKIPPED)
        self._earlier = frozenset(step.key for step in self.record.steps.values() if step.status in ended)

    def apply(self, entry: Entry) -> None:
        """Take in an event."""
        with self._lock:
            event, at = entry.event, entry.at
            match event:
                case ev.StepStarted(key=key, attempt=attempt):
                    told = self._doing.get(_top(key), {}).get(key)  # a note may come before the start is recorded
                    early = told and told.attempt == attempt and told.due_at is None
                    self._begin(key, replace(told, since=at) if told and early else Doing(key, attempt, at))
                case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
                    text = one_line(str(error.get("message", "")))[:_LINE_CHARACTERS]
                    self._begin(key, Doing(key, attempt, at, text=text, due_at=due_at))
                case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key) | ev.StepFailed(key=key):
                    self._end(key, at)
                case ev.LoopExpanded(key=key):
                    self._work_on(key).begin(at)
                case ev.ExecutionRetried(keys=keys):
                    for key in keys:
                        self._work.pop(key, None)
                case ev.ExecutionClaimed():
                    self._stop(min(at, self.record.updated_at))
                    self._whole.begin(at)
                case ev.ExecutionPaused() | ev.ExecutionCompleted() | ev.ExecutionFailed():
                    self._stop(at)
            self.record.apply(entry)
            if isinstance(event, ev.ExecutionClaimed):
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
            if known is not None and known.status not in (StepStatus.RUNNING, StepStatus.PENDING):
                return
            top = _top(key)
            doing = self._doing.setdefault(top, {})
            mine = doing.get(key)
            if mine is None or mine.attempt != note.attempt or mine.due_at is not None:
                mine = Doing(key, note.attempt, note.at)
            text = one_line(note.text)[:_LINE_CHARACTERS] or mine.text
            doing[key] = replace(mine, text=text, fraction=mine.fraction if note.fraction is None else note.fraction)
            if note.kind != "progress" and top == key:
                self._said[key] = text

    def _begin(self, key: StepKey, doing: Doing) -> None:
        top = _top(key)
        self._doing.setdefault(top, {})[key] = doing
        self._work_on(top).begin(doing.since)

    def _end(self, key: StepKey, at: float) -> None:
        top = _top(key)
        if top in self._doing:
            self._doing[top].pop(key, None)
        if top == key:
            self._work_on(top).end(at)

    def _stop(self, at: float) -> None:
        """Nothing runs any more."""
        self._whole.end(at)
        for work in self._work.values():
            work.end(at)
        self._doing.clear()

    def _go_on(self, at: float) -> None:
        """Loops that had begun go on with their items."""
        for step in self.record.steps.values():
            if step.items is not None and step.status is StepStatus.RUNNING:
                self._work_on(step.key).begin(at)

    def _work_on(self, top: StepKey) -> _Work:
        return self._work.setdefault(top, _Work())

    # -- looking -----------------------------------------------------------------------------------------------------

    def seconds(self, now: float) -> float:
        """How long the execution ran, the time between its lives left out."""
        return self._whole.seconds(now)

    def step_seconds(self, key: StepKey, now: float) -> float | None:
        """How long a step ran; None where it has not begun. Of an item of a loop: from its start to its end."""
        if (work := self._work.get(key)) is not None:
            return work.seconds(now)
        step = self.record.steps.get(key)
        if step is None or step.started_at is None or step.ended_at is None:
            return None
        return step.ended_at - step.started_at

    def state(self, step: StepRecord) -> str:
        """How a step stands, or one item of a loop, in the words of `Row.state`."""
        doing = self._doing.get(_top(step.key), {}).get(step.key)
        return self._state(step, [doing] if doing else [])

    def rows(self, now: float) -> list[Row]:
        """Every step of the pipeline, in its order."""
        with self._lock:
            keys = dict.fromkeys(StepKey(key) for key in self.order)
            if not self.order:
                keys = dict.fromkeys(_top(key) for key in self.record.steps)
            return [self._row(key, now) for key in keys]

    def _row(self, key: StepKey, now: float) -> Row:
        step = self.record.steps.get(key) or StepRecord(key)
        doing = self._doing.get(key) or {}
        return Row(
            key=key,
            state=self._state(step, doing.values()),
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
        )

    def _state(self, step: StepRecord, doing: Collection[Doing]) -> str:
        if step.status not in (StepStatus.RUNNING, StepStatus.PENDING):
            return str(step.status)
        if doing:  # also where the first note came before the start was recorded
            return "retrying" if all(d.due_at is not None for d in doing) else "running"
        if step.status is StepStatus.RUNNING and self._whole.since is None:
            return "unfinished"
        return str(step.status)


def _top(key: StepKey) -> StepKey:
    """The step of the pipeline that a step key belongs to."""
    found = split_item_key(key)
    return found[0] if found else key
