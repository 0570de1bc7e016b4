"""`register_type`: a class declares under which name the codec finds it, or how it is carried at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from orchestrator.errors import InputError
from orchestrator.journal.codec.names import NAMES, Coder
from orchestrator.journal.codec.table import BY_KIND, NATIVE, class_row

_C = TypeVar("_C", bound=type)
_Encode = Callable[[Any], Any]
_Decode = Callable[[Any], Any]


@overload
def register_type(
    cls: _C, *, name: str | None = None, encode: _Encode | None = None, decode: _Decode | None = None
) -> _C: ...


@overload
def register_type(
    cls: None = None, *, name: str | None = None, encode: _Encode | None = None, decode: _Decode | None = None
) -> Callable[[_C], _C]: ...


def register_type(
    cls: _C | None = None,
    *,
    name: str | None = None,
    encode: _Encode | None = None,
    decode: _Decode | None = None,
) -> _C | Callable[[_C], _C]:
    """Make the codec find a class under `name`, and carry it by `encode` and `decode`. Gives the class back.

    `name` (default: module and qualified name) stands in what is written from now on, and is found when reading, also
    where the class has moved: `register_type(New, name="old.module.Old")`. A class may be given several names; the
    first is written. An enum, a named tuple, a dataclass or a pydantic model needs no more than that.

    For any other class, `encode(value)` gives what the codec can carry (also objects of other carried classes) and
    `decode(data)` makes an equal object of it. Subclasses are not covered: each is registered for itself.

    Works as a decorator, `@register_type` or `@register_type(name=...)`, above `@dataclass`. Declare at import, in
    every process that reads: what is registered stays. Raises InputError where the name is another class's, where one
    of `encode` and `decode` is missing, and for types that the codec carries by itself.
    """
    if cls is None:
        return lambda cls: register_type(cls, name=name, encode=encode, decode=decode)
    coder = _coder(cls, encode, decode)
    NAMES.add(cls, *_name(cls, name), coder)
    return cls


def _name(cls: type, name: object) -> tuple[str, str]:
    """What stands for the class: a module and a qualified name. Raises InputError."""
    if name is None:
        return cls.__module__, cls.__qualname__
    if not isinstance(name, str) or not name:
        raise InputError(f"{name!r} is no name for a class; give a text like 'shapes.Point'")
    module, _, qualname = name.rpartition(".")
    return module, qualname


def _coder(cls: type, encode: _Encode | None, decode: _Decode | None) -> Coder | None:
    """The functions of a registration that makes sense. Raises InputError."""
    if not isinstance(cls, type):
        raise InputError(f"{cls!r} is no class; register_type takes classes")
    shown = f"{cls.__module__}.{cls.__qualname__}"
    if cls in NATIVE or cls in BY_KIND:
        raise InputError(f"{shown} is carried by the codec itself; register a class of your own")
    if encode is not None and decode is not None:
        return Coder(encode, decode)
    if encode is not None or decode is not None:
        raise InputError(f"{shown} has an encode or a decode without the other; give both")
    if class_row(cls) is None:
        raise InputError(
            f"{shown} is no dataclass, enum, NamedTuple or pydantic model; give an encode and a decode to carry it"
        )
    return None
