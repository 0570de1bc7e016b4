"""Steps that wait for what is outside: a time, a signal, a person.

The deed records what it waits for (`StepWaiting`) and leaves; no process is needed then. Whoever turns messages and
times into events records what came, the machine asks for the step again, and the deed says what that means.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import date
from typing import Any

from orchestrator.clock import utc
from orchestrator.errors import DeadlineError, TemplateError
from orchestrator.execution.driver import Deed, Keep, Record, Request
from orchestrator.execution.recovery import attempts
from orchestrator.execution.step.leaving import Left, nothing_to_begin
from orchestrator.execution.step.task import StepTask, attempt_plan
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.step_record import Waiting
from orchestrator.pipelines.durations import seconds
from orchestrator.pipelines.moments import is_like_one, moment
from orchestrator.pipelines.plan import ApproveSpec, SignalSpec, WaitSpec
from orchestrator.pipelines.wording import kind_of

TIME, SIGNAL, APPROVAL = "time", "signal", "approval"


def wait(task: StepTask) -> Deed[None]:
    """Carry a step on that waits. Raises recovery.GaveUp where its deadline passed."""

    def make(number: int, _remaining: float | None) -> Generator[Request, Any, Encoded]:
        awaited = task.known.waiting_for if task.known is not None and task.known.attempt == number else None
        if awaited is None or awaited.over is None:
            yield Record((_begun(task, number),))
            raise Left
        return (yield from _outcome(task, awaited))

    attempt, output = yield from attempts(attempt_plan(task, make, nothing_to_begin))
    yield Record((ev.StepSucceeded(task.key, task.generation, attempt, output, (), task.checkpoint),))


def _begun(task: StepTask, number: int) -> ev.StepWaiting:
    """What the step waits for. Raises TemplateError for what is no time, name or text."""
    spec, now = task.step.spec, task.now()
    if isinstance(spec, WaitSpec):
        return _waiting(task, number, TIME, _time(spec, task, now), "")
    assert isinstance(spec, SignalSpec | ApproveSpec)
    until = None if spec.deadline is None else now + spec.deadline
    if isinstance(spec, SignalSpec):
        name = spec.name.resolve(task.scope)
        if not isinstance(name, str) or not name:
            raise TemplateError(f"the name of a signal is text, not {kind_of(name)}")
        return _waiting(task, number, SIGNAL, until, name)
    ask = {
        "who": _names(spec.who.resolve(task.scope)),
        "choices": [*spec.choices],
        "form": {name: dict(field) for name, field in spec.form.items()},
        **({"default": spec.default} if spec.default is not None else {}),
    }
    return _waiting(task, number, APPROVAL, until, str(spec.prompt.resolve(task.scope)), ask)


def _waiting(
    task: StepTask, number: int, kind: str, until: float | None, subject: str, ask: Mapping[str, Any] | None = None
) -> ev.StepWaiting:
    return ev.StepWaiting(task.key, task.generation, number, kind, until, subject, ask or {})


def _time(spec: WaitSpec, task: StepTask, now: float) -> float:
    """When the time has come: a duration counts from now on."""
    value = spec.time.resolve(task.scope)
    try:
        if isinstance(value, date) or (isinstance(value, str) and is_like_one(value)):
            return moment(value).timestamp()
        return now + seconds(value)
    except ValueError as exc:
        raise TemplateError(f"wait: {exc}") from None


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):  # each of them a name, or a template that gave several
        names = [name for part in value for name in (part if isinstance(part, list | tuple) else [part])]
        if all(isinstance(name, str) for name in names):
            return names
    raise TemplateError(f"who: expected a name or a list of names, got {kind_of(value)}")


def _outcome(task: StepTask, awaited: Waiting) -> Generator[Request, Any, Encoded]:
    """What the step came to. Raises DeadlineError."""
    spec = task.step.spec
    if isinstance(spec, WaitSpec):
        return (yield Keep(utc(awaited.until or 0.0)))  # type: ignore[no-any-return]
    if isinstance(spec, SignalSpec):
        if awaited.over == "signal" and awaited.value is not None:
            return awaited.value
        if spec.has_default:
            return (yield Keep(spec.default))  # type: ignore[no-any-return]
        raise DeadlineError(task.key, f"the signal {awaited.subject!r}")
    assert isinstance(spec, ApproveSpec)
    if awaited.over != "answer" and spec.default is None:
        raise DeadlineError(task.key, "an answer")
    form = {name: field.get("default") for name, field in spec.form.items()}
    if awaited.value is not None:
        form |= task.read(awaited.value) or {}
    choice = awaited.decision if awaited.over == "answer" else spec.default
    at = utc(awaited.over_at or 0.0)
    return (yield Keep({"choice": choice, "form": form, "by": awaited.by or None, "at": at}))  # type: ignore[no-any-return]
