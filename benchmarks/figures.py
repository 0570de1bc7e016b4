"""The figures: how each is computed from what a process measured, and how it is written.

`commits_per_step` is the honest one on a machine whose disk changes by the minute: the time of a step over the time of
a raw commit that was measured just before and just after. The others depend on the machine or count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Measured = Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """`of` takes a sample and the limit's sample of the same round; None where the figure cannot be had."""

    label: str
    unit: str
    of: Callable[[Measured, Measured | None], float | None]


def _per_step(name: str, scale: float) -> Callable[[Measured, Measured | None], float | None]:
    def of(measured: Measured, _limit: Measured | None) -> float | None:
        return measured[name] / measured["steps"] * scale if name in measured else None

    return of


def _plain(name: str, scale: float = 1.0) -> Callable[[Measured, Measured | None], float | None]:
    def of(measured: Measured, _limit: Measured | None) -> float | None:
        return measured[name] * scale if name in measured else None

    return of


def _commits_per_step(measured: Measured, _limit: Measured | None) -> float:
    return measured["seconds"] / measured["steps"] / measured["raw_commit_seconds"]


def _steps_per_second(measured: Measured, _limit: Measured | None) -> float:
    return measured["steps"] / measured["seconds"]


def _cpu_above_limit(measured: Measured, limit: Measured | None) -> float | None:
    if limit is None:
        return None
    return (measured["cpu_seconds"] / measured["steps"] - limit["cpu_seconds"] / limit["steps"]) * 1e6


def _times_limit(measured: Measured, limit: Measured | None) -> float | None:
    return None if limit is None else measured["seconds"] / limit["seconds"]


def _above_python(measured: Measured, _limit: Measured | None) -> float:
    return measured["seconds"] - measured["bare_seconds"]


FIGURES = {
    "commits_per_step": Figure("raw commits per step", "raw commits", _commits_per_step),
    "steps_per_second": Figure("steps/s", "steps/s", _steps_per_second),
    "us_per_step": Figure("µs per step", "µs", _per_step("seconds", 1e6)),
    "cpu_us_per_step": Figure("CPU µs per step", "µs", _per_step("cpu_seconds", 1e6)),
    "cpu_us_above_limit": Figure("CPU µs per step above the limit's", "µs", _cpu_above_limit),
    "rows_per_step": Figure("rows per step", "rows", _per_step("rows", 1)),
    "syncs_per_step": Figure("syncs per step", "syncs", _plain("syncs_per_step")),
    "written_kb_per_step": Figure("KB written per step", "KB", _per_step("written_bytes", 1e-3)),
    "written_mb": Figure("MB written", "MB", _plain("written_bytes", 1e-6)),
    "disk_mb": Figure("MB on disk", "MB", _plain("disk_bytes", 1e-6)),
    "peak_mb": Figure("peak MB of the process", "MB", _plain("peak_mb")),
    "seconds": Figure("seconds", "s", _plain("seconds")),
    "seconds_above_python": Figure("seconds above bare Python", "s", _above_python),
    "times_limit": Figure("times the limit", "×", _times_limit),
    "bodies": Figure("bodies run again", "bodies", _plain("bodies")),
    "kib_each": Figure("KiB each", "KiB", _plain("bytes_each", 1 / 1024)),
}


def number(value: float) -> str:
    """Three significant digits, thousands with commas."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
