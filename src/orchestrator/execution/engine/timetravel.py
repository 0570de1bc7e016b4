"""Time travel: the checkpoints of an execution, setting it back to one, and forks.

A restore is an event of the same execution: its history stays. A fork is an execution of its own, whose journal begins
with the other's up to some position; large values are shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import InputError
from orchestrator.execution.engine.again import (
    events_to_retry,
    keys_given_up,
    keys_to_rerun,
    keys_to_retry,
    rerun_events,
    retry_events,
)
from orchestrator.execution.engine.beginning import every_step
from orchestrator.execution.engine.places import Places
from orchestrator.execution.integration import Session
from orchestrator.execution.state import ExecutionContext
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.records import blobs_of, encode_body
from orchestrator.journal.store import Append
from orchestrator.pipelines.wording import did_you_mean
from orchestrator.status import ExecutionStatus
from orchestrator.types import BlobHash, ExecutionId, StepKey


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """A checkpoint: its id, its name where a person gave one, where and when it was made, after which step.

    `kept` says whether a restore can go back to it; a fork can begin at any. Times are seconds since the epoch.
    """

    id: str
    name: str
    position: int
    at: float
    step: StepKey | None
    kept: bool


def checkpoints_of(journal: Sequence[Entry], context: ExecutionContext | None = None) -> list[CheckpointInfo]:
    """The checkpoints of a journal, oldest first. Without a context none counts as kept."""
    kept = {checkpoint.id for checkpoint in context.checkpoints} if context is not None else set()
    found = []
    for entry in journal:
        match entry.event:
            case ev.CheckpointCreated(checkpoint=id_, description=name, key=key):
                found.append(CheckpointInfo(id_, name, entry.position, entry.at, key, id_ in kept))
            case ev.StepSucceeded(checkpoint=str() as name, key=key):
                id_ = f"s{entry.position:07x}"
                found.append(CheckpointInfo(id_, name, entry.position, entry.at, key, id_ in kept))
    return found


def restore_to(session: Session, checkpoint: str) -> None:
    """Set an execution that nobody drives back to a checkpoint. Raises InputError where it has none of that name."""
    planned = session.context.plan_restore(checkpoint)
    if planned is None:
        names = [found.description or found.id for found in session.context.checkpoints]
        hint = did_you_mean(checkpoint, names) or f"there are {', '.join(names)}"
        raise InputError(f"there is no checkpoint {checkpoint!r} to go back to; {hint}")
    begun = session.record.status is not ExecutionStatus.PENDING
    session.add((planned[0], *((ev.ExecutionPaused(f"restored to {checkpoint}"),) if begun else ())))
    session.seal(lambda _commit: None)
    session.store.flush()
    session.settle()


def prefix_of(journal: Sequence[Entry], at: str | int | None) -> list[Entry]:
    """The journal up to a checkpoint (by id or name, of one name the newest) or a position; all of it for None.

    Raises InputError where there is no such place.
    """
    if at is None:
        return [*journal]
    position = at if isinstance(at, int) else int(at) if at.isdecimal() else None
    if position is None:
        found = [c for c in checkpoints_of(journal) if at in (c.id, c.name)]
        if not found:
            names = [c.name or c.id for c in checkpoints_of(journal)]
            hint = did_you_mean(str(at), names) or f"there are {', '.join(names[-10:]) or 'none'}"
            raise InputError(f"there is no checkpoint {at!r}; {hint}")
        position = found[-1].position
    if not 1 <= position <= len(journal):
        raise InputError(f"the journal has positions 1 to {len(journal)}, not {position}")
    return [*journal[:position]]


def commit_fork(
    session: Session,
    places: Places,
    journal: Sequence[Entry],
    source: ExecutionId,
    variables: Mapping[str, Any],
    from_step: str | None,
) -> None:
    """Write the journal of a fork: the prefix of another's, where it came from, what is otherwise in it.

    What had failed for good by then, or was cancelled, begins anew: a fork is there to go on. `places` finds the steps
    of the session's record. Raises InputError where `from_step` is none that has begun, or a variable is unknown.
    """
    created = journal[0].event
    assert isinstance(created, ev.ExecutionCreated)
    first = replace(journal[0], event=replace(created, execution_id=session.lease.execution_id))
    copied = [first, *journal[1:]]
    session.replay(copied)
    whole = [*copied]

    def add(*events: Event) -> None:
        added = [Entry(len(whole) + 1 + n, session.clock.time(), event) for n, event in enumerate(events)]
        session.replay(added)
        whole.extend(added)

    add(ev.ExecutionForked(source, len(journal)))
    if from_step is not None:
        add(*rerun_events(session, copied, keys_to_rerun(session, places, copied, StepKey(from_step))))
    if given_up := keys_given_up(session):
        add(*rerun_events(session, whole, given_up))
    if session.plan.function is not None and session.record.failed_step is not None:
        add(*events_to_retry(session, whole, None))
    elif session.machine.failed:
        add(*retry_events(whole, keys_to_retry(session, None)))
    if variables:
        add(_set(session, variables))
    summary = replace(session.summary(), message=f"forked from {source}")
    append = Append(
        replace(session.lease, epoch=1),
        0,
        len(whole),
        encode_body([(entry.at, entry.event) for entry in whole]),
        summary,
        tuple(dict.fromkeys(blob for entry in whole for blob in blobs_of(entry.event))),
        releases=True,
    )
    session.store.commit(append).wait()


def _set(session: Session, variables: Mapping[str, Any]) -> ev.VariablesChanged:
    """What is set in a fork. Raises InputError for a name that the pipeline does not have."""
    known = {*session.record.inputs, *session.variables.list_variables()}
    known |= {name for step in every_step(session.plan) for name in step.definition.get("set", ())}
    for name in variables:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(sorted(known)) or 'none'}"
            raise InputError(f"the pipeline has no variable {name!r}; {hint}")
    blobs: list[tuple[BlobHash, bytes]] = []
    writes = tuple((name, encode(value, lambda *blob: blobs.append(blob))) for name, value in variables.items())
    session.store.put_blobs(blobs)
    return ev.VariablesChanged(writes, (), "fork")
