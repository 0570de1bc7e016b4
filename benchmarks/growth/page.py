"""`GROWTH.md`."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.growth.meters import Found
from benchmarks.growth.series import SERIES, Figure, Series, ratio, verdict

#: Series -> size -> what was found.
Results = Mapping[str, Mapping[int, Found]]


def page(results: Results, facts: Mapping[str, str], command: str, rounds: int) -> str:
    """The whole page."""
    parts = ["# Growth", HOW.format(command=command, rounds=_rounds(rounds), **facts), headline(results)]
    for key, by_size in results.items():
        series = SERIES[key]
        parts += [
            f"## {series.title}",
            series.note,
            table(series, by_size),
            f"![{series.title}](charts/growth-{key}.svg)",
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(results: Results) -> str:
    """The target, and what was reached."""
    if "chain" not in results:
        return ""
    size, found = list(results["chain"].items())[-1]
    early, late = found["early_us"], found["late_us"]
    return (
        f"**Time of a step near step {size:,} over that near step 100, in one chain: {late / early:.2f}** "
        f"({late:,.0f} µs, {early:,.0f} µs: medians of the last 999 and of 99; target: at most 1.2)."
    )


def table(series: Series, by_size: Mapping[int, Found]) -> str:
    """A row per figure, a column per size, the verdict."""
    head = [f"per {series.unit}", *(f"{size:,}" for size in by_size), "last / least", "verdict"]
    line = ["---", *["---:"] * (len(by_size) + 1), "---"]
    rows = [_row(figure, by_size) for figure in series.figures if figure.per_unit]
    rows.append(["**in all**", *[""] * (len(by_size) + 2)])
    rows += [_row(figure, by_size) for figure in series.figures if not figure.per_unit]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, line, *rows])


def _row(figure: Figure, by_size: Mapping[int, Found]) -> list[str]:
    found = ratio(figure, by_size)
    values = [_number(figure.of(by_size[size], size)) for size in by_size]
    return [figure.label, *values, "–" if found is None else f"{found:.2f}", verdict(found)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def _rounds(rounds: int) -> str:
    return "each once" if rounds == 1 else f"each {rounds} times, of which the least counts"


HOW = """Made by `{command}`, {rounds}: one process writes a store, a fresh one looks at it.
{processor}, {cores} cores, {system}, {filesystem}, Python {python}, SQLite {sqlite}. Commits are not synced here
(`durability="process"`): a sync costs the same at the first step and at the last, and would only hide what grows; CPU
time is told beside wall time because other programs do not change it. *last / least* holds the largest size against the
least figure of the smaller ones: up to 1.2 is flat, up to 1.5 nearly so."""
