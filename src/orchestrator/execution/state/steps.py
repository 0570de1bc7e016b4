"""The steps of one execution: the fold's records, with who runs, the counts, and what marks must know.

Items of loops and parts of recoveries are steps here like any other; they have no variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.execution.state.marks import copy_step
from orchestrator.execution.state.tally import Tally
from orchestrator.execution.state.values import Values
from orchestrator.execution.variables import CloseContext
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import split_item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

_PENDING, _RUNNING = StepStatus.PENDING, StepStatus.RUNNING
#: The events of one step; each has its `key`.
OF_A_STEP = frozenset(
    {
        ev.StepStarted,
        ev.StepRetrying,
        ev.StepRecovering,
        ev.InterventionRequested,
        ev.InterventionAnswered,
        ev.LoopExpanded,
        ev.IterationStarted,
        ev.StepWaiting,
        ev.SignalTaken,
        ev.WaitOver,
        ev.DeadlinePassed,
        ev.StepInDoubt,
        ev.StepCancelled,
        ev.StepSucceeded,
        ev.StepSkipped,
        ev.StepFailed,
    }
)


class Steps:
    """Changes the steps of one record, noted and counted. Under its context's lock."""

    __slots__ = ("notes", "record", "tally", "values")

    def __init__(self, record: ExecutionRecord, tally: Tally, values: Values) -> None:
        self.record, self.tally, self.values = record, tally, values
        #: How steps stood at the newest mark that have changed since (None: unknown then); None while there is no mark.
        self.notes: dict[StepKey, StepRecord | None] | None = None

    def take_in(self, entry: Entry, key: StepKey) -> None:
        """Take in an event of a step, and bind what comes out of it."""
        event, record = entry.event, self.record
        steps = record.steps
        found = split_item_key(key)
        loop = None if found is None else self._loop(found[0])
        loop_before = _PENDING if loop is None else loop.status
        step = steps.get(key)
        if self.notes is not None:
            self.note(key, step)
        before = _PENDING if step is None else step.status
        kind = type(event)
        if kind is ev.StepStarted:
            if step is not None:
                self._begin_anew(step, event.generation)  # type: ignore[union-attr]  # a start has one
            self.tally.started(key)
        elif kind is ev.StepRetrying:
            self.tally.metrics.retries += 1
        record.apply(entry)
        self._moved(key, before, steps[key].status)
        if loop is not None and not forget_owner(loop):
            self._moved(loop.key, loop_before, loop.status)
        if kind is ev.StepSucceeded or kind is ev.StepSkipped:
            self.values.take_outcome(record, event, entry.at, has_variable=record.is_top(key))

    def _loop(self, key: StepKey) -> StepRecord:
        """The loop of an item that is about to change."""
        self.note(key, self.record.steps.get(key))
        return self.record.step(key)

    def _begin_anew(self, step: StepRecord, generation: int) -> None:
        """Where a step that ended starts once more, nothing is known of the new generation yet."""
        if generation <= step.generation:
            return
        fresh = StepRecord(step.key, generation=generation, spent=step.failed_attempts, name=step.name)
        self.record.steps[step.key] = fresh
        if step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            self.record.steps_done -= 1
        elif step.status is StepStatus.FAILED:
            self.record.steps_failed -= 1

    def note(self, key: StepKey, step: StepRecord | None) -> None:
        """A step is about to change: remember how it stands, if that is not noted yet."""
        if self.notes is not None and key not in self.notes:
            self.notes[key] = copy_step(step)

    def changing(self, keys: Iterable[StepKey], change: Callable[[], object]) -> None:
        """Make a change to these steps."""
        steps = self.record.steps
        before = {}
        for key in keys:
            step = steps.get(key)
            self.note(key, step)
            before[key] = _PENDING if step is None else step.status
        change()
        for key, old in before.items():
            now = steps.get(key)
            self._moved(key, old, _PENDING if now is None else now.status)

    def _moved(self, key: StepKey, old: StepStatus, new: StepStatus) -> None:
        if old is new:
            return
        if old is _RUNNING and (context_id := self.tally.running.get(key)) is not None:
            self.values.inside.apply([CloseContext(context_id)], self.record.updated_at)
        self.tally.moved(key, old, new)


def forget_owner(loop: StepRecord) -> bool:
    """Undo what the fold makes of a `c` that is no step, where a program has called one `c[0]`; whether it is so."""
    if loop.holds_others or loop.attempt:
        return False
    loop.status, loop.items_done, loop.items_failed = _PENDING, 0, 0
    return True
