"""What is drawn, and where: the surroundings of a step while its pipeline is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Step: TypeAlias = dict[str, Any]
Definition: TypeAlias = dict[str, Any]

_LETTERS = "sabcdefgh"


@dataclass(frozen=True)
class Place:
    """What surrounds a step: which names it may use, how deep it is, and what it must not do there.

    `depth` counts pipelines, `level` blocks. Where items run side by side nothing is set: who wins would be chance.
    """

    numbers: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    depth: int = 0
    level: int = 0
    outputs: tuple[str, ...] = ()
    may_set: bool = True
    may_stand_in: bool = True
    #: The steps of the same flow that stand before it.
    before: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that a value may mention."""
        return (*self.numbers, *self.lists, *self.others)

    def id_of(self, number: int) -> str:
        """The id of a step: `s0` in a pipeline, `a0` in a block of it, `b0` in a block of that."""
        return f"{_LETTERS[self.level]}{number}"

    def inside(self, **changes: Any) -> Place:
        """The place of a block inside of a step."""
        return replace(self, level=self.level + 1, before=(), **{"may_stand_in": True, **changes})

    def knowing(self, kind: str, name: str) -> Place:
        """The same with one more name: of a number (or null), a list, or anything; `nothing` cannot be mentioned."""
        found: dict[str, Any] = {} if kind == "nothing" else {kind: (*getattr(self, kind), name)}
        return replace(self, **found)


@dataclass(frozen=True)
class Made:
    """A pipeline in its canonical form, and what its handlers watch over, by step keys without indices.

    `windows`: how many items of a loop may run at a time. `effects`: what is done with an effect in doubt.
    """

    definition: Definition
    windows: Mapping[str, int]
    effects: Mapping[str, str]
