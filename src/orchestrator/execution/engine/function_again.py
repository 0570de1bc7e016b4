"""Which calls of durable functions begin anew, when somebody asks for another go.

What a call depends on is not known: the function may have used anything that it was told. So everything that began
after a call goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import InputError
from orchestrator.execution.integration import Session
from orchestrator.execution.machine import ROOT
from orchestrator.journal.keys import is_inside, owners_of
from orchestrator.pipelines.wording import did_you_mean
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


def is_in_function(session: Session, key: StepKey) -> bool:
    """Whether a step is a call of a durable function, or inside of one."""
    return function_of(session, key) is not None


def function_of(session: Session, key: StepKey) -> StepKey | None:
    """The outermost step that runs a durable function and that a step is inside of (`""`: the execution itself)."""
    if session.machine.is_function(ROOT):
        return ROOT
    return next((owner for owner in reversed(owners_of(key)) if session.machine.is_function(owner)), None)


def calls_to_rerun(session: Session, key: StepKey) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """A call and all that began after it in the same functions; and those around it, which keep the rest.

    Raises InputError where it has not begun.
    """
    begun = session.beginnings
    if key not in begun or session.machine.status_of(key) in (None, StepStatus.PENDING):
        hint = did_you_mean(key, session.record.steps)
        raise InputError(f"step {key!r} has not begun, or is not there; {hint or 'nothing of it is to be run again'}")
    root = function_of(session, key) or ROOT
    around = [owner for owner in owners_of(key) if root == ROOT or owner == root or is_inside(owner, root)]
    keys = [key, *_later(session, root, begun[key], exclude={key, *around})]
    expanded = tuple(owner for owner in around if session.machine.holds(owner))
    return (*outermost(keys), *expanded), expanded


def calls_to_retry(session: Session, step: str | None) -> tuple[tuple[StepKey, ...], tuple[StepKey, ...]]:
    """The call whose failure the execution failed of, and what came after that; those around it keep the rest.

    None where the function failed by itself: it runs again, and what it had asked for is kept. Raises InputError.
    """
    record, machine = session.record, session.machine
    if step is not None and machine.status_of(StepKey(step)) is not StepStatus.FAILED:
        failed = [key for key, known in record.steps.items() if known.status is StepStatus.FAILED]
        raise InputError(f"step {step!r} did not fail; these did: {', '.join(failed) or 'none'}")
    key = StepKey(step) if step is not None else record.failed_step
    cancelled = [k for k, known in record.steps.items() if known.status is StepStatus.CANCELLED and machine.knows(k)]
    if key is None or machine.status_of(key) is not StepStatus.FAILED:
        return tuple(outermost(cancelled)), ()
    known = record.steps[key]
    while known.cause is not None and known.cause in record.steps and known.cause != key:
        key, known = known.cause, record.steps[known.cause]
    around = [owner for owner in owners_of(key) if machine.holds(owner)]
    kept = [key] if known.block is not None and machine.is_function(key) else []  # its own code failed
    later = _later(session, ROOT, session.outcomes.get(key, 0), exclude={key, *around})
    expanded = tuple(dict.fromkeys([*kept, *around]))
    return tuple(dict.fromkeys([*outermost([key, *later, *cancelled]), *expanded])), expanded


def _later(session: Session, root: StepKey, position: int, exclude: set[StepKey]) -> list[StepKey]:
    """The calls of these functions that began after a position."""
    machine = session.machine
    return [
        key
        for key, at in session.beginnings.items()
        if at > position
        and key not in exclude
        and (root == ROOT or is_inside(key, root))
        and machine.status_of(key) not in (None, StepStatus.PENDING)
        and not any(key in owners_of(other) for other in exclude)
    ]


def outermost(keys: Iterable[StepKey]) -> list[StepKey]:
    """These without what is inside of others of them."""
    found = dict.fromkeys(keys)
    return [key for key in found if not any(owner in found for owner in owners_of(key))]
