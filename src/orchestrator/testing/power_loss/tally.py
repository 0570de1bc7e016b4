"""What was tried: how many cuts, and where they fell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.testing.power_loss.tape import (
    Acknowledged,
    Created,
    Deleted,
    Operation,
    Posted,
    Resized,
    Synced,
    Written,
)

_WORDS: Mapping[type[Operation], str] = {
    Created: "creations",
    Deleted: "deletions",
    Written: "writes",
    Resized: "resizes",
    Synced: "syncs",
    Acknowledged: "acknowledgements",
    Posted: "answers",
}


@dataclass(slots=True)
class Tally:
    """`lives` that were recorded, `cuts` of them, and acknowledged `events` that were looked for, over all cuts."""

    cuts: int = 0
    lives: int = 0
    events: int = 0
    #: What was about to happen when the power went, in words.
    before: Counter[str] = field(default_factory=Counter)

    def count(self, about_to_happen: Operation, events: int) -> None:
        """One more cut that broke no promise."""
        self.cuts += 1
        self.events += events
        self.before[_WORDS[type(about_to_happen)]] += 1

    def __str__(self) -> str:
        fell = ", ".join(f"{number} {word}" for word, number in self.before.most_common())
        return f"{self.cuts} cuts in {self.lives} lives (before {fell}); {self.events} acknowledged events looked for"
