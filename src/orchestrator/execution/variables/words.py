"""The words of variables: how far one reaches, what it is for, what may be its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum, auto
from typing import TypeVar

from orchestrator.errors import InputError
from orchestrator.pipelines.wording import did_you_mean, shorten


class VariableScope(StrEnum):
    """How far a variable reaches."""

    #: The whole execution.
    GLOBAL = auto()
    #: One step.
    STEP = auto()
    #: One iteration of a loop.
    LOOP = auto()
    #: One isolated context, for example a pipeline within a pipeline.
    CONTEXT = auto()
    #: One operation; held by reference, never encoded and never saved.
    TEMPORARY = auto()


class VariableType(StrEnum):
    """What a variable is for."""

    INPUT = auto()
    OUTPUT = auto()
    INTERMEDIATE = auto()
    CONFIGURATION = auto()
    SYSTEM = auto()


#: Scopes that belong to the running step where there is one.
OF_THE_STEP = frozenset({VariableScope.STEP, VariableScope.LOOP, VariableScope.TEMPORARY})

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff${}]{1,500}\Z")

Word = TypeVar("Word", bound=StrEnum)


def check_name(name: object) -> None:
    """Refuse what cannot name a variable. Raises InputError."""
    if not isinstance(name, str):
        raise InputError(f"a variable is named by a text, not by a {type(name).__name__}")
    if _NAME.match(name) is None:
        raise InputError(
            f"{shorten(name)!r} cannot name a variable; use 1 to 500 characters, none of them '$', '{{', '}}' or a"
            " control character"
        )


def check_names(names: Iterable[str]) -> frozenset[str]:
    """The names as a set; one lone text counts as one name. Raises InputError."""
    found = frozenset([names] if isinstance(names, str) else names)
    for name in found:
        check_name(name)
    return found


def word(kind: type[Word], given: object) -> Word:
    """A member of an enum, from itself or its word. Raises InputError."""
    try:
        return kind(given)  # type: ignore[arg-type]  # whatever it is, it is a member or not
    except ValueError:
        hint = did_you_mean(str(given), map(str, kind)) or f"it is one of {', '.join(kind)}"
        raise InputError(f"{given!r} is no {kind.__name__}; {hint}") from None


def check_tags(tags: Iterable[str]) -> frozenset[str]:
    """Tags as a set. Raises InputError."""
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise InputError("tags are a set of texts, as in tags={'daily', 'raw'}")
    return frozenset(tags)
