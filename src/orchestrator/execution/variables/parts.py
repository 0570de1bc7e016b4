"""Reading plain data that somebody else may have written: every fault is named by its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from orchestrator.clock import utc
from orchestrator.errors import InputError
from orchestrator.execution.variables.words import Word, word
from orchestrator.pipelines.wording import did_you_mean, kind_of, shorten

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of some data, and where it stands: `global_variables.rows.metadata.version`."""

    value: Any
    path: str

    def fault(self, wanted: str) -> InputError:
        """The error for a part that is not what is wanted; to be raised."""
        return InputError(f"{self.path}: {wanted} is needed here, not {kind_of(self.value)}")

    def of(self, kind: type[_T], wanted: str) -> _T:
        """The value, of a type."""
        if not isinstance(self.value, kind) or (isinstance(self.value, bool) and kind is int):
            raise self.fault(wanted)
        return self.value

    def fields(self, *names: str, optional: Iterable[str] = ()) -> dict[str, Part]:
        """The parts of a mapping with these keys and no others."""
        found = self._mapping()
        for name in names:
            if name not in found:
                raise InputError(f"{self.path}: {name!r} is missing")
        known = {*names, *optional}
        for name in found:
            if name not in known:
                hint = did_you_mean(str(name), known)
                raise InputError(f"{self.path}: {shorten(repr(name))} is not known here{f'; {hint}' if hint else ''}")
        return {name: Part(value, self._below(name)) for name, value in found.items()}

    def items(self) -> list[tuple[str, Part]]:
        """The parts of a mapping by texts."""
        found = self._mapping()
        for key in found:
            if not isinstance(key, str):
                raise InputError(f"{self.path}: its keys are texts, not {kind_of(key)}")
        return [(key, Part(value, self._below(key))) for key, value in found.items()]

    def elements(self, count: int | None = None) -> list[Part]:
        """The parts of a list or tuple; of just so many, where that is said."""
        if not isinstance(self.value, list | tuple) or (count is not None and len(self.value) != count):
            raise self.fault("a list" if count is None else f"a list of {count}")
        return [Part(value, f"{self.path}[{i}]") for i, value in enumerate(self.value)]

    def _mapping(self) -> Mapping[Any, Any]:
        if not isinstance(self.value, Mapping):
            raise self.fault("a mapping")
        return self.value

    def _below(self, name: str) -> str:
        return f"{self.path}.{shorten(name, 80)}" if self.path else shorten(name, 80)

    def text(self) -> str:
        """A text."""
        return self.of(str, "a text")

    def text_or_none(self) -> str | None:
        """A text or null."""
        return None if self.value is None else self.of(str, "a text or null")

    def texts(self) -> set[str]:
        """Texts, from a list, tuple or set of them."""
        if not isinstance(self.value, (list, tuple, set, frozenset)) or not all(
            isinstance(item, str) for item in self.value
        ):
            raise self.fault("a list of texts")
        return set(self.value)

    def whole(self, at_least: int) -> int:
        """A whole number."""
        number = self.of(int, f"a whole number from {at_least}")
        if number < at_least:
            raise self.fault(f"a whole number from {at_least}")
        return number

    def time(self) -> datetime:
        """A time; one without a zone is local time."""
        found = self.of(datetime, "a time (datetime)")
        try:
            utc(found.timestamp())
        except (OverflowError, ValueError, OSError):
            raise self.fault("a time between the years 1 and 9999") from None
        return found

    def word(self, kind: type[Word]) -> Word:
        """A member of an enum, from its word."""
        try:
            return word(kind, self.value)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None
