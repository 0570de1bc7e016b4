"""Draw periods.csv as an SVG curve: `python chart.py periods.csv periods.svg`."""

import csv
import sys
from pathlib import Path

import pygal
from pygal.style import CleanStyle


def draw(curve: Path, image: Path) -> None:
    """The share of the variance that each period explains, in one picture that needs no network."""
    with curve.open(newline="", encoding="utf-8") as file:
        points = [(float(row["period"]), 100 * float(row["power"])) for row in csv.DictReader(file)]
    chart = pygal.XY(
        js=[],
        style=CleanStyle(
            colors=("#b9770e",),
            font_family="sans-serif",
            background="white",
            plot_background="white",
            guide_stroke_color="#cccccc",
            major_guide_stroke_color="#999999",
        ),
        title="How much a wave of each period explains",
        x_title="period in years",
        y_title="% of the variance",
        show_legend=False,
        dots_size=2,
        width=900,
        height=480,
    )
    chart.add("explained", points)
    image.write_bytes(chart.render())
    print(f"{image.name}: {len(points)} periods")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
