"""Applying: what each entry does to the state of an execution. Live or in a replay, this is the one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.clock import utc
from orchestrator.execution.state.applied import Applied
from orchestrator.execution.state.checkpoints import Checkpoint, checkpoint_number
from orchestrator.execution.state.restoring import renew_steps, restore
from orchestrator.execution.state.steps import OF_A_STEP
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import owners_of
from orchestrator.status import ENDED, ExecutionStatus
from orchestrator.types import StepKey

#: Why a nested context was paused that goes on when its parent does.
PAUSED_WITH_PARENT = "its parent was paused"
#: Why a nested context was cancelled that was made after its parent's end.
_CANCELLED_WITH_PARENT = "its parent was cancelled"


def apply(state: Applied, entry: Entry) -> None:
    """Take in one entry. `deliver` must follow, with no lock held."""
    with state.lock:
        before = state.record.status
        cancelled = _take_in(state, entry)
        if state.parent is not None:
            state.touch()
        if state.listening is not None:
            state.tell(entry, cancelled, before)


def _take_in(state: Applied, entry: Entry) -> Sequence[StepKey]:
    """Change the state; gives the steps that were cancelled."""
    event = entry.event
    if type(event) in OF_A_STEP:
        state.steps.take_in(entry, event.key)  # type: ignore[union-attr, arg-type]  # each of them has one
        if type(event) is ev.StepSucceeded and event.checkpoint is not None:
            _add_checkpoint(state, entry, f"s{entry.position:07x}", event.checkpoint, event.key)
        return ()
    match event:
        case ev.CheckpointCreated(checkpoint=name, description=description, key=key):
            state.record.apply(entry)
            _add_checkpoint(state, entry, name, description, key)
        case ev.ExecutionRestored():
            restore(state, entry, event)
        case ev.BlockEntered(key=key):
            state.steps.changing([key, *state.record.inside(key)], lambda: state.record.apply(entry))
        case ev.ExecutionRetried(keys=keys):
            inside = [inner for key in keys for inner in state.record.inside(key)]
            around = [owner for key in keys for owner in owners_of(key)]
            touched = dict.fromkeys([*keys, *inside, *around])
            state.steps.changing(touched, lambda: state.record.apply(entry))
        case ev.ExecutionRerun():
            renew_steps(state, entry, event)
        case ev.ExecutionCancelled():
            return _cancel(state, entry)
        case ev.VariablesChanged():
            state.record.apply(entry)
            state.values.take_in(event, entry.at)
        case _:
            _live(state, entry)
    return ()


def _live(state: Applied, entry: Entry) -> None:
    was = state.record.status
    state.record.apply(entry)
    event, metrics = entry.event, state.tally.metrics
    match event:
        case ev.ExecutionCreated():
            state.values.take_in(event, entry.at)
        case ev.ExecutionClaimed():
            metrics.start_time = metrics.start_time or utc(entry.at)
            metrics.end_time = metrics.duration = None
            if was is ExecutionStatus.PAUSED:
                _tell_nested(state, event, lambda nested: nested.pause_reason == PAUSED_WITH_PARENT)
        case ev.ExecutionPaused():
            _tell_nested(
                state, ev.ExecutionPaused(PAUSED_WITH_PARENT), lambda nested: nested.status is ExecutionStatus.RUNNING
            )
    if state.record.status in ENDED:
        metrics.mark_completed(utc(entry.at))


def _cancel(state: Applied, entry: Entry) -> Sequence[StepKey]:
    keys = list(state.tally.running)
    state.steps.changing(keys, lambda: state.record.apply(entry))
    state.tally.metrics.mark_completed(utc(entry.at))
    _tell_nested(state, entry.event, lambda nested: nested.status not in ENDED)
    return keys


def join(state: Applied, parent: Applied) -> None:
    """Take a new context in among its parent's; one of a cancelled parent is cancelled at once."""
    with parent.lock:
        parent.attach(state)
        if parent.record.status is ExecutionStatus.CANCELLED:
            apply(state, state.entry(ev.ExecutionCancelled(_CANCELLED_WITH_PARENT)))


def _tell_nested(state: Applied, event: Event, concerned: Callable[[ExecutionRecord], bool]) -> None:
    """What happens to a parent happens to the contexts nested in it, as far as it concerns them."""
    for nested in (state.nested or {}).values():
        with nested.lock:
            if concerned(nested.record):
                apply(nested, nested.entry(event))
                state.put(nested.deliver)


def _add_checkpoint(state: Applied, entry: Entry, name: str, description: str, key: StepKey | None) -> None:
    state.last_checkpoint = max(state.last_checkpoint, checkpoint_number(name))
    state.tally.metrics.checkpoints_created += 1
    if name in state.passing:
        return
    made = Checkpoint(name, utc(entry.at), state.record.execution_id, key, state.record.status, description or None)
    state.mark(made)
    state.drop_surplus()
    if name in state.awaited:
        state.awaited[name](made)
