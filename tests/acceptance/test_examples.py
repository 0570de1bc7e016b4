"""The examples report what the data say: every figure is computed a second time, in another way."""

import csv
import gzip
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.acceptance.cli_session import COMMAND, orchestrator

EXAMPLES = Path(__file__).parents[2] / "examples"

CopyExample = Callable[[str], Path]


@pytest.fixture
def copy_example(tmp_path: Path) -> CopyExample:
    """Copy an example, without what an earlier run left in it, to where it may write."""

    def copy(name: str) -> Path:
        ignore = shutil.ignore_patterns("out", "__pycache__", ".orchestrator")
        return shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=ignore)

    return copy


def tables(report: Path) -> list[list[list[str]]]:
    """The tables of a Markdown file as rows of cells, without head and rule."""
    blocks = re.findall(r"(?:^\|.*\n)+", report.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]] for block in blocks
    ]


# ---------------------------------------------------------------- weather


def seattle() -> list[tuple[str, float, float, float]]:
    lines = (EXAMPLES / "weather/data/seattle-weather.csv").read_text(encoding="utf-8").split()[1:]
    fields = [line.split(",") for line in lines]
    return [(date.replace("/", "-"), float(tmax), float(tmin), float(rain)) for date, rain, tmax, tmin, *_ in fields]


def heat_waves_day_by_day(hot: float) -> list[list[str]]:
    """Walk through the days, as one would with a finger on the table."""
    found: list[list[str]] = []
    start, length, peak = "", 0, 0.0
    for date, tmax, _, _ in [*seattle(), ("end", -99.0, 0.0, 0.0)]:
        if tmax >= hot:
            start = start or date
            length, peak = length + 1, max(peak, tmax)
            continue
        if length >= 3:
            found.append([start, str(length), f"{peak} °C"])
        start, length, peak = "", 0, 0.0
    return found


def test_weather_report_agrees_with_the_measurements(copy_example: CopyExample) -> None:
    folder = copy_example("weather")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "pace=0", "-i", "hot=29")

    years, heat_waves = tables(folder / "out/report.md")
    assert heat_waves == heat_waves_day_by_day(29) != []
    assert [row[0] for row in years] == ["2012", "2013", "2014", "2015"]
    for year, hottest, hot_days, rain, wet_days in years:
        days = [day for day in seattle() if day[0].startswith(year)]
        assert hottest == f"{max(tmax for _, tmax, _, _ in days)} °C"
        assert int(hot_days) == len([tmax for _, tmax, _, _ in days if tmax >= 29])
        assert float(rain.removesuffix(" mm")) == pytest.approx(sum(day[3] for day in days), abs=0.06)
        assert int(wet_days) == len([day for day in days if day[3] > 0])


def test_weather_table_has_every_month_and_the_chart_is_drawn_from_it(copy_example: CopyExample) -> None:
    folder = copy_example("weather")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "pace=0")

    with (folder / "out/months.csv").open(newline="", encoding="utf-8") as file:
        months = list(csv.DictReader(file))
    assert [month["month"] for month in months] == [f"{y}-{m:02}" for y in range(2012, 2016) for m in range(1, 13)]
    for month in months:
        days = np.array([day[1:] for day in seattle() if day[0].startswith(month["month"])])
        assert int(month["days"]) == len(days)
        assert float(month["mean_max"]) == pytest.approx(days[:, 0].mean(), abs=0.051)
        assert float(month["mean_min"]) == pytest.approx(days[:, 1].mean(), abs=0.051)
    image = ElementTree.parse(folder / "out/temperatures.svg")
    dots = [node for node in image.iter() if node.get("class") == "dot reactive tooltip-trigger"]
    assert len(dots) == 2 * len(months)


def test_weather_without_a_hot_day_skips_the_heat_waves(copy_example: CopyExample) -> None:
    folder = copy_example("weather")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "pace=0", "-i", "hot=45")

    report = (folder / "out/report.md").read_text(encoding="utf-8")
    assert "None: never 3 days of 45 °C or more in a row." in report
    assert len(tables(folder / "out/report.md")) == 1


