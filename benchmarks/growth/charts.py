"""A chart per series: its figures per unit, each over its own least, so that a flat line is what one hopes for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pygal
from pygal.style import Style

from benchmarks.drawing import CARD, settled
from benchmarks.growth.meters import Found
from benchmarks.growth.series import SERIES, Series

_STYLE = Style(
    **CARD,
    colors=("#1f6feb", "#cf222e", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#bf3989"),
)


def write_charts(results: Mapping[str, Mapping[int, Found]], folder: Path) -> None:
    """`growth-*.svg`."""
    folder.mkdir(exist_ok=True)
    for key, by_size in results.items():
        (folder / f"growth-{key}.svg").write_text(chart(SERIES[key], by_size), encoding="utf-8")


def chart(series: Series, by_size: Mapping[int, Found]) -> str:
    """The series as SVG; the same text for the same figures."""
    made = pygal.Line(
        style=_STYLE,
        title=f"{series.title}: cost per {series.unit}, over its least",
        x_title=f"{series.unit}s",
        logarithmic=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        truncate_legend=-1,
        width=760,
        height=420,
        js=(),
        disable_xml_declaration=True,
    )
    made.x_labels = [f"{size:,}" for size in by_size]
    for figure in series.figures:
        if figure.per_unit:
            values = [figure.of(found, size) for size, found in by_size.items()]
            least = min((value for value in values if value > 0), default=1.0)
            made.add(figure.label, [value / least if value > 0 else None for value in values])
    return settled(made.render(is_unicode=True))
