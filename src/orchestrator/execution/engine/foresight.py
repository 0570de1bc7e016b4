"""Foresight: what a verb would do with each step of an execution, and why, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import InputError
from orchestrator.execution.engine.again import keys_given_up, keys_to_rerun, keys_to_retry
from orchestrator.execution.engine.changing import changed_steps
from orchestrator.execution.engine.function_again import calls_to_retry, is_in_function
from orchestrator.execution.engine.places import Places
from orchestrator.execution.flow import planned as as_step
from orchestrator.execution.integration import Session
from orchestrator.execution.step import in_doubt
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL
from orchestrator.journal.keys import is_inside, owners_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.plan import PlannedStep
from orchestrator.status import UNFINISHED, ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

#: What may be done with a step.
REUSE, RUN, RERUN, GO_ON, DOUBT, WAITS, KEEP_FAILED = (
    "reuse",
    "run",
    "run again",
    "go on",
    "in doubt",
    "wait",
    "stays failed",
)
#: A call of a durable function: what else it is stands in the code.
_CALL = as_step({"id": "call", "call": ""})
VERBS = ("resume", "retry", "rerun")


@dataclass(frozen=True, slots=True)
class StepForecast:
    """What would be done with a step: `action` is one of reuse, run, run again, go on, in doubt, wait, stays failed."""

    key: StepKey
    action: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """What a verb would do with an execution. `refused` says why it would do nothing, where it would not."""

    execution_id: ExecutionId
    verb: str
    steps: Sequence[StepForecast]
    refused: str = ""
    changed: Sequence[str] = ()


def foresee(
    session: Session,
    places: Places,
    verb: str,
    step: str | None,
    before: Mapping[str, Any],
    hashes: Mapping[str, str],
    journal: Sequence[Entry],
    refused: str = "",
) -> ExecutionPlan:
    """What `verb` would do, given the definition `before` and the handlers' code as it is now. Raises InputError.

    `refused` is why it would do nothing, where that is known already.
    """
    if verb not in VERBS:
        raise InputError(f"{verb!r} is no verb to plan; say {', '.join(VERBS)}")
    record = session.record
    again: frozenset[StepKey] = frozenset()
    kept: frozenset[StepKey] = frozenset()
    if verb == "retry" and record.status is ExecutionStatus.FAILED:
        if session.plan.function is not None:
            found, expanded = calls_to_retry(session, step)
            again, kept = frozenset(found) - frozenset(expanded), frozenset(expanded)
        else:
            again = frozenset(keys_to_retry(session, step))
        given_up, holders = keys_given_up(session) if session.plan.function is None else ((), ())
        if holders:
            again |= frozenset(given_up)
        kept |= (frozenset(owner for key in again for owner in owners_of(key)) - again) | frozenset(holders)
    elif verb == "rerun":
        if step is None:
            raise InputError("rerun begins at a step: `--from STEP`")
        found, expanded = keys_to_rerun(session, places, journal, StepKey(step))
        again, kept = frozenset(found), frozenset(expanded)
    changes = {change.key: change.how for change in changed_steps(before, session.plan.canonical, record)}
    code = _code_then(journal)
    steps = []
    for key, planned in _steps(session, places):
        forecast = _forecast(session, key, planned, again, kept, verb)
        notes = [forecast.why, f"its definition changed: {changes[key]}" if key in changes else ""]
        target = planned.target
        if forecast.action == REUSE and target is not None and key in code:
            then, now = code[key].get(target), hashes.get(target)
            if then is not None and now is not None and then != now:
                notes.append("its code changed since; `rerun --from` runs it on the new one")
        steps.append(StepForecast(key, forecast.action, "; ".join(note for note in notes if note)))
    return ExecutionPlan(record.execution_id, verb, steps, refused or _refused(session, verb, changes), sorted(changes))


def _refused(session: Session, verb: str, changes: Mapping[StepKey, str]) -> str:
    status = session.record.status
    if verb == "resume" and status not in UNFINISHED:
        return f"it is {status}; " + ("use retry" if status is ExecutionStatus.FAILED else "use rerun --from STEP")
    if verb == "retry" and status is not ExecutionStatus.FAILED:
        return f"it is {status}; only what failed is retried"
    return "the changes must be accepted (`--accept-changes`)" if changes and verb == "resume" else ""


def _steps(session: Session, places: Places) -> Iterator[tuple[StepKey, PlannedStep]]:
    """The steps of the pipeline in its order, each with what is known inside of it."""
    plan, record = session.plan, session.record
    if plan.function is not None:
        for key in record.steps:
            if session.machine.knows(key):
                yield key, _CALL
        return
    for flow in ("steps", "finally"):
        for definition in plan.canonical.get(flow, ()):  # type: ignore[attr-defined]
            key = StepKey(definition["id"])
            yield key, places.find(key).step
            for inner in record.inside(key):
                if session.machine.knows(inner):
                    yield inner, _CALL if is_in_function(session, inner) else places.find(inner).step


def _forecast(
    session: Session,
    key: StepKey,
    planned: PlannedStep,
    again: frozenset[StepKey],
    kept: frozenset[StepKey],
    verb: str,
) -> StepForecast:
    step = session.record.steps.get(key) or StepRecord(key)
    if key in kept:
        return StepForecast(key, GO_ON, "a part of it runs again")
    if key in again or any(is_inside(key, owner) and owner not in kept for owner in again):
        why = {"retry": "it failed", "rerun": "asked for, or depends on what was"}.get(verb, "")
        if verb == "retry" and step.status is not StepStatus.FAILED:
            why = "cancelled with the failure" if step.status is StepStatus.CANCELLED else "runs at the end"
        return _doubt(planned, key) if verb == "retry" and in_doubt(planned, step) else StepForecast(key, RERUN, why)
    if step.status in ENDED_WELL:
        return StepForecast(key, REUSE, "skipped" if step.status is StepStatus.SKIPPED else "")
    if step.status is StepStatus.FAILED:
        return StepForecast(key, KEEP_FAILED, "what is around it bears that" if step.cause is None else "")
    if step.status is StepStatus.CANCELLED:
        return StepForecast(key, REUSE, "cancelled")
    if step.waiting:
        return StepForecast(key, WAITS, _awaited(step))
    if step.status is StepStatus.RUNNING and step.holds_others:
        return StepForecast(key, GO_ON, "what is left inside of it runs")
    if in_doubt(planned, step):
        return _doubt(planned, key)
    if step.attempt > step.failed_attempts and step.status is StepStatus.RUNNING:
        return StepForecast(key, RERUN, "an attempt had begun, and its result is not known")
    return StepForecast(key, RUN, "its next attempt is due" if step.failures else "")


def _doubt(planned: PlannedStep, key: StepKey) -> StepForecast:
    policy = planned.effect.in_doubt if planned.effect is not None else ""
    return StepForecast(key, DOUBT, f"an attempt had begun; its policy is {policy}")


def _awaited(step: StepRecord) -> str:
    awaited = step.waiting_for
    if awaited is None or awaited.over is not None:
        return "for an answer"
    return {"time": "for a time", "signal": f"for the signal {awaited.subject!r}"}.get(awaited.kind, "for an answer")


def _code_then(journal: Sequence[Entry]) -> dict[StepKey, Mapping[str, str]]:
    """For each step that succeeded, the handlers' code as it was then."""
    seen: dict[str, str] = {}
    current: Mapping[str, str] = {}
    found: dict[StepKey, Mapping[str, str]] = {}
    for entry in journal:
        match entry.event:
            case ev.CodeSeen(hashes=hashes):
                seen |= hashes
                current = dict(seen)
            case ev.StepSucceeded(key=key):
                found[key] = current
    return found
