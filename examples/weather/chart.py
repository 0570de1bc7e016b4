"""Draw months.csv as an SVG line chart: `python chart.py months.csv temperatures.svg`."""

import csv
import sys
from pathlib import Path

import pygal
from pygal.style import CleanStyle


def draw(table: Path, image: Path) -> None:
    """Mean daily maximum and minimum of each month, in one picture that needs no network."""
    with table.open(newline="", encoding="utf-8") as file:
        months = list(csv.DictReader(file))
    names = [month["month"] for month in months]
    chart = pygal.Line(
        js=[],
        style=CleanStyle(
            colors=("#c0392b", "#2471a3"),
            font_family="sans-serif",
            background="white",
            plot_background="white",
            guide_stroke_color="#cccccc",
            major_guide_stroke_color="#999999",
        ),
        title="Seattle: mean daily maximum and minimum",
        y_title="°C",
        x_label_rotation=30,
        show_minor_x_labels=False,
        x_labels_major_every=6,
        dots_size=2,
        legend_at_bottom=True,
        width=900,
        height=480,
    )
    chart.x_labels = names
    chart.add("mean maximum", [float(month["mean_max"]) for month in months])
    chart.add("mean minimum", [float(month["mean_min"]) for month in months])
    image.write_bytes(chart.render())
    print(f"{image.name}: {len(names)} months")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
