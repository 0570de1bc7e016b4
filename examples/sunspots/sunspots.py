"""The handlers of the sunspot search: how much of the ups and downs does a wave of a given period explain?

For each candidate period a sine wave is fitted to the monthly numbers by least squares; its power is the
share of the variance that the wave explains (the classical periodogram, scaled to lie between 0 and 1).
"""

import csv
from math import cos, pi, sin
from pathlib import Path
from statistics import fmean
from typing import TypedDict


class Candidate(TypedDict):
    """A period in years and the share of the variance that a wave of this period explains."""

    period: float
    power: float


def load(path: Path) -> list[float]:
    """Read the monthly means in the order of time."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = sorted((int(year), int(month), float(number)) for year, month, number in csv.reader(file))
    first = rows[0][0] * 12 + rows[0][1]
    for offset, (year, month, _) in enumerate(rows):
        if year * 12 + month != first + offset:
            raise ValueError(f"{path}: the month before {year}-{month:02} is missing or stands twice")
    return [number for _, _, number in rows]


def candidates(shortest: float, longest: float, spacing: float) -> list[float]:
    """Every period from the shortest to the longest, both included."""
    count = round((longest - shortest) / spacing)
    return [round(shortest + number * spacing, 6) for number in range(count + 1)]


def power(numbers: list[float], period: float) -> Candidate:
    """Fit a wave of this period and say how much of the variance it explains."""
    mean = fmean(numbers)
    deviations = [number - mean for number in numbers]
    angles = [2 * pi * month / (12 * period) for month in range(len(numbers))]
    waves = [(cos(angle), sin(angle)) for angle in angles]
    cc = sum(c * c for c, _ in waves)
    ss = sum(s * s for _, s in waves)
    cs = sum(c * s for c, s in waves)
    yc = sum(y * c for y, (c, _) in zip(deviations, waves, strict=True))
    ys = sum(y * s for y, (_, s) in zip(deviations, waves, strict=True))
    explained = (yc * yc * ss - 2 * yc * ys * cs + ys * ys * cc) / (cc * ss - cs * cs)
    return Candidate(period=period, power=round(explained / sum(y * y for y in deviations), 6))


def write_curve(search: list[Candidate], out: Path) -> str:
    """Write the candidates as CSV and return the file's path."""
    path = Path(out) / "periods.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(Candidate.__annotations__))
        writer.writeheader()
        writer.writerows(search)
    return str(path)


def write_report(numbers: list[float], search: list[Candidate], liveliest: str, chart: str, out: Path) -> str:
    """Write the report as Markdown and return the file's path."""
    ranking = sorted(search, key=lambda candidate: candidate["power"], reverse=True)
    best = ranking[0]
    lines = [
        "# The sunspot cycle",
        "",
        f"Of {len(search)} periods tried on {len(numbers)} months, **{best['period']:g} years** fits best: "
        f"a wave of that period explains {best['power']:.1%} of the variance.",
        "",
        f"![Share of the variance that each period explains]({chart})",
        "",
        "| period | explained |",
        "|---:|---:|",
    ]
    lines += [f"| {candidate['period']:g} years | {candidate['power']:.1%} |" for candidate in ranking[:5]]
    lines += ["", "The liveliest months:", "", "| month | sunspot number |", "|---|---:|"]
    for row in csv.reader(liveliest.splitlines()):
        lines.append(f"| {row[0]}-{int(row[1]):02} | {row[2]} |")
    path = Path(out) / "report.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
