"""Which steps begin anew when somebody asks for another go: after a failure, or from a step on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator.errors import InputError
from orchestrator.execution.engine.function_again import calls_to_rerun, calls_to_retry, function_of
from orchestrator.execution.engine.places import Places
from orchestrator.execution.integration import Session
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import is_inside, owners_of, place_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.plan import PlannedStep
from orchestrator.pipelines.wording import did_you_mean
from orchestrator.status import Closing, StepStatus
from orchestrator.types import StepKey

_FAILED, _CANCELLED, _PENDING = StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.PENDING
_GIVEN_UP = frozenset({_FAILED, _CANCELLED, StepStatus.RUNNING})


def keys_to_retry(session: Session, step: str | None) -> tuple[StepKey, ...]:
    """The steps that a retry runs again: those that were the first to fail, and what was cancelled with them.

    The `finally` steps of what goes on are among them: they run again at the end; so is a `return` that came too late.
    Raises InputError.
    """
    record, steps = session.record, session.record.steps
    failed = [
        s for s in steps.values() if s.status is _FAILED and _is_origin(steps, s) and not _is_borne(session, s.key)
    ]
    keys = [s.key for s in failed if step is None or s.key == step or is_inside(s.key, StepKey(step))]
    if not keys and step is None and record.failed_step is None:  # the outputs could not be made
        return tuple(_tidied(session, {StepKey("")}, record))
    if not keys:
        names = ", ".join(s.key for s in failed) or "none"
        raise InputError(f"step {step!r} did not fail; these did: {names}")
    around = {StepKey(""), *(owner for key in keys for owner in owners_of(key))}
    cancelled = [s.key for s in steps.values() if s.status is _CANCELLED and _goes_on(steps, s.key)]
    again = dict.fromkeys([*keys, *cancelled, *session.machine.late_returns(), *_tidied(session, around, record)])
    return tuple(key for key in again if not any(owner in again for owner in owners_of(key)))  # it goes with its owner


def _is_origin(steps: Mapping[StepKey, StepRecord], step: StepRecord) -> bool:
    """Whether a step failed by itself, or of something that is not there any more."""
    return step.cause is None or step.cause not in steps or steps[step.cause].status is not _FAILED


def _is_borne(session: Session, key: StepKey) -> bool:
    """Whether the failure of a step counts for nothing: what is around it did not fail, or there is no such step."""
    owners = owners_of(key)
    if any(_is_dealt_with(session.record.steps, owner) for owner in owners):
        return True
    if session.machine.is_failure(key):
        return False
    around = all(o in session.record.steps and session.record.steps[o].status is _FAILED for o in owners)
    return not (owners and around and session.machine.knows(key))


def _goes_on(steps: Mapping[StepKey, StepRecord], key: StepKey) -> bool:
    """Whether everything around a cancelled step failed or goes on: it was cancelled with a failure."""
    owners = owners_of(key)
    return all(
        owner in steps and steps[owner].status in (_FAILED, StepStatus.RUNNING) and not _is_dealt_with(steps, owner)
        for owner in owners
    )


def _is_dealt_with(steps: Mapping[StepKey, StepRecord], owner: StepKey) -> bool:
    """Whether a step is about to deal with what failed inside of it: it asks a person, or waits for another attempt."""
    step = steps.get(owner)
    if step is None or step.block is None or step.status is not StepStatus.RUNNING:
        return False
    return step.failed_attempts >= step.block.attempt and bool(step.failures)


def _tidied(session: Session, around: Collection[StepKey], record: ExecutionRecord) -> list[StepKey]:
    """The `finally` steps that ran for the pipelines that go on."""
    return [key for owner in around for key in session.machine.last_keys(owner) if key in record.steps]


def keys_given_up(session: Session) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """What was cancelled with the execution; and those of it that hold others, and keep what ended inside of them."""
    steps = session.record.steps
    keys = [s.key for s in steps.values() if s.status is _CANCELLED and session.machine.is_wanted(s.key)]
    keys = [k for k in keys if all(o in steps and steps[o].status in _GIVEN_UP for o in owners_of(k))]
    if not keys or session.machine.verdict is Closing.RETURNED:
        return (), ()
    expanded = [key for key in keys if steps[key].holds_others and session.machine.holds(key)]
    tidied = _tidied(session, {StepKey(""), *expanded}, session.record)
    return tuple(dict.fromkeys([*keys, *tidied])), tuple(expanded)


def retry_events(journal: Sequence[Entry], keys: tuple[StepKey, ...]) -> tuple[Event, ...]:
    """What is recorded of a retry."""
    return (ev.ExecutionRetried(keys), *_as_before(journal, keys, ()))


def events_to_retry(session: Session, journal: Sequence[Entry], step: str | None) -> tuple[Event, ...]:
    """What is recorded of a retry, where what was cancelled with the failure keeps what ended inside of it."""
    if session.plan.function is not None:
        keys, expanded = calls_to_retry(session, step)
        return (
            (*rerun_events(session, journal, (keys, expanded)), ev.ExecutionRetried(()))
            if keys
            else (ev.ExecutionRetried(()),)
        )
    keys = keys_to_retry(session, step)
    given_up, expanded = keys_given_up(session)
    if not expanded:
        return retry_events(journal, keys)
    rest = tuple(key for key in keys if key not in given_up)
    return (*rerun_events(session, journal, (given_up, expanded)), *retry_events(journal, rest))


def rerun_events(
    session: Session,
    journal: Sequence[Entry],
    found: tuple[tuple[StepKey, ...], tuple[StepKey, ...]],
    by: str = "",
) -> tuple[Event, ...]:
    """What is recorded of a rerun."""
    return (ev.ExecutionRerun(*found, by), *_as_before(journal, *found))


def _as_before(
    journal: Sequence[Entry], keys: tuple[StepKey, ...], expanded: tuple[StepKey, ...]
) -> tuple[ev.VariablesChanged, ...]:
    """The variables that these steps set, as they were before: what runs again finds them as it did the first time."""
    again = frozenset(keys) - frozenset(expanded)
    known = values_known(journal)
    writes: list[tuple[str, Encoded]] = []
    deleted: list[str] = []
    for name, values in known.items():
        before = [*values]
        while before and before[-1][1] is not None and _begins_anew(before[-1][1], again):
            before.pop()
        if len(before) == len(values):
            continue
        value = before[-1][0] if before else None
        if value is None:
            deleted.append(name)
        else:
            writes.append((name, value))
    return (ev.VariablesChanged(tuple(writes), tuple(deleted), "again"),) if writes or deleted else ()


def _begins_anew(key: StepKey, again: frozenset[StepKey]) -> bool:
    return key in again or any(owner in again for owner in owners_of(key))


def values_known(journal: Sequence[Entry]) -> dict[str, list[tuple[Encoded | None, StepKey | None]]]:
    """The values that each GLOBAL variable had, with the step that set it (None: no step); None for a deleted one.

    What a restore has undone is left out.
    """
    found: dict[str, list[tuple[int, Encoded | None, StepKey | None]]] = {}

    def note(at: int, writes: Iterable[tuple[str, Encoded | None]], source: StepKey | None = None) -> None:
        for name, value in writes:
            found.setdefault(name, []).append((at, value, source))

    for entry in journal:
        match entry.event:
            case ev.ExecutionCreated(inputs=inputs):
                note(entry.position, inputs)
            case ev.StepSucceeded(key=key, writes=writes):
                note(entry.position, writes, key)
            case ev.VariablesChanged(writes=writes, deleted=deleted):
                note(entry.position, (*writes, *((name, None) for name in deleted)))
            case ev.ExecutionRestored(position=position):
                for name, values in found.items():
                    found[name] = [value for value in values if value[0] <= position]
    return {name: [(value, source) for _, value, source in values] for name, values in found.items()}


def keys_to_rerun(
    session: Session, places: Places, journal: Sequence[Entry], key: StepKey
) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """A step and all that depends on it; and those among them that hold others, and keep the rest of what they hold.

    Raises InputError where there is no such step, or it has not begun.
    """
    function = function_of(session, key)
    if function is not None:
        again, around = calls_to_rerun(session, key)
        if function == "":
            return again, around
        keys, expanded, key = dict.fromkeys(again), [*around], function
        keys.update(dict.fromkeys(_with_dependents(session, places, key)))
        return _around(session, places, key, keys, expanded)
    known = session.record.steps.get(key)
    if known is None or known.status is _PENDING or not session.machine.knows(key):
        hint = did_you_mean(key, session.record.steps)
        raise InputError(f"step {key!r} has not begun, or is not there; {hint or 'nothing of it is to be run again'}")
    return _around(session, places, key, dict.fromkeys(_with_dependents(session, places, key)), [])


def _around(
    session: Session, places: Places, key: StepKey, keys: dict[StepKey, None], expanded: list[StepKey]
) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """With what begins anew inside of a step, what does around it."""
    while True:
        place = place_of(key)
        if place is None:
            break
        key = place.owner
        if _keeps_the_rest(places.find(key).step, key):
            expanded.append(key)
            keys[key] = None
        else:  # it begins anew as a whole, and what was named inside of it with it
            keys = {inner: None for inner in keys if not is_inside(inner, key)}
            expanded = [inner for inner in expanded if not is_inside(inner, key)]
        keys.update(dict.fromkeys(_with_dependents(session, places, key)))
    kept = {StepKey(""), *expanded}
    beside = [*_cancelled_in(session, kept, keys), *session.machine.late_returns()]
    return tuple(dict.fromkeys([*keys, *beside, *_tidied(session, kept, session.record)])), tuple(expanded)


def _cancelled_in(session: Session, kept: Collection[StepKey], keys: Collection[StepKey]) -> list[StepKey]:
    """What was cancelled beside the steps that run again: what holds them cannot end without it."""
    found = []
    for step in session.record.steps.values():
        place = place_of(step.key)
        owner = place.owner if place is not None else StepKey("")
        if step.status is not _CANCELLED or owner not in kept or not session.machine.knows(step.key):
            continue
        returned = session.machine.returned_in(owner)
        if returned is None or returned in keys:  # else its pipeline is over without it
            found.append(step.key)
    return found


def _keeps_the_rest(step: PlannedStep, key: StepKey) -> bool:
    """Whether a step that holds others can run some of them again: not the rounds of a `while`, nor a race."""
    if key[-1:] != "]" and step.is_repeated:
        return False
    return step.kind != "parallel" or step.join is None or (key[-1:] != "]" and step.is_loop)


def _with_dependents(session: Session, places: Places, key: StepKey) -> list[StepKey]:
    """A step and the steps of its flow that depend on it and have begun."""
    place = place_of(key)
    if place is not None and place.mark == "[":
        return [key]
    flow = places.find(key).flow
    start = place.name if place is not None else key
    prefix = key[: len(key) - len(start)]
    found, left = [key], [start]
    seen = {start}
    while left:
        for name in flow[left.pop()].dependents:
            if name not in seen:
                seen.add(name)
                left.append(name)
                dependent = StepKey(prefix + name)
                known = session.record.steps.get(dependent)
                if known is not None and known.status is not _PENDING:
                    found.append(dependent)
    return found
