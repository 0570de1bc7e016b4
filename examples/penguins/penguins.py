"""The handlers of the penguin report: a straight line through bill depth and body mass, with its doubt.

`fit` runs in a worker process of its own: it gets plain data, returns plain data and is repeatable,
because its random numbers come from a seed that the pipeline hands in.
"""

import csv
from pathlib import Path
from random import Random
from statistics import correlation, linear_regression
from typing import TypedDict

from orchestrator import progress

#: Bill depth in millimetres, body mass in grams.
Bird = tuple[float, float]

#: How a missing value is written in the file.
MISSING = "NA"


class Reject(TypedDict):
    """A row that cannot be used, and the columns it lacks."""

    line: int
    missing: list[str]
    row: dict[str, str]


class Readings(TypedDict):
    """What a file holds: birds by species, and the rows set aside."""

    species: dict[str, list[Bird]]
    rejects: list[Reject]


class Fit(TypedDict):
    """Grams per millimetre of bill depth, with its 95 % bootstrap interval."""

    name: str
    birds: int
    slope: float
    low: float
    high: float
    correlation: float


def read(data: Path) -> Readings:
    """Read the measurements; a row that lacks any value is set aside, never guessed."""
    species: dict[str, list[Bird]] = {}
    rejects: list[Reject] = []
    with Path(data).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        for row in rows:
            missing = [column for column, value in row.items() if value == MISSING]
            if missing:
                rejects.append(Reject(line=rows.line_num, missing=missing, row=row))
            else:
                bird = (float(row["bill_depth_mm"]), float(row["body_mass_g"]))
                species.setdefault(row["species"], []).append(bird)
    return Readings(species=species, rejects=rejects)


def write_rejects(rejects: list[Reject], out: Path) -> str:
    """Write the rows that were set aside, each with its line and what it lacks; return the file's path."""
    path = Path(out) / "rejects.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "missing", *rejects[0]["row"]])
        for reject in rejects:
            writer.writerow([reject["line"], " ".join(reject["missing"]), *reject["row"].values()])
    return str(path)


def fit(name: str, birds: list[Bird], resamples: int, seed: int) -> Fit:
    """Fit a line through one group, and resample the group to learn how far to trust its slope."""
    random = Random(f"{seed} {name}")
    slopes: list[float] = []
    for number in range(1, resamples + 1):
        slopes.append(_slope(random.choices(birds, k=len(birds))))
        if number % 500 == 0:
            progress(number / resamples, f"{name}: {number} of {resamples} resamples")
    slopes.sort()
    depths, masses = zip(*birds, strict=True)
    return Fit(
        name=name,
        birds=len(birds),
        slope=round(_slope(birds), 1),
        low=round(slopes[int(0.025 * resamples)], 1),
        high=round(slopes[int(0.975 * resamples)], 1),
        correlation=round(correlation(depths, masses), 3),
    )


def fit_pooled(species: dict[str, list[Bird]], resamples: int, seed: int) -> Fit:
    """Fit one line through all birds, as if there were no species."""
    birds = [bird for group in species.values() for bird in group]
    return fit("all species", birds, resamples, seed)


def explain(fits: list[Fit], pooled: Fit) -> str:
    """Put Simpson's paradox into words."""
    weakest = min(fits, key=lambda fit: fit["slope"])
    return (
        f"Within every species a deeper bill goes with more mass (the weakest, {weakest['name']}, "
        f"{weakest['slope']:+g} g per mm), yet over all birds together the line falls "
        f"({pooled['slope']:+g} g per mm). This is Simpson's paradox: what sets the species apart hides "
        "what holds within each of them, and the pooled line must not be used."
    )


def write_report(
    fits: list[Fit],
    pooled: Fit,
    paradox: str | None,
    used: int,
    rejected: int,
    rejects_file: str | None,
    out: Path,
) -> str:
    """Write the report as Markdown and return the file's path."""
    path = Path(out) / "report.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    where = f" (see `{Path(rejects_file).name}`)" if rejects_file else ""
    lines = [
        "# Bill depth and body mass of penguins",
        "",
        f"{used} birds were used, {rejected} incomplete rows were set aside{where}.",
        "",
        "| group | birds | g per mm | 95 % interval | correlation |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {fit['name']} | {fit['birds']} | {fit['slope']:+.1f} "
        f"| {fit['low']:+.1f} to {fit['high']:+.1f} | {fit['correlation']:+.3f} |"
        for fit in [*fits, pooled]
    ]
    if paradox:
        lines += ["", paradox]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _slope(birds: list[Bird]) -> float:
    depths, masses = zip(*birds, strict=True)
    return linear_regression(depths, masses).slope
