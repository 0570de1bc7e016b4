"""Walking a plain path (`a.b[0]['c']`) through values, and saying what is wrong where it ends.

A mapping is read by key, a sequence by index, anything else by a plain attribute. Data always wins over methods:
`${rows.items}` is the key `items`. No attribute that begins with `_` is read, and what is no data (a method, a class,
a module, a frame) is never handed out.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from functools import cached_property
from inspect import getattr_static
from typing import Any

from orchestrator.errors import TemplateError, UnknownNameError
from orchestrator.pipelines.wording import Path, kind_of, nearest, shorten

#: Attributes of these types are code, not data.
NOT_DATA = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.FrameType,
    types.CodeType,
    types.TracebackType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
)


class Absent(LookupError):
    """What a path asks for is not there."""


def read(value: Any, key: str | int) -> Any:
    """One step of a path. Raises a LookupError."""
    if isinstance(value, Mapping):
        if key not in value:  # asked first: a defaultdict would make the key, in an object that others see
            raise Absent
        return value[key]
    if isinstance(key, int):
        try:
            return value[key]
        except TypeError:
            raise Absent from None
    if key.startswith("_") or isinstance(value, NOT_DATA):
        raise Absent
    try:
        found = getattr(value, key)
    except AttributeError:
        raise Absent from None
    except Exception:  # noqa: BLE001 - somebody else's property; `explain` says so
        raise Absent from None
    if isinstance(found, NOT_DATA):
        raise Absent
    return found


def check_name(name: str | int) -> None:
    """Refuse the inner names of Python before anything runs. Raises TemplateError."""
    if isinstance(name, str) and name.startswith("__"):
        raise TemplateError(f"{shorten(repr(name))} cannot be read: names that begin with '__' are internals of Python")


#: One way to read a dotted path: the name of a variable, and the rest.
Way = tuple[str, Path]


def ways(path: Path) -> tuple[Way, ...]:
    """The ways to read a path, longest variable name first: `a.b.c` is the variable `a.b.c`, else `a.b`, else `a`."""
    name = str(path[0])
    found = [(name, path[1:])]
    for index in range(1, len(path)):
        part = path[index]
        if not isinstance(part, str) or not part.isidentifier():
            break
        name = f"{name}.{part}"
        found.append((name, path[index + 1 :]))
    return tuple(found[::-1])


def fetch(scope: Mapping[str, Any], candidates: tuple[Way, ...]) -> Any:
    """The value that a path names. Raises a LookupError, which `explain` turns into a sentence."""
    for name, rest in candidates:
        if name in scope:
            value = scope[name]
            for key in rest:
                kind = type(value)
                value = value[key] if kind is dict or (kind is list and type(key) is int) else read(value, key)
            return value
    raise Absent


def explain(scope: Mapping[str, Any], candidates: tuple[Way, ...], placeholder: str, where: str) -> TemplateError:
    """The error for a path that `fetch` could not walk: how far it came, what is there, what comes near."""
    name, rest = next(((name, rest) for name, rest in candidates if name in scope), candidates[-1])
    if name not in scope:
        return UnknownNameError(shorten(placeholder, 80), name, where, nearest(name, scope))
    value, walked = scope[name], name
    for key in rest:
        try:
            value = read(value, key)
        except LookupError:
            return TemplateError(
                f"{shorten(placeholder, 80)}: {_missing(walked, value, key)}{used_in(where)}", placeholder
            )
        walked += f"[{key}]" if isinstance(key, int) else f".{key}"
    return TemplateError(f"{shorten(placeholder, 80)}: {walked!r} could not be read{used_in(where)}", placeholder)


def used_in(where: str) -> str:
    """` (used in steps.load.with)`, or nothing where the place is not known."""
    return f" (used in {where})" if where else ""


def _missing(walked: str, value: Any, key: str | int) -> str:
    what = shorten(repr(key))
    if value is None:
        return f"{walked!r} is null, so it has no {what} (null is also the output of a step that was skipped)"
    if isinstance(value, Mapping):
        return f"{walked!r} has no {what}; {_choices(key, list(value))}"
    if isinstance(key, int):
        if isinstance(value, Sequence):
            return f"{walked!r} has {len(value)} items, so there is no [{key}]"
        return f"{walked!r} is {kind_of(value)} and has no [{key}]"
    if key.startswith("_"):
        return f"{what} cannot be read: attributes that begin with '_' are private"
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return f"{walked!r} is {kind_of(value)} and has no {what}; one item is {walked}[0]"
    if isinstance(found := getattr_static(value, key, None), (property, cached_property)):
        return f"{what} of {walked!r} could not be read: the property itself failed"
    if found is not None:
        return f"{what} is a method of {walked!r}, not a value; call it, as in ${{{walked}.{key}()}}, or use a filter"
    if isinstance(value, (str, int, float)):
        return f"{walked!r} is {kind_of(value)} and has no {what}"
    return f"{walked!r} is {kind_of(value)} and has no {what}; {_choices(key, _public(value))}"


def _choices(key: object, names: list[Any]) -> str:
    if not names:
        return "it is empty"
    if found := nearest(str(key), names):
        return f"did you mean {' or '.join(map(repr, found))}?"
    shown = ", ".join(shorten(repr(name)) for name in names[:6])
    return f"it has {shown}{', …' if len(names) > 6 else ''}"


def _public(value: Any) -> list[str]:
    """Names of the plain attributes of a value; properties are not called for this."""
    return [name for name in dir(value) if name[0] != "_" and not callable(getattr(type(value), name, None))]
