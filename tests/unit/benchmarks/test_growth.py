"""The page and the charts of growth, made from fixed figures, and one real measurement: nothing is timed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.growth.__main__ import one
from benchmarks.growth.charts import write_charts
from benchmarks.growth.meters import Found
from benchmarks.growth.page import page
from benchmarks.growth.series import SERIES, Figure, ratio, verdict

FACTS = dict.fromkeys(("processor", "cores", "system", "filesystem", "python", "sqlite"), "x")
KEYS = {figure.key for series in SERIES.values() for figure in series.figures}


def found(value: float) -> Found:
    return {**dict.fromkeys(KEYS, value), "early_us": 100.0, "late_us": 110.0}


def test_the_largest_is_held_against_the_least_of_the_smaller() -> None:
    sizes = {10: {"s": 5.0}, 100: {"s": 2.0}, 1000: {"s": 3.0}}
    assert ratio(Figure("s", "s"), sizes) == 1.5
    assert ratio(Figure("s", "s", since=11), {**sizes, 10: {"s": 0.1}}) == 1.5
    assert ratio(Figure("s", "s", since=101), sizes) is None
    assert ratio(Figure("s", "s", 1, "shared out"), {10: {"s": 5.0}, 100: {"s": 100.0}}) == 2.0


@pytest.mark.parametrize(
    ("ratio", "word"), [(None, "–"), (0.3, "flat"), (1.2, "flat"), (1.21, "nearly flat"), (1.6, "grows ×1.6")]
)
def test_the_verdict(ratio: float | None, word: str) -> None:
    assert verdict(ratio) == word


def test_the_page_has_a_table_for_each_series_and_the_target() -> None:
    results = {key: {size: found(1.0) for size in series.sizes} for key, series in SERIES.items()}
    text = page(results, FACTS, "make growth", 2)
    assert "in one chain: 1.10**" in text
    for series in SERIES.values():
        assert f"## {series.title}" in text
        assert all(f"| {figure.label} |" in text for figure in series.figures)


def test_charts_load_nothing_and_say_the_same_for_the_same_figures(tmp_path: Path) -> None:
    results = {key: {size: found(float(size)) for size in series.sizes} for key, series in SERIES.items()}
    for name in ("a", "b"):
        write_charts(results, tmp_path / name)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {f"growth-{key}.svg" for key in SERIES}
    for path in (tmp_path / "a").iterdir():
        ElementTree.fromstring(path.read_text())
        assert "<script" not in path.read_text()
        assert path.read_text() == (tmp_path / "b" / path.name).read_text()


@pytest.mark.parametrize(("series", "size"), [("chain", 20), ("fan", 20), ("executions", 2), ("rows", 3), ("value", 9)])
def test_a_measurement_gives_every_figure_of_its_series(tmp_path: Path, series: str, size: int) -> None:
    made = one(series, size, tmp_path)
    assert {figure.key for figure in SERIES[series].figures} <= set(made)
    assert made["file_bytes"] > 0
    assert list(tmp_path.iterdir()) == []
