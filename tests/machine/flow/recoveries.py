"""What follows a failed attempt, as the model reads `on_error` and `retry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.machine.flow.flows import Scope
from tests.machine.flow.results import Bad, Good, Open, Result

if TYPE_CHECKING:
    from tests.machine.flow.model import Model, Step

#: An error's name -> its category. What a block fails with is what the step inside of it failed with.
CATEGORIES = {
    "ConnectionError": "network",
    "KeyError": "validation",
    "ValueError": "validation",
    "StepTimeoutError": "timeout",
}
_BY_DEFAULT = ("network", "timeout", "resource")


def way_out(model: Model, step: Step, scope: Scope, key: str, error: str, attempt: int) -> Result | None:
    """What a step comes to whose `attempt` failed; None where there is to be another attempt."""
    for rule in step.get("on_error", ()):
        if not _fits(rule, error):
            continue
        match rule["strategy"]:
            case "retry" | "retry_with_backoff":
                if attempt < rule.get("max_attempts", 3):
                    return None
            case "skip":
                return Good(rule.get("output"))
            case "alternative_path":
                return _alternative(model, rule, scope, key)
            case "manual_intervention":
                return _answered(model, key, error, attempt)
            case "rollback":  # until it may not any more
                return Bad(key, error) if model.story.state(key) == "failed" else Open("it is set back")
            case _:
                return Bad(key, error)
    retry = step.get("retry")
    if retry and attempt < retry.get("max_attempts", 3) and CATEGORIES.get(error) in retry.get("on", _BY_DEFAULT):
        return None
    return Bad(key, error)


def _fits(rule: Mapping[str, Any], error: str) -> bool:
    by_name = "exception" not in rule or error in rule["exception"]
    return by_name and ("category" not in rule or CATEGORIES.get(error) in rule["category"])


def _alternative(model: Model, rule: Mapping[str, Any], scope: Scope, key: str) -> Result:
    result: Result = Good(None)
    for name in rule["steps"]:
        part = f"{key}/{name}"
        other = {field: value for field, value in scope.definition_of(name).items() if field != "on_error"}
        result = model.one(other, scope, part)
        model.compare(part, result)
        if not isinstance(result, Good):
            break
    return Bad(key, result.error) if isinstance(result, Bad) else result


def _answered(model: Model, key: str, error: str, attempt: int) -> Result | None:
    answer = model.story.answer(key, attempt)
    match answer.decision if answer else "":
        case "retry":
            return None
        case "skip":
            assert answer is not None
            return Good(None if answer.value is None else model.story.value(answer.value))
        case "abort":
            return Bad(key, error)
        case _:
            return Open("a person is asked")


def doubted(model: Model, key: str, attempt: int) -> Result | str | None:
    """What an attempt comes to of which nobody knew whether its effect had happened; a word where another is made.

    None where it was not in doubt, or the attempt is made again all the same.
    """
    match model.story.doubt(key, attempt):
        case "skip":
            return Good(None)
        case "ask":
            return _answered(model, key, "doubt", attempt) or "again"
        case _:
            return None