def test_weather_killed_in_the_middle_carries_on_to_the_same_report(copy_example: CopyExample) -> None:
    folder = copy_example("weather")
    command = [*COMMAND, "run", "pipeline.yaml", "--id", "killed", "-i", "pace=0.25"]
    with subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout is not None
        seen = next((line for line in running.stdout if "months[9]" in line), None)
        running.kill()
    assert seen is not None, "the run ended before its tenth month was shown"
    assert not (folder / "out/report.md").exists()

    orchestrator(folder, "resume", "killed")
    resumed = (folder / "out/report.md").read_bytes()
    orchestrator(folder, "run", "pipeline.yaml", "-i", "pace=0")
    assert resumed == (folder / "out/report.md").read_bytes()


# ---------------------------------------------------------------- penguins


def test_penguin_report_agrees_with_the_measurements(copy_example: CopyExample) -> None:
    folder = copy_example("penguins")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "resamples=1000")

    lines = (EXAMPLES / "penguins/data/penguins.csv").read_text(encoding="utf-8").split()[1:]
    complete = [line.split(",") for line in lines if "NA" not in line.split(",")]
    birds = {"all species": np.array([(float(bird[3]), float(bird[5])) for bird in complete])}
    for species in {bird[0] for bird in complete}:
        birds[species] = np.array([(float(b[3]), float(b[5])) for b in complete if b[0] == species])

    (fits,) = tables(folder / "out/report.md")
    assert {row[0] for row in fits} == set(birds)
    for name, count, slope, interval, correlation in fits:
        low, high = (float(bound) for bound in interval.split(" to "))
        assert int(count) == len(birds[name])
        assert float(slope) == pytest.approx(np.polyfit(*birds[name].T, deg=1)[0], abs=0.051)
        assert float(correlation) == pytest.approx(np.corrcoef(birds[name].T)[0, 1], abs=0.00051)
        assert low < float(slope) < high
    assert "Simpson's paradox" in (folder / "out/report.md").read_text(encoding="utf-8")


def test_penguin_rows_with_a_gap_are_set_aside_as_they_are(copy_example: CopyExample) -> None:
    folder = copy_example("penguins")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "resamples=100")

    lines = (EXAMPLES / "penguins/data/penguins.csv").read_text(encoding="utf-8").splitlines()
    gaps = [(number, line) for number, line in enumerate(lines, start=1) if ",NA" in line]
    with (folder / "out/rejects.csv").open(newline="", encoding="utf-8") as file:
        rejects = list(csv.reader(file))[1:]
    assert [(int(number), ",".join(row)) for number, _, *row in rejects] == gaps
    assert f"{len(lines) - 1 - len(gaps)} birds were used, {len(gaps)} incomplete" in (
        folder / "out/report.md"
    ).read_text(encoding="utf-8")


def test_penguin_report_without_a_gap_or_a_paradox_says_neither(copy_example: CopyExample) -> None:
    folder = copy_example("penguins")
    data = folder / "data/penguins.csv"
    lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join(line for line in lines if "Gentoo" not in line and ",NA" not in line), encoding="utf-8")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "resamples=200")

    report = (folder / "out/report.md").read_text(encoding="utf-8")
    assert "0 incomplete rows were set aside." in report
    assert "paradox" not in report
    assert not (folder / "out/rejects.csv").exists()


# ---------------------------------------------------------------- sunspots


def sunspots() -> list[tuple[int, int, str]]:
    table = (EXAMPLES / "sunspots/data/sunspots_monthly.dat").read_text(encoding="ascii")
    rows = [line.split() for line in table.splitlines() if re.match(r"\d{4} ", line)]
    return [(int(row[0]), month, number) for row in rows for month, number in enumerate(row[1:], start=1)]


def explained(period: float) -> float:
    """The share of the variance that a wave explains, by a least-squares solver."""
    numbers = np.array([float(number) for *_, number in sunspots()])
    numbers -= numbers.mean()
    angles = 2 * np.pi * np.arange(len(numbers)) / (12 * period)
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rest = numbers - waves @ np.linalg.lstsq(waves, numbers)[0]
    return float(1 - (rest @ rest) / (numbers @ numbers))


