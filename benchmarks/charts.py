"""Charts of the figures by which systems are compared: a bar each, on a scale of powers of ten.

The background is an opaque card, so that a chart reads the same on a light page and on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pygal
from pygal.style import Style

from benchmarks.contenders import CONTENDERS, LIMIT, ORCHESTRATOR
from benchmarks.drawing import CARD, settled
from benchmarks.figures import FIGURES, number
from benchmarks.results import Results, measured_contenders
from benchmarks.workloads import WORKLOADS, Workload

_COLOURS = {ORCHESTRATOR: "#1f6feb", LIMIT: "#57606a"}
_PEER, _LESS_DURABLE = "#c9a26b", "#e6d5b8"
_WRITES_BEHIND = {contender.name for contender in CONTENDERS if not contender.keeps_each_step}
_STYLE = Style(
    **CARD,
    opacity="1",
    opacity_hover="1",
    colors=(_PEER,),
    label_font_size=13,
    major_label_font_size=13,
    title_font_size=16,
)


def write_charts(results: Results, folder: Path) -> list[Path]:
    """A file per workload that at least two systems have run; gives the files."""
    folder.mkdir(exist_ok=True)
    drawn = []
    for workload in WORKLOADS:
        names = measured_contenders(results, workload.key, [c.name for c in CONTENDERS])
        if len(names) > 1:
            path = folder / f"{workload.key}.svg"
            path.write_text(chart(results, workload, names))
            drawn.append(path)
    return drawn


def chart(results: Results, workload: Workload, names: Sequence[str]) -> str:
    """The medians of a workload as SVG, least first; the same text for the same figures."""
    medians = {name: spread.median for name in names if (spread := results.spread(name, workload.key, workload.figure))}
    drawn = {name: median for name, median in medians.items() if median > 0}
    order = sorted(drawn, key=lambda name: drawn[name], reverse=True)  # pygal draws the last on top
    powers = _powers_of_ten(drawn.values())
    figure = FIGURES[workload.figure]
    made = pygal.HorizontalBar(
        style=_STYLE,
        title=f"{workload.title}: {figure.label} (less is better)",
        x_labels=[f"{_label(name)}: {number(drawn[name])}" for name in order],
        y_labels=powers,
        value_formatter=lambda value: f"{value:,.10g}",
        logarithmic=True,
        zero=powers[0],
        show_legend=False,
        width=760,
        height=96 + 30 * len(order),
        margin=12,
        margin_right=32,
        js=(),
        disable_xml_declaration=True,
    )
    made.add("", [{"value": drawn[name], "color": _colour(name)} for name in order])
    return settled(made.render(is_unicode=True))


def _label(name: str) -> str:
    return f"{name} (not durable)" if name in _WRITES_BEHIND else name


def _colour(name: str) -> str:
    return _COLOURS.get(name, _LESS_DURABLE if name in _WRITES_BEHIND else _PEER)


def _powers_of_ten(values: Iterable[float]) -> list[float]:
    """From the one below the least to the one above the most."""
    logs = [math.log10(value) for value in values]
    return [10.0**power for power in range(math.floor(min(logs) - 0.01), math.ceil(max(logs)) + 1)]
