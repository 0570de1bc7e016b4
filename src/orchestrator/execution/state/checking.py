"""Reading a tree that somebody else may have made: every part is there, of its type, and nothing else is.

`Part` is a mapping and the place where it stands. Each reader takes one key; `done` refuses what was not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from orchestrator.errors import InputError

_Word = TypeVar("_Word", bound=Enum)
_T = TypeVar("_T")


def check_id(what: str, given: object) -> None:
    """Refuse what is no id. Raises InputError."""
    if not isinstance(given, str) or not given:
        raise InputError(f"{what} is a text that is not empty, not {given!r}")


def check_count(what: str, given: object, least: int) -> None:
    """Refuse what is no whole number from `least` on. Raises InputError."""
    if not isinstance(given, int) or isinstance(given, bool) or given < least:
        raise InputError(f"{what} is a whole number from {least}, not {given!r}")


class Part:
    """One mapping of a tree; `where` says which, for the error."""

    __slots__ = ("_left", "tree", "where")

    def __init__(self, tree: Any, where: str) -> None:
        if not isinstance(tree, Mapping):
            raise InputError(f"{where}: a mapping is needed, not a {type(tree).__name__}")
        self.tree, self.where = tree, where
        self._left = set(tree)

    def value(self, key: str) -> Any:
        """Whatever stands there."""
        if key not in self.tree:
            raise InputError(f"{self.where}: {key!r} is missing")
        self._left.discard(key)
        return self.tree[key]

    def has(self, key: str) -> bool:
        """Whether there is such a key; for those that may be left out."""
        return key in self.tree

    def done(self) -> None:
        """Refuse what nobody asked for."""
        if self._left:
            raise InputError(f"{self.where}: it has {sorted(map(repr, self._left))[0]}, which nothing here is called")

    def version(self, known: int) -> None:
        """The format version, which must be this one."""
        found = self.whole("format_version")
        if found != known:
            raise InputError(f"{self.where}: it is of format {found}; this version reads format {known}")

    def text(self, key: str) -> str:
        """A text."""
        return self._of(key, str, "a text")

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._of(key, bool, "true or false")

    def whole(self, key: str) -> int:
        """A whole number from 0 on."""
        found = self._of(key, int, "a whole number")
        if isinstance(found, bool) or found < 0:
            raise InputError(f"{self.where}.{key}: a whole number from 0 on is needed, not {found!r}")
        return found

    def number(self, key: str) -> float:
        """A finite number."""
        found = self.value(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not -1e15 < found < 1e15:
            raise InputError(f"{self.where}.{key}: a number is needed, not {found!r}")
        return float(found)

    def moment(self, key: str) -> datetime | None:
        """A date and time, or None."""
        return self._or_none(key, datetime, "a date and time")

    def span(self, key: str) -> timedelta | None:
        """A duration, or None."""
        return self._or_none(key, timedelta, "a duration")

    def number_or_none(self, key: str) -> float | None:
        """A number, or None."""
        return None if self.value(key) is None else self.number(key)

    def text_or_none(self, key: str) -> str | None:
        """A text, or None."""
        return self._or_none(key, str, "a text")

    def word(self, key: str, words: type[_Word]) -> _Word:
        """One of the words of an enum."""
        found = self.value(key)
        try:
            return words(found)
        except ValueError:
            raise InputError(f"{self.where}.{key}: {found!r} is none of {', '.join(w.value for w in words)}") from None

    def part(self, key: str) -> Part:
        """A mapping within."""
        return Part(self.value(key), f"{self.where}.{key}")

    def parts(self, key: str) -> list[Part]:
        """A list of mappings."""
        return [Part(item, f"{self.where}.{key}[{i}]") for i, item in enumerate(self.items(key))]

    def items(self, key: str) -> list[Any]:
        """A list (or tuple) of whatever."""
        found = self.value(key)
        if not isinstance(found, list | tuple):
            raise InputError(f"{self.where}.{key}: a list is needed, not a {type(found).__name__}")
        return list(found)

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = self.items(key)
        for i, item in enumerate(found):
            if not isinstance(item, str):
                raise InputError(f"{self.where}.{key}[{i}]: a text is needed, not {item!r}")
        return found

    def names(self, key: str) -> dict[str, Any]:
        """A mapping whose keys are texts."""
        found = self.part(key)
        for name in found.tree:
            if not isinstance(name, str):
                raise InputError(f"{found.where}: {name!r} is no name")
        return dict(found.tree)

    def _of(self, key: str, kind: type[_T], what: str) -> _T:
        found = self.value(key)
        if not isinstance(found, kind):
            raise InputError(f"{self.where}.{key}: {what} is needed, not {found!r}")
        return found

    def _or_none(self, key: str, kind: type[_T], what: str) -> _T | None:
        return None if self.value(key) is None else self._of(key, kind, what)