def test_sunspot_report_agrees_with_the_measurements(copy_example: CopyExample) -> None:
    folder = copy_example("sunspots")
    orchestrator(folder, "run", "pipeline.yaml")

    best, liveliest = tables(folder / "out/report.md")
    periods = [round(8 + number / 10, 1) for number in range(61)]
    ranking = sorted(periods, key=explained, reverse=True)[:5]
    assert [float(period.removesuffix(" years")) for period, _ in best] == ranking
    assert [share for _, share in best] == [f"{explained(period):.1%}" for period in ranking]
    peaks = sorted(sunspots(), key=lambda row: float(row[2]), reverse=True)[:5]
    assert liveliest == [[f"{year}-{month:02}", number] for year, month, number in peaks]


def test_sunspot_table_is_tidied_and_packed(copy_example: CopyExample) -> None:
    folder = copy_example("sunspots")
    orchestrator(folder, "run", "pipeline.yaml", "-i", "spacing=1")

    tidy = "".join(f"{year},{month},{number}\n" for year, month, number in sunspots())
    assert (folder / "out/monthly.csv").read_text(encoding="ascii") == tidy
    assert gzip.decompress((folder / "out/monthly.csv.gz").read_bytes()).decode("ascii") == tidy
    image = ElementTree.parse(folder / "out/periods.svg")
    dots = [node for node in image.iter() if node.get("class") == "dot reactive tooltip-trigger"]
    assert len(dots) == 7


# ---------------------------------------------------------------- by hand


def test_steps_by_hand(copy_example: CopyExample) -> None:
    copy_example("penguins")
    folder = copy_example("by_hand")
    done = subprocess.run([sys.executable, "penguins.py"], cwd=folder, capture_output=True, text=True, check=True)
    *told, means, progress = done.stdout.splitlines()
    with (EXAMPLES / "penguins/data/penguins.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if "NA" not in row.values() and all(row.values())]
    wanted = {
        species: round(float(np.mean([float(r["body_mass_g"]) for r in rows if r["species"] == species])), 1)
        for species in ("Adelie", "Chinstrap", "Gentoo")
    }
    assert means == str(wanted)
    assert '"completed_steps": 5' in progress
    assert [int(line.split()[0]) for line in told] == list(range(1, len(told) + 1))
    assert any("step_retrying" in line for line in told)
    assert any("checkpoint_restored" in line for line in told)


# ---------------------------------------------------------------- season


def summer() -> dict[str, list[tuple[float, float]]]:
    """Year -> the highest temperature and the rain of each of its summer days."""
    years: dict[str, list[tuple[float, float]]] = {}
    for date, tmax, _, rain in seattle():
        if date[5:7] in ("06", "07", "08"):
            years.setdefault(date[:4], []).append((tmax, rain))
    return years


@pytest.mark.parametrize("choice", ["publish", "reject"])
def test_season_report_waits_for_a_person_and_publishes_what_was_approved(tmp_path: Path, choice: str) -> None:
    ignore = shutil.ignore_patterns("out", "__pycache__", ".orchestrator")
    for name in ("season", "weather"):
        shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=ignore)
    folder = tmp_path / "season"
    orchestrator(folder, "run", "pipeline.yaml", "--id", "s", exits=3)
    assert not (folder / "out/summer.md").exists()

    orchestrator(folder, "answer", "s", "review", choice, "--field", "title=Summers")

    days = [tmax for year in summer().values() for tmax, _ in year]
    bar = next(limit for limit in range(25, 65) if sum(tmax >= limit for tmax in days) <= 20)
    draft = (folder / "out/summer.draft.md").read_text(encoding="utf-8")
    assert f"{sum(tmax >= bar for tmax in days)} days of {bar} °C and more" in draft
    for (year, measured), row in zip(summer().items(), tables(folder / "out/summer.draft.md")[0], strict=True):
        rain = round(sum(rain for _, rain in measured), 1)
        kind = "wet" if rain > 120 else "dry" if rain < 60 else "mild"
        assert row == [year, str(rain), str(max(tmax for tmax, _ in measured)), kind]
    assert (folder / "out/log.txt").read_text() == "completed\n"
    published = folder / "out/summer.md"
    assert published.exists() == (choice == "publish")
    if choice == "publish":
        assert published.read_text(encoding="utf-8") == f"# Summers\n\n{draft}"
