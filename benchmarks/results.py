"""What was measured: samples, and the facts that belong to them. Kept as JSON, so that a page can be made again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders import LIMIT
from benchmarks.figures import FIGURES, Measured


@dataclass(frozen=True)
class Sample:
    """One process. `measured` is empty where it failed, and `reason` says why."""

    contender: str
    workload: str
    round: int
    size: int
    measured: Measured
    reason: str = ""


class Spread(NamedTuple):
    """Median, least and most of a figure."""

    median: float
    least: float
    most: float


@dataclass
class Results:
    """All samples of one command, the machine they were taken on, the versions of what was measured."""

    command: str
    machine: Mapping[str, str]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def of(self, contender: str, workload: str) -> list[Sample]:
        """The samples that have brought a result."""
        return [s for s in self.samples if (s.contender, s.workload) == (contender, workload) and s.measured]

    def spread(self, contender: str, workload: str, figure: str) -> Spread | None:
        """A figure over the rounds; None where there is none. Figures above the limit are taken within a round."""
        limits = {sample.round: sample.measured for sample in self.of(LIMIT, workload)}
        found = [FIGURES[figure].of(s.measured, limits.get(s.round)) for s in self.of(contender, workload)]
        values = [value for value in found if value is not None]
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def reason(self, contender: str, workload: str) -> str:
        """Why there is no figure; empty where nothing was tried."""
        failed = [s.reason for s in self.samples if (s.contender, s.workload) == (contender, workload) and s.reason]
        return self.reasons.get(contender, "") or (failed[0] if failed else "")

    def range_of(self, name: str) -> Spread:
        """What was noted with each sample, over all of them."""
        values = [sample.measured[name] for sample in self.samples if name in sample.measured]
        return Spread(statistics.median(values), min(values), max(values)) if values else Spread(0, 0, 0)

    def save(self, path: Path) -> None:
        """Write a line per sample, so that two runs can be compared."""
        head = {name: value for name, value in asdict(self).items() if name != "samples"}
        path.write_text("\n".join(json.dumps(line) for line in [head, *map(asdict, self.samples)]) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """The inverse of `save`."""
        head, *samples = (json.loads(line) for line in path.read_text().splitlines())
        return cls(**head, samples=[Sample(**sample) for sample in samples])


def measured_contenders(results: Results, workload: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that have a result."""
    return [name for name in names if results.of(name, workload)]
