"""Going back to a checkpoint: what differs gets a new version, what came later goes, and history stays.

`plan` decides: which steps differ, which variables. `go_back` does it. Steps come back exactly as they stood, in a new
generation; in an engine, which cannot take up a step half-way, the fold brings them back as pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from orchestrator.execution.state.applied import Applied
from orchestrator.execution.state.marks import Mark, copy_step
from orchestrator.execution.state.steps import forget_owner
from orchestrator.execution.variables import Change, CloseContext, Delete, VariableScope, Write, encode_cell
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.keys import owners_of, split_item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ENDED, StepStatus, restored_status
from orchestrator.types import StepKey

#: What of a step a restore does not bring back, or what follows from its items.
_NOT_COMPARED = frozenset({"key", "generation", "spent", "items_done", "items_failed", "inner"})
_COMPARED = tuple(field.name for field in fields(StepRecord) if field.name not in _NOT_COMPARED)


def source(checkpoint: str) -> str:
    """Who wrote what a restore brought back."""
    return f"restore:{checkpoint}"


# -- deciding ----------------------------------------------------------------------------------------------------------


def plan(
    state: Applied, mark: Mark, cause: StepKey | None, encode: bool
) -> tuple[ev.ExecutionRestored, tuple[Change, ...]]:
    """The event of a restore, and what it changes in the variables. With `encode` the event carries those as well.

    Raises EncodeError where a value that is to come back cannot be encoded. Under the lock.
    """
    assert mark.checkpoint is not None
    changes = state.values.manager.changes_since(mark.variables, source(mark.checkpoint.id))
    keys, expanded = _keys(state, mark)
    roots = [change for change in changes if isinstance(change, Write | Delete) and change.context_id is None]
    event = ev.ExecutionRestored(
        mark.checkpoint.id,
        mark.position,
        keys,
        tuple((c.name, encode_cell(c.cell)) for c in roots if isinstance(c, Write) and _is_global(c)) if encode else (),
        tuple(c.name for c in roots if isinstance(c, Delete)),
        cause,
        expanded,
    )
    return event, changes


def _is_global(change: Write) -> bool:
    return change.scope is VariableScope.GLOBAL


def _keys(state: Applied, mark: Mark) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """The steps that differ, without what goes with its owner; and the loops among them that keep their items."""
    steps = state.record.steps
    then = state.marks.steps_at(mark)
    differing = {key for key, was in then.items() if not alike(was, steps.get(key))}
    if not state.alone:
        differing |= {owner for key in differing for owner in owners_of(key) if _had_ended(owner, then)}
    expanded = {key for key in differing if _keeps_inside(then[key], steps.get(key))}
    gone = differing - expanded
    keys = tuple(key for key in then if key in differing and not any(owner in gone for owner in owners_of(key)))
    return keys, tuple(key for key in keys if key in expanded)


def _had_ended(owner: StepKey, then: Mapping[StepKey, StepRecord | None]) -> bool:
    """Whether a step had ended then that has changed since: its output may be made of what differs inside of it."""
    was = then.get(owner)
    return was is not None and was.status not in (StepStatus.PENDING, StepStatus.RUNNING)


def _keeps_inside(was: StepRecord | None, now: StepRecord | None) -> bool:
    """Whether a step held others then that it still holds. A `while` that had begun begins anew as a whole."""
    return (
        was is not None
        and now is not None
        and was.status is StepStatus.RUNNING
        and was.holds_others
        and was.rounds is None
        and (was.generation, was.items, was.block) == (now.generation, now.items, now.block)
    )


def alike(was: StepRecord | None, now: StepRecord | None) -> bool:
    """Whether a step stands as it stood. One that is unknown stands like one of which nothing happened."""
    blank = StepRecord(StepKey(""))
    return all(getattr(was or blank, name) == getattr(now or blank, name) for name in _COMPARED)


# -- doing -------------------------------------------------------------------------------------------------------------


def restore(state: Applied, entry: Entry, event: ev.ExecutionRestored) -> None:
    """Take in the restore of a checkpoint; of one that is not kept any more, what the event says. Under the lock."""
    mark = state.marks.find(event.checkpoint)
    if mark is not None:
        go_back(state, mark, entry, event, exact=False)
        return
    renew_steps(state, entry, event)
    state.values.write(event.writes, entry.at, source(event.checkpoint))
    state.values.delete(event.deleted, entry.at)


def go_back(state: Applied, mark: Mark, entry: Entry, event: ev.ExecutionRestored, exact: bool) -> None:
    """Bring everything to where it stood at a mark. Under the lock.

    With `exact` the status comes back as well; without, only where the execution has ended since.
    """
    at, record = entry.at, state.record
    if state.alone:
        _bring_back_steps(state, mark, entry, event)
    else:
        renew_steps(state, entry, event)
    tally = state.tally
    state.values.go_back(
        mark.variables, source(event.checkpoint), at, then=lambda: tally.restore(mark.metrics, mark.expected)
    )
    _run_again(state, mark, at)
    record.status = mark.status if exact else restored_status(record.status, mark.status)
    if exact:
        record.pause_reason = mark.pause_reason
    if record.status not in ENDED:
        record.ended_at = record.error = record.failed_step = None
    _bring_back_nested(state, mark, event.checkpoint)


def _run_again(state: Applied, mark: Mark, at: float) -> None:
    """Whoever runs now has the variables that it had then; those of a step that does not are not brought back."""
    tally = state.tally
    if state.alone:
        tally.run_again(mark.running)
        return
    left = [context_id for key, context_id in mark.running.items() if key not in tally.running and context_id]
    state.values.inside.apply([CloseContext(context_id) for context_id in left], at)
    for key, known in tally.running.items():
        tally.running[key] = known if known and state.values.inside.has_context(known) else mark.running.get(key)


def renew_steps(state: Applied, entry: Entry, event: ev.ExecutionRestored | ev.ExecutionRerun) -> None:
    """As the fold does: the steps of the event begin a new generation, and what belongs to them is gone."""
    steps = state.record.steps
    loops = [found[0] for key in event.keys if (found := split_item_key(key))]
    renewed = set(event.keys)
    belonging = [key for key in steps if any(owner in renewed for owner in owners_of(key))]
    touched = dict.fromkeys([*event.keys, *loops, *belonging])
    state.steps.changing(touched, lambda: state.record.apply(entry))


def _bring_back_steps(state: Applied, mark: Mark, entry: Entry, event: ev.ExecutionRestored) -> None:
    steps = state.record.steps
    then = {key: was for key, was in state.marks.steps_at(mark).items() if not alike(was, steps.get(key))}

    def change() -> None:
        for key, was in then.items():
            steps[key] = _as_it_stood(key, was, steps.get(key))
        state.record.regroup()
        # The fold keeps the budgets and counts anew; with no keys it renews nothing.
        state.record.apply(replace(entry, event=replace(event, keys=(), expanded=(), writes=(), deleted=())))
        for found in map(split_item_key, steps):
            if found:
                forget_owner(state.record.step(found[0]))

    state.steps.changing(_with_loops(then), change)


def _with_loops(keys: Iterable[StepKey]) -> dict[StepKey, None]:
    loops = [found[0] for key in keys if (found := split_item_key(key))]
    return dict.fromkeys([*keys, *loops])


def _as_it_stood(key: StepKey, was: StepRecord | None, now: StepRecord | None) -> StepRecord:
    """A record of its own, in a generation that no other has had; budgets are not given back."""
    step = copy_step(was) or StepRecord(key)
    known = [record for record in (was, now) if record is not None]
    step.generation = max((record.generation for record in known), default=0) + 1
    step.spent = max((record.failed_attempts for record in known), default=0)
    return step


def _bring_back_nested(state: Applied, mark: Mark, checkpoint: str) -> None:
    nested = state.nested = {} if state.nested is None else state.nested
    for name, was in state.marks.nested_at(mark).items():
        if nested.get(name) is not was:
            state.note_nested(name)
            if was is None:
                del nested[name]
            else:
                nested[name] = was  # type: ignore[assignment]  # every holder is an Applied
    for inner in sorted(_changed(state, mark), key=lambda inner: inner.name):
        then = state.marks.state_at(mark, inner) if nested.get(inner.name) is inner else None
        if then is not None:
            _bring_back_one(state, inner, then, checkpoint)


def _changed(state: Applied, mark: Mark) -> set[Applied]:
    marked = {holder for holder in state.marks.changed_since(mark) if isinstance(holder, Applied)}
    return marked | (state.touched or set())


def _bring_back_one(state: Applied, inner: Applied, mark: Mark, checkpoint: str) -> None:
    with inner.lock:
        keys, expanded = _keys(inner, mark)
        event = ev.ExecutionRestored(checkpoint, mark.position, keys, expanded=expanded)
        entry = inner.entry(event)
        before = inner.record.status
        go_back(inner, mark, entry, event, exact=True)
        inner.touch()
        inner.tell(entry, (), before)
    state.put(inner.deliver)
