"""What was tried, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.testing.harm import Broken, Harm

_HEAD = f"{'':16}{'tried':>7}" + "".join(f"{harm:>14}" for harm in Harm) + "   ways"


@dataclass(slots=True)
class Count:
    """The tries of one scenario, and how often in which way."""

    tried: int = 0
    harms: Counter[Harm] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """The tries of all scenarios, by name; `broken` are the promises that were broken, in words."""

    counts: dict[str, Count]
    broken: list[str] = field(default_factory=list)

    def went_well(self, name: str, way: str) -> None:
        """A try has ended as it should."""
        count = self.counts[name]
        count.tried += 1
        if way:
            count.ways[way] += 1

    def went_wrong(self, name: str, broken: Broken) -> None:
        """A promise was broken."""
        count = self.counts[name]
        count.tried += 1
        count.harms[broken.harm] += 1
        self.broken.append(f"{name}: {broken}")

    @property
    def tried(self) -> int:
        """All tries."""
        return sum(count.tried for count in self.counts.values())

    def lines(self) -> Iterator[str]:
        """The table, and a sentence."""
        yield _HEAD
        for name, count in self.counts.items():
            ways = ", ".join(f"{way} {times}" for way, times in sorted(count.ways.items()))
            harms = "".join(f"{count.harms[harm]:>14}" for harm in Harm)
            yield f"{name:16}{count.tried:>7}{harms}   {ways}".rstrip()
        harms_in_all = Counter[Harm]()
        for count in self.counts.values():
            harms_in_all += count.harms
        told = ", ".join(f"{harms_in_all[harm]} {harm}" for harm in Harm)
        yield f"{self.tried} tries of {sum(bool(c.tried) for c in self.counts.values())} kinds of fault: {told}"
