"""Why a value cannot be written: the innermost part that is at fault, and its place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from orchestrator.errors import EncodeError
from orchestrator.journal.codec import models, objects
from orchestrator.journal.codec.names import NAMES
from orchestrator.journal.codec.table import NATIVE, row_of

_MAX_STEPS = 100
_SHOWN_STEPS = 20
_TOO_DEEP = "it is nested too deeply, or holds itself"


def explain(value: Any, fault: Exception, write: Callable[[Any], object]) -> EncodeError:
    """An EncodeError for the innermost part that `write` refuses; `fault` is what it raised for the whole."""
    steps: list[str] = []
    part, reason = value, _TOO_DEEP
    seen: set[int] = set()
    while id(part) not in seen and len(seen) < _MAX_STEPS:
        seen.add(id(part))
        found = _refused_child(part, write)
        if found is None:
            reason = _reason(part, fault)
            break
        step, part, fault = found
        steps.append(step)
    path = "".join(steps[:_SHOWN_STEPS]) + ("…" if len(steps) > _SHOWN_STEPS else "")
    kind = type(part)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return EncodeError(path.removeprefix("."), name, reason)


def _refused_child(part: Any, write: Callable[[Any], object]) -> tuple[str, Any, Exception] | None:
    for name, child in _children(part):
        try:
            write(child)
        except Exception as exc:  # noqa: BLE001 - told in the error
            return name, child, exc
    return None


def _children(part: Any) -> Iterator[tuple[str, Any]]:
    kind = type(part)
    if kind in NAMES.coders:
        with suppress(TypeError):
            yield "", objects.registered_parts(part)[-1]
    elif isinstance(part, dict):
        yield from ((".keys()", key) for key in part)
        yield from ((f".{key}" if type(key) is str else f"[{key!r}]", child) for key, child in dict.items(part))
    elif objects.is_namedtuple(kind):
        yield from ((f".{name}", child) for name, child in zip(part._fields, part, strict=False))
    elif isinstance(part, list | tuple | set | frozenset | deque):
        yield from ((f"[{i}]", child) for i, child in enumerate(part))
    elif objects.is_dataclass(kind):
        with suppress(TypeError):
            yield from ((f".{name}", child) for name, child in objects.dataclass_parts(part)[-1].items())
    elif models.is_pydantic(kind):
        for children in (part.__dict__, part.__pydantic_extra__, part.__pydantic_private__):
            yield from ((f".{name}", child) for name, child in (children or {}).items())


def _reason(part: Any, fault: Exception) -> str:
    """What there is to say besides the type of a part whose own parts are all carried."""
    if type(part) is str:
        return "it holds half of a surrogate pair, which is no Unicode text"
    if type(part) in NATIVE:
        return _TOO_DEEP if "recursion" in str(fault).lower() else ""
    try:
        row_of(part).to_parts(part)
    except Exception as exc:  # noqa: BLE001 - told in the error
        return "" if str(exc).endswith(type(part).__qualname__) else str(exc)
    return _TOO_DEEP
