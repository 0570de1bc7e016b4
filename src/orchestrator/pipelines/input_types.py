"""The types that an input, an output and a field of a form can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Literal, get_args

from orchestrator.pipelines.wording import kind_of

TypeWord = Literal["any", "string", "number", "integer", "boolean", "list", "mapping", "path"]
#: The words, in the order in which they are told.
TYPES: tuple[TypeWord, ...] = get_args(TypeWord)
#: Those that a field of a form can have: a person's answer names no file.
FIELD_TYPES: tuple[TypeWord, ...] = tuple(word for word in TYPES if word != "path")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


#: Type word -> what a value of it is, in words, and whether a value is one.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "any": ("anything", lambda value: True),
    "string": ("text", lambda value: isinstance(value, str)),
    "number": ("a number", _is_number),
    "integer": ("a whole number", lambda value: _is_number(value) and isinstance(value, int)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "list": ("a list", lambda value: isinstance(value, (list, tuple))),
    "mapping": ("a mapping", lambda value: isinstance(value, Mapping)),
    "path": ("a path", lambda value: isinstance(value, (str, PurePath)) and str(value) != ""),
}


def unfit(value: Any, type_word: str) -> str:
    """Why a value is not of a type; empty where it is."""
    what, fits = _TYPES[type_word]
    return "" if fits(value) else f"expected {what}, got {kind_of(value)}"
