"""The error of a value that its field does not accept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from orchestrator.pipelines.wording import Path

_T = TypeVar("_T")


class Unfit(ValueError):
    """A value that its field does not accept. `name` and `known` give the hint, or `hint` is the hint itself.

    `place` says where inside of the value, `at_key` whether a key is at fault there. `faults` are all that were found.
    """

    def __init__(self, message: str, *, name: str = "", known: Collection[str] = (), hint: str = "") -> None:
        self.name, self.known, self.hint = name, known, hint
        self.place: Path = ()
        self.at_key = False
        self.faults: tuple[Unfit, ...] = (self,)
        super().__init__(message)


class Parts:
    """Checks the parts of a container one by one and raises at the end, so that every fault is told."""

    def __init__(self) -> None:
        self._faults: list[Unfit] = []

    def check(self, part: str | int, check: Callable[[Any], _T], value: Any, at_key: bool = False) -> list[_T]:
        """What the check gives, as a list of one; empty where it found a fault."""
        try:
            return [check(value)]
        except Unfit as unfit:
            for fault in unfit.faults:
                fault.place = (part, *fault.place)
                fault.at_key |= at_key
            self._faults += unfit.faults
            return []

    def finish(self) -> None:
        """Raise what was found."""
        if self._faults:
            first = self._faults[0]
            first.faults = tuple(self._faults)
            raise first
