"""What is measured in each series, against what it may grow, and the verdict.

A figure is either *per unit* (of the work: a step, an execution, a row, a byte) or *in all*. Neither should grow: the
last size is held against the least of the smaller ones, which is the strictest comparison that the series allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.growth.meters import Found

#: Found for one unit, found for all and to be divided by the size, or for all and not to grow at all.
Kind: TypeAlias = Literal["of each", "shared out", "in all"]
#: Up to here a figure counts as flat, and up to there as nearly so.
FLAT, NEARLY = 1.2, 1.5


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a table: what was found under `key`, in a unit of `scale`.

    Sizes below `since` are shown and not compared: there the work is another (nothing to list, no log to copy back), or
    less than what a process needs anyway.
    """

    key: str
    label: str
    scale: float = 1.0
    kind: Kind = "in all"
    since: int = 0

    @property
    def per_unit(self) -> bool:
        """Whether it is of one unit of the work."""
        return self.kind != "in all"

    def of(self, found: Found, size: int) -> float:
        """Its value at a size."""
        return found[self.key] / self.scale / (size if self.kind == "shared out" else 1)


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that grows, the sizes that it is measured at, and the quick ones."""

    key: str
    title: str
    unit: str
    sizes: Sequence[int]
    quick: Sequence[int]
    figures: Sequence[Figure]
    note: str


MICRO, MILLI, MB = 1e-6, 1e-3, 1e6
#: From here on a value is more than what else a process has.
MEGABYTES = 10_000_000
_STEPS = (
    Figure("write_more_bytes", "bytes of memory, running, the pipeline included", 1, "shared out"),
    Figure("file_bytes", "bytes in the file", 1, "shared out"),
    Figure("read_cpu_seconds", "CPU µs to read it", MICRO, "shared out"),
    Figure("resume_cpu_seconds", "CPU µs to resume it", MICRO, "shared out"),
    Figure("resume_more_bytes", "bytes of memory, resuming", 1, "shared out"),
    Figure("open_seconds", "ms to open the store", MILLI),
    Figure("list_seconds", "ms to list the newest 20", MILLI),
)


def _many(listed_since: int, read_since: int) -> tuple[Figure, ...]:
    """What is told where a store fills."""
    return (
        Figure("each_seconds", "µs, running", MICRO, "of each", since=listed_since),
        Figure("each_cpu_seconds", "CPU µs, running", MICRO, "of each"),
        Figure("file_bytes", "bytes in the file", 1, "shared out"),
        Figure("usage_cpu_seconds", "CPU µs of `du`", MICRO, "shared out"),
        Figure("write_peak_bytes", "MB of memory, running", MB, since=listed_since),
        Figure("open_seconds", "ms to open the store", MILLI),
        Figure("list_seconds", "ms to list the newest 20", MILLI, since=listed_since),
        Figure("read_seconds", "ms to read the first execution", MILLI, since=read_since),
    )


_POWERS = (100, 1_000, 10_000, 100_000)
SERIES: Mapping[str, Series] = {
    "chain": Series(
        "chain",
        "Steps in one execution, each needs the one before",
        "step",
        _POWERS,
        (100, 1_000, 5_000),
        (
            Figure("each_seconds", "µs, running", MICRO, "of each"),
            Figure("each_cpu_seconds", "CPU µs, running", MICRO, "of each"),
            Figure("plan_cpu_seconds", "CPU µs before the first step", MICRO, "shared out"),
            *_STEPS,
        ),
        "The process is ended as if killed when all steps but one are recorded; *resume* is what the next process "
        "needs to go on and to end it.",
    ),
    "fan": Series(
        "fan",
        "Items of one fan-out",
        "item",
        _POWERS,
        (100, 1_000, 10_000),
        (
            Figure("all_seconds", "µs, running", MICRO, "shared out"),
            Figure("all_cpu_seconds", "CPU µs, running", MICRO, "shared out"),
            *_STEPS,
        ),
        "Killed before the step that joins the items; the resume runs it, with the outputs of all items as its input.",
    ),
    "executions": Series(
        "executions",
        "Executions in one store",
        "execution",
        (1, 10, 100, 1_000, 10_000),
        (1, 10, 300),
        _many(100, 1),
        "Executions of three steps, up to 32 at once.",
    ),
    "rows": Series(
        "rows",
        "Rows of the journal in one store",
        "row",
        (1, 100, 10_000, 100_000, 1_000_000),
        (1, 1_000, 50_000),
        _many(20_000, 1_000),
        "These rows are made by the store's own append, without an engine: a start and a success in each, a thousand "
        "to an execution. The first execution has a thousand from the third size on: what *read* then costs.",
    ),
    "value": Series(
        "value",
        "Bytes of one value",
        "byte",
        (1_000, 100_000, 10_000_000, 100_000_000, 1_000_000_000),
        (1_000, 1_000_000, 50_000_000),
        (
            Figure("each_seconds", "s a GB, one step makes it and the next has it", 1e-9, "of each"),
            Figure("each_cpu_seconds", "CPU s a GB, the same", 1e-9, "of each"),
            Figure("write_more_bytes", "peak of memory / size, running", 1, "shared out", since=MEGABYTES),
            Figure("value_more_bytes", "peak of memory / size, reading it", 1, "shared out", since=MEGABYTES),
            Figure("value_cpu_seconds", "CPU s a GB, reading it", 1e-9, "shared out"),
            Figure("file_bytes", "bytes in the file / size", 1, "shared out"),
            Figure("read_seconds", "ms to read the execution", MILLI),
            Figure("open_seconds", "ms to open the store", MILLI),
            Figure("list_seconds", "ms to list the newest 20", MILLI),
        ),
        "Bytes that do not compress. The next step has a copy of its own, decoded from what was recorded.",
    ),
}


def ratio(figure: Figure, by_size: Mapping[int, Found]) -> float | None:
    """The last size over the least of those before it; None where there is nothing to compare with."""
    *before, last = [(size, figure.of(found, size)) for size, found in by_size.items()]
    compared = [value for size, value in before if size >= figure.since and value > 0]
    return last[1] / min(compared) if compared else None


def verdict(found: float | None) -> str:
    """A ratio in a word."""
    if found is None:
        return "–"
    return "flat" if found <= FLAT else "nearly flat" if found <= NEARLY else f"grows ×{found:.2g}"
