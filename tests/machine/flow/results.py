"""What the model finds that something comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


class Wrong(AssertionError):
    """The journal says what cannot be, or does not say what must."""


class _Anything:
    """Equal to everything: a value that nobody can foresee, such as a time."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]  # it is equal to everything

    def __repr__(self) -> str:
        return "ANY"


ANY: Any = _Anything()


@dataclass(frozen=True)
class Good:
    """It ends well, with this output."""

    value: Any


@dataclass(frozen=True)
class Bad:
    """The step `key` fails for good, with an error of this name."""

    key: str
    error: str


@dataclass(frozen=True)
class Back:
    """The `return` step `key` ends its pipeline, with these outputs."""

    key: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Open:
    """Nothing can be said: a decision has not been taken, or something that it needs has not ended well."""

    why: str


Result: TypeAlias = Good | Bad | Back | Open
