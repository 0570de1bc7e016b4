"""The handlers of the weather report: plain functions over plain data.

A handler knows nothing of the pipeline around it. What it returns is recorded, so a run that was
interrupted goes on behind the last month that was finished. Every file is written whole, so writing
it a second time does no harm.
"""

import csv
import time
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TypedDict

from orchestrator import progress

#: What meteorologists often ask for: at least three hot days in a row.
HEAT_WAVE_DAYS = 3


class Day(TypedDict):
    """One day at the station: °C and millimetres."""

    date: str
    tmax: float
    tmin: float
    rain: float


class Month(TypedDict):
    """What a month of days comes to."""

    month: str
    days: int
    mean_max: float
    mean_min: float
    hottest: float
    hot_days: int
    rain: float
    wet_days: int


class HeatWave(TypedDict):
    """Hot days in a row: the first, how many, and the highest temperature among them."""

    start: str
    days: int
    peak: float


def load(data: Path) -> dict[str, dict[str, list[Day]]]:
    """Read the measurements and group the days by month, `2012-01` and so on."""
    months: dict[str, list[Day]] = defaultdict(list)
    with Path(data).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            day = Day(
                date=row["date"].replace("/", "-"),
                tmax=float(row["temp_max"]),
                tmin=float(row["temp_min"]),
                rain=float(row["precipitation"]),
            )
            months[day["date"][:7]].append(day)
    print(f"{sum(map(len, months.values()))} days in {len(months)} months")
    return {"months": dict(months)}


def summarise(month: str, days: list[Day], hot: float, pace: float = 0.0) -> Month:
    """Sum up one month. `pace` is how many seconds to linger over it, for somebody who watches."""
    for number, day in enumerate(days, start=1):
        time.sleep(pace / len(days))
        if number % 5 == 0:
            progress(number / len(days), f"{day['date']}: {day['tmax']} °C")
    return Month(
        month=month,
        days=len(days),
        mean_max=round(fmean(day["tmax"] for day in days), 1),
        mean_min=round(fmean(day["tmin"] for day in days), 1),
        hottest=max(day["tmax"] for day in days),
        hot_days=sum(day["tmax"] >= hot for day in days),
        rain=round(sum(day["rain"] for day in days), 1),
        wet_days=sum(day["rain"] > 0 for day in days),
    )


def find_heat_waves(months: dict[str, list[Day]], hot: float) -> list[HeatWave]:
    """Every run of at least three hot days, across the ends of months too."""
    days = sorted((day for month in months.values() for day in month), key=lambda day: day["date"])
    runs = (list(run) for is_hot, run in groupby(days, key=lambda day: day["tmax"] >= hot) if is_hot)
    return [
        HeatWave(start=run[0]["date"], days=len(run), peak=max(day["tmax"] for day in run))
        for run in runs
        if len(run) >= HEAT_WAVE_DAYS
    ]


def write_table(months: list[Month], out: Path) -> str:
    """Write the months as CSV and return the file's path."""
    path = Path(out) / "months.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(Month.__annotations__))
        writer.writeheader()
        writer.writerows(months)
    return str(path)


def write_report(months: list[Month], heat_waves: list[HeatWave] | None, hot: float, chart: str, out: Path) -> str:
    """Write the report as Markdown and return the file's path."""
    path = Path(out) / "report.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    first, last = months[0]["month"], months[-1]["month"]
    sections = [
        f"# Seattle weather, {first} to {last}",
        f"![Mean daily maximum and minimum of each month]({chart})",
        _years(months, hot),
        _heat_waves(heat_waves, hot),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return str(path)


def _years(months: list[Month], hot: float) -> str:
    lines = [
        "## Year by year",
        "",
        f"| year | hottest day | days of {hot:g} °C or more | rain | wet days |",
        "|---|---:|---:|---:|---:|",
    ]
    for year, group in groupby(months, key=lambda month: month["month"][:4]):
        of_year = list(group)
        lines.append(
            f"| {year} | {max(month['hottest'] for month in of_year)} °C "
            f"| {sum(month['hot_days'] for month in of_year)} "
            f"| {sum(month['rain'] for month in of_year):.1f} mm "
            f"| {sum(month['wet_days'] for month in of_year)} |"
        )
    return "\n".join(lines)


def _heat_waves(heat_waves: list[HeatWave] | None, hot: float) -> str:
    if not heat_waves:
        return f"## Heat waves\n\nNone: never {HEAT_WAVE_DAYS} days of {hot:g} °C or more in a row."
    lines = ["## Heat waves", "", "| from | days | peak |", "|---|---:|---:|"]
    lines += [f"| {wave['start']} | {wave['days']} | {wave['peak']} °C |" for wave in heat_waves]
    return "\n".join(lines)
