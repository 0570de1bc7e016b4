"""One iteration of a loop, as a program without an engine describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class LoopContext:
    """Where a loop stands: its `iteration` (from 0) and the `item` of it.

    `index` is the iteration where it is not given; `is_first` and `is_last` follow from it and from `total_items`,
    where they are not given. `variables` are more names that the loop's body sees.
    """

    loop_id: str
    iteration: int = 0
    item: Any = None
    index: int | None = None
    is_first: bool | None = None
    is_last: bool | None = None
    total_items: int | None = None
    variables: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.index is None:
            self.index = self.iteration
        if self.is_first is None:
            self.is_first = self.index == 0
        if self.is_last is None:
            self.is_last = self.total_items is not None and self.index == self.total_items - 1

    def to_dict(self) -> dict[str, Any]:
        """The names that the loop's body sees: its own variables, and `item`, `index` and the like."""
        names = ("loop_id", "iteration", "item", "index", "is_first", "is_last", "total_items")
        return {**{name: getattr(self, name) for name in names}, **self.variables}
