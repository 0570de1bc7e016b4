"""What all charts share: a card that reads the same on light and dark pages, and SVG that does not change by itself."""

from __future__ import annotations

import re

#: Of the style of every chart.
CARD = {
    "background": "#ffffff",
    "plot_background": "#ffffff",
    "foreground": "#24292f",
    "foreground_strong": "#24292f",
    "foreground_subtle": "#57606a",
    "font_family": "system-ui, sans-serif",
    "guide_stroke_color": "#d0d7de",
    "major_guide_stroke_color": "#d0d7de",
}


def settled(svg: str) -> str:
    """Without the random id, the scripts and the date that pygal gives each chart."""
    svg = re.sub(r"<script[^>]*/>|<script.*?</script>|<!--.*?-->", "", svg, flags=re.DOTALL)
    ids = re.search(r'id="chart-([0-9a-f-]+)"', svg)
    return svg.replace(ids.group(1), "0") if ids else svg
