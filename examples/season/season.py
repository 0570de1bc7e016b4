"""The handlers of the season report: plain functions over plain data."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

MONTHS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}


class Day(TypedDict):
    """One day at the station: °C and millimetres."""

    date: str
    tmax: float
    rain: float


class Bar(TypedDict):
    """How many days were at least this hot."""

    limit: int
    days: int


class Year(TypedDict):
    """What a year's season comes to."""

    rain: float
    hottest: float | None
    kind: str


def load(data: Path, season: str) -> dict[str, list[Day]]:
    """The season's days, by year."""
    years: dict[str, list[Day]] = defaultdict(list)
    with Path(data).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            date = row["date"].replace("/", "-")
            if int(date[5:7]) in MONTHS[season]:
                years[date[:4]].append(Day(date=date, tmax=float(row["temp_max"]), rain=float(row["precipitation"])))
    return dict(years)


def hottest(days: Sequence[Day]) -> float:
    """The highest temperature."""
    return max(day["tmax"] for day in days)


def rain(days: Sequence[Day]) -> float:
    """All the rain, in millimetres."""
    return round(sum(day["rain"] for day in days), 1)


def count_above(years: Mapping[str, Sequence[Day]], limit: int) -> Bar:
    """How many days of all years were at least that hot."""
    return Bar(limit=limit, days=sum(day["tmax"] >= limit for days in years.values() for day in days))


def write_draft(season: str, names: Sequence[str], years: Sequence[Year], bar: Bar, out: Path) -> str:
    """The report as a Markdown file; its path."""
    lines = ["| year | rain (mm) | hottest (°C) | kind |", "|---|---|---|---|"]
    lines += [f"| {n} | {y['rain']} | {y['hottest']} | {y['kind']} |" for n, y in zip(names, years, strict=True)]
    lines += ["", f"{bar['days']} days of {bar['limit']} °C and more."]
    Path(out).mkdir(parents=True, exist_ok=True)
    draft = Path(out) / f"{season}.draft.md"
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(draft)


def publish(draft: str, title: str) -> str:
    """Put the report where everybody sees it; its path."""
    page = _page(draft)
    page.write_text(f"# {title}\n\n{Path(draft).read_text(encoding='utf-8')}", encoding="utf-8")
    return str(page)


def is_published(draft: str, title: str) -> dict[str, object]:
    """Whether that has happened already."""
    page = _page(draft)
    there = page.exists() and page.read_text(encoding="utf-8").startswith(f"# {title}\n")
    return {"happened": there, "output": str(page)}


def _page(draft: str) -> Path:
    return Path(draft.replace(".draft.md", ".md"))


def log(out: Path, status: str, message: str | None) -> None:
    """Note how it ended."""
    Path(out).mkdir(parents=True, exist_ok=True)
    with (Path(out) / "log.txt").open("a", encoding="utf-8") as file:
        file.write(f"{status} {message or ''}".strip() + "\n")
