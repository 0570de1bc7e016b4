"""What the fields of the model that hold several values accept, and the sentence for what they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from orchestrator.pipelines.accept import argument, identifier, name, word
from orchestrator.pipelines.input_types import TYPES
from orchestrator.pipelines.unfit import Parts, Unfit
from orchestrator.pipelines.wording import kind_of, shorten

#: Containers inside of each other: as deep as a file can hold them below a step.
MAX_DEPTH = 60

_T = TypeVar("_T")


def plain(value: Any, depth: int = 0) -> Any:
    """A copy as plain data: what YAML and JSON can hold; tuples become lists."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if depth > MAX_DEPTH:
        raise Unfit(f"nested more than {MAX_DEPTH} deep, or contains itself")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise Unfit(f"a key must be text, not {kind_of(key)}")
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    message = (
        f"{kind_of(value)} cannot be written in a pipeline; use text, numbers, true, false, null, lists and mappings"
    )
    raise Unfit(message, hint="a value of another type can be an input, or made by a step")


def list_of(check: Callable[[Any], _T], what: str, example: str) -> Callable[[Any], list[_T]]:
    """A list, each item of which passes `check`."""

    def check_all(value: Any) -> list[_T]:
        if not isinstance(value, (list, tuple)):
            hint = f"write [{shorten(value)}]" if isinstance(value, str) else f"for example {example}"
            raise Unfit(f"expected a list of {what}, got {kind_of(value)}", hint=hint)
        return _items(value, check)

    return check_all


def one_or_more(check: Callable[[Any], _T], what: str, example: str) -> Callable[[Any], list[_T]]:
    """One value that passes `check`, or a list of such; a list in both cases."""
    check_list = list_of(check, what, example)

    def check_all(value: Any) -> list[_T]:
        if not isinstance(value, (list, tuple)):
            return [check(value)]
        if not value:
            raise Unfit(f"this list of {what} is empty, and so matches nothing")
        return check_list(value)

    return check_all


def mapping_of(
    key: Callable[[Any], str], check: Callable[[Any], _T], what: str, example: str
) -> Callable[[Any], dict[str, _T]]:
    """A mapping, each key of which passes `key` and each value `check`."""

    def check_all(value: Any) -> dict[str, _T]:
        if not isinstance(value, Mapping):
            raise Unfit(f"expected a mapping of {what}, got {kind_of(value)}", hint=f"for example {example}")
        parts = Parts()
        checked: dict[str, _T] = {}
        for given, item in value.items():
            name = parts.check(str(given), key, given, at_key=True)
            good = parts.check(str(given), check, item)
            if name and good:
                checked[name[0]] = good[0]
        parts.finish()
        return checked

    return check_all


def _items(value: Sequence[Any], check: Callable[[Any], _T]) -> list[_T]:
    parts = Parts()
    checked = [good for index, item in enumerate(value) for good in parts.check(index, check, item)]
    parts.finish()
    return checked


def command(value: Any) -> str | list[str]:
    """`run`: a text for the shell, or a list of arguments."""
    if isinstance(value, str):
        if not value.strip():
            raise Unfit("the command is empty")
        return str(value)
    if not isinstance(value, (list, tuple)):
        hint = "for example [python, chart.py] or python chart.py"
        raise Unfit(f"expected a command as text or as a list, got {kind_of(value)}", hint=hint)
    if not value:
        raise Unfit("the command is empty")
    return _items(value, argument)


def result_fields(value: Any) -> list[str] | dict[str, str]:
    """`returns`: the fields of a handler's output, with or without their types."""
    example = "{rows: list, mean: number}"
    if isinstance(value, Mapping):
        return mapping_of(identifier, word(TYPES, "type"), "fields and types", example)(value)
    return list_of(identifier, "field names", "[rows, mean]")(value)


def choices(value: Any) -> list[str]:
    """`choices` of an approval: at least one, none twice."""
    found = list_of(name, "choices", "[approve, reject]")(value)
    if not found:
        raise Unfit("nobody can choose from an empty list", hint="for example [approve, reject]")
    if twice := next((word for place, word in enumerate(found) if word in found[:place]), None):
        raise Unfit(f"the choice {shorten(twice)!r} stands here twice")
    return found


def values(value: Any) -> list[Any]:
    """`choices` of a form's field: plain values, at least one."""
    found = list_of(plain, "values", "[small, large]")(value)
    if not found:
        raise Unfit("nobody can choose from an empty list", hint="for example [small, large]")
    return found
