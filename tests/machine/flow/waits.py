"""Waits, signals and approvals as the model reads them: what ended them stands in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.machine.flow.flows import Scope
from tests.machine.flow.results import ANY, Bad, Good, Open, Result, Wrong
from tests.machine.flow.templates import resolve

from orchestrator.journal.step_record import Waiting

if TYPE_CHECKING:
    from tests.machine.flow.model import Model, Step


def ended(model: Model, step: Step, scope: Scope, key: str) -> Result:
    """What a step that waits comes to."""
    known = model.story.step(key)
    came = known.waiting_for if known else None
    if came is not None:
        _check_times(step, scope, key, came)
    if came is None or came.over is None:
        return Open("it waits")
    match came.over:
        case "due" if "wait" in step:
            return Good(ANY)
        case "due":
            return _default(step, key)
        case "signal":
            return _payload(model, resolve(step["signal"], scope), key)
        case _:
            return Good(_decision(step, key, came.decision, _form(model, came.value), came.by))


def _check_times(step: Step, scope: Scope, key: str, came: Waiting) -> None:
    """It waits for as long as it says, from its beginning on: a restart does not begin it anew."""
    seconds = resolve(step["wait"], scope) if "wait" in step else step.get("deadline")
    until = None if seconds is None else came.since + seconds
    if came.until != until:
        raise Wrong(f"{key} waits until {came.until}, and not {until}")
    if came.over == "due" and (until is None or came.over_at is None or came.over_at < until):
        raise Wrong(f"{key} was due at {until}, and woken at {came.over_at}")


def _default(step: Step, key: str) -> Result:
    if "deadline" not in step:
        raise Wrong(f"{key} has no deadline, which passed")
    if "default" not in step:
        return Bad(key, "deadline")
    if "signal" in step:
        return Good(step["default"])
    return Good({"choice": step["default"], "form": _filled(step, {}), "by": None, "at": ANY})


def _payload(model: Model, name: str, key: str) -> Result:
    taken = model.story.taken(key)
    if taken is None or taken.name != name:
        raise Wrong(f"{key} waits for {name}, and took {taken}")
    return Good(model.story.value(taken.payload))


def _decision(step: Step, key: str, choice: str | None, form: dict[str, Any], by: str) -> dict[str, Any]:
    if choice not in step.get("choices", ["approve", "reject"]):
        raise Wrong(f"{key} was answered with {choice}")
    if by not in step.get("who", [by]):
        raise Wrong(f"{key} was answered by {by}")
    return {"choice": choice, "form": _filled(step, form), "by": by, "at": ANY}


def _filled(step: Step, given: Mapping[str, Any]) -> dict[str, Any]:
    """A form as it was filled in: what was not given has its default, or is null where nobody answered."""
    return {**{name: field.get("default") for name, field in step.get("form", {}).items()}, **given}


def _form(model: Model, value: Any) -> dict[str, Any]:
    return dict(model.story.value(value) or {}) if value is not None else {}
