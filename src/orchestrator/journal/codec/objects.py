"""Objects of classes that declare their parts: enum members, named tuples, dataclasses; and registered ones.

They are built without calling their class: its `__init__` does not run on the data's word. A part that the
class has gained since is given its default; one that it has lost is left out.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
from typing import Any

from orchestrator.errors import DecodeError, UnknownTypeError
from orchestrator.journal.codec.names import NAMES
from orchestrator.journal.codec.parts import items, mapping

#: Values of members that are recorded beside the name, to find a member that was renamed.
_PLAIN = (bool, int, float, str, bytes)


def is_namedtuple(kind: type) -> bool:
    """Whether it is a class made by `namedtuple` or `NamedTuple`."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_dataclass(kind: type) -> bool:
    """Whether it is a dataclass or inherits from one: the fields are what counts."""
    return hasattr(kind, "__dataclass_fields__")


def missing(module: str, qualname: str, name: str) -> DecodeError:
    """The error for a part that was not recorded and has no default."""
    return DecodeError(f"a recorded {module}.{qualname} has no {name!r}, which the class requires now")


# -- enums -------------------------------------------------------------------------------------------------------------


def enum_parts(member: enum.Enum) -> list[Any]:
    """Class, name, value: the value alone finds an unnamed combination of flags."""
    kind = type(member)
    name, value = member._name_, member._value_
    if name not in kind.__members__:
        return [*NAMES.name_of(kind), None, value]
    return [*NAMES.name_of(kind), name, value if type(value) in _PLAIN else None]


def enum_from(parts: Any) -> enum.Enum:
    """The member of that name, else the one of that value."""
    module, qualname, name, value = items(parts)
    kind = NAMES.find(module, qualname)
    if not issubclass(kind, enum.Enum):
        raise DecodeError(f"{module}.{qualname} is no Enum any more")
    if name is not None and name in kind.__members__:
        return kind[name]
    member = kind(value)
    if not isinstance(member, kind):
        raise DecodeError(f"{module}.{qualname} has no member of value {value!r}")
    return member


# -- named tuples ------------------------------------------------------------------------------------------------------


def namedtuple_parts(value: Any) -> list[Any]:
    """Class and items."""
    return [*NAMES.name_of(type(value)), list(value)]


def namedtuple_from(parts: Any) -> Any:
    """A named tuple with as many items as its class has fields."""
    module, qualname, children = items(parts)
    kind: Any = NAMES.find(module, qualname)
    if not is_namedtuple(kind):
        raise DecodeError(f"{module}.{qualname} is no NamedTuple any more")
    if len(items(children)) > len(kind._fields):
        raise DecodeError(f"a recorded {module}.{qualname} has {len(children)} items, the class {len(kind._fields)}")
    for name in kind._fields[len(children) :]:
        if name not in kind._field_defaults:
            raise missing(module, qualname, name)
        children.append(kind._field_defaults[name])
    return tuple.__new__(kind, children)


# -- dataclasses -------------------------------------------------------------------------------------------------------


def dataclass_parts(value: Any) -> list[Any]:
    """Class and fields, by name; behind them, where there are any, the attributes that are no fields.

    What a `cached_property` keeps is left out: it is computed again.
    """
    kind: Any = type(value)
    names = _field_names(kind)
    try:
        fields = {name: getattr(value, name) for name in names}
    except Exception as exc:  # an AttributeError where it was never set, anything where it is a property
        raise TypeError(f"a field cannot be read: {exc}") from exc
    parts = [*NAMES.name_of(kind), fields]
    attributes = vars(value) if hasattr(value, "__dict__") else {}
    if attributes.keys() <= fields.keys():
        return parts
    more = {name: child for name, child in attributes.items() if name not in fields and _is_kept(kind, name)}
    return [*parts, more] if more else parts


def _is_kept(kind: type, name: str) -> bool:
    return not isinstance(inspect.getattr_static(kind, name, None), functools.cached_property)


def dataclass_from(parts: Any) -> Any:
    """An object with these fields; its `__init__` and `__post_init__` do not run."""
    module, qualname, fields, *more = items(parts)
    recorded = mapping(fields)
    kind: Any = NAMES.find(module, qualname)
    if not is_dataclass(kind):
        raise DecodeError(f"{module}.{qualname} is no dataclass any more")
    names = _field_names(kind)
    value = object.__new__(kind)
    for name in names:
        child = recorded[name] if name in recorded else _default(kind, name)
        object.__setattr__(value, name, child)
    for name, child in mapping(more[0]).items() if more else ():
        object.__setattr__(value, name, child)
    return value


@functools.lru_cache(maxsize=256)
def _field_names(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields. Raises TypeError where an object is more than its fields."""
    try:
        object.__new__(kind)
    except TypeError as exc:  # Python's word for: it is also a list, an exception …
        raise TypeError("a dataclass that is also of a built-in type, so that its fields are not all of it") from exc
    return tuple(f.name for f in dataclasses.fields(kind))


def _default(kind: Any, name: str) -> Any:
    f = kind.__dataclass_fields__[name]
    if f.default_factory is not dataclasses.MISSING:
        return f.default_factory()
    if f.default is dataclasses.MISSING:
        raise missing(kind.__module__, kind.__qualname__, name)
    return f.default


# -- registered classes ------------------------------------------------------------------------------------------------


def registered_parts(value: Any) -> list[Any]:
    """Class, and what its `encode` gives."""
    kind = type(value)
    try:
        return [*NAMES.name_of(kind), NAMES.coders[kind].encode(value)]
    except Exception as exc:
        raise TypeError(f"its encode failed: {type(exc).__name__}: {exc}") from exc


def registered_from(parts: Any) -> Any:
    """What the `decode` of the class makes of the data."""
    module, qualname, data = items(parts)
    kind = NAMES.find(module, qualname)
    coder = NAMES.coders.get(kind)
    if coder is None:
        raise UnknownTypeError(module, qualname)
    try:
        value = coder.decode(data)
    except Exception as exc:
        raise DecodeError(f"the decode of {module}.{qualname} failed: {type(exc).__name__}: {exc}") from exc
    if type(value) is not kind:
        raise DecodeError(f"the decode of {module}.{qualname} gave a {type(value).__qualname__}")
    return value
