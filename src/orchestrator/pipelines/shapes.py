"""What is known of a step's output before the run: its fields, or that it is a list.

A shape is taken from what a step is made of, from a declared output (`returns:`) or from the annotation of a handler's
result. Where nothing is known, nothing is checked: a shape never guesses.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import getattr_static
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict


@dataclass(frozen=True, slots=True)
class Shape:
    """`fields` are the names that a value has (None: not known), `inner` what is known of some of them; `item` is the
    shape of each element of a list."""

    fields: frozenset[str] | None = None
    item: Shape | None = None
    inner: Mapping[str, Shape] = dataclasses.field(default_factory=dict, hash=False)


#: A list of whatever.
ANY_LIST = Shape(item=Shape())


def shape_of(thing: Any) -> Shape | None:
    """The shape behind an annotation, or behind the result of a function; None where it says nothing.

    Known are TypedDict, dataclasses, NamedTuple, pydantic models and lists of these.
    """
    if isinstance(thing, type) or get_origin(thing) is not None or not callable(thing):
        return _of_annotation(thing)
    return _of_annotation(_result_of(thing))


def _result_of(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError, SyntaxError, ValueError):  # an annotation for type checkers only
        return None


def _of_annotation(annotation: Any) -> Shape | None:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of_annotation(arguments[0])
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return _of_annotation(inner[0]) if len(inner) == 1 else None
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Shape(item=_of_annotation(arguments[0]) or Shape())
    if isinstance(origin, type) and issubclass(origin, (list, Sequence, Iterable)) and not issubclass(origin, Mapping):
        known = issubclass(origin, (list, Sequence)) and origin is not tuple and len(arguments) == 1
        return Shape(item=_of_annotation(arguments[0]) or Shape()) if known else None
    if annotation is list:
        return ANY_LIST
    fields = _fields(annotation) if isinstance(annotation, type) else None
    return Shape(fields=frozenset(fields)) if fields is not None else None


def _fields(cls: type) -> set[str] | None:
    if is_typeddict(cls):
        return set(cls.__annotations__)
    if dataclasses.is_dataclass(cls):
        declared = {field.name for field in dataclasses.fields(cls)}
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        declared = set(cls._fields)
    elif hasattr(cls, "model_fields") and hasattr(cls, "model_validate"):  # pydantic, without importing it
        declared = set(cls.model_fields)
        if getattr(cls, "model_config", {}).get("extra") == "allow":
            return None
    else:
        return None
    return declared | {name for name in dir(cls) if not name.startswith("_") and _is_computed(cls, name)}


def _is_computed(cls: type, name: str) -> bool:
    """Whether a property of the class has that name (pydantic's own ones, `model_…`, excepted)."""
    return isinstance(getattr_static(cls, name), (property, cached_property)) and not name.startswith("model_")
