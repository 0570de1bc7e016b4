"""Which rows of a long pipeline are shown when the terminal is too low for all of them: pure.

What runs or failed is shown first. The room that is left goes to what ended just before it and what comes right after,
and what is not shown is counted, by its state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.cli.rows import Row

_ACTIVE = ("running", "retrying", "recovering", "waiting", "failed")


@dataclass(frozen=True, slots=True)
class Window:
    """The rows to show, in their order, and what stands before, between and after them by state."""

    rows: Sequence[Row]
    before: str = ""
    after: str = ""


def window(rows: Sequence[Row], height: int) -> Window:
    """The rows for that many lines, the counts of what is left out included."""
    if len(rows) <= height:
        return Window(rows)
    room = max(1, height - 2)
    chosen = sorted(_chosen(rows, room))
    kept = set(chosen)
    last = chosen[-1]
    hidden = [i for i in range(len(rows)) if i not in kept]
    return Window(
        [rows[i] for i in chosen],
        _counted([rows[i] for i in hidden if i < last]),
        _counted([rows[i] for i in hidden if i > last]),
    )


def _chosen(rows: Sequence[Row], room: int) -> set[int]:
    active = [i for i, row in enumerate(rows) if row.state in _ACTIVE]
    if len(active) >= room:
        return set(active[:room])
    if not active:
        pending = next((i for i, row in enumerate(rows) if row.state == "pending"), len(rows))
        active = [max(0, pending - 1)]
    chosen = set(active)
    above, below = active[0] - 1, active[-1] + 1
    while len(chosen) < room:
        for index in (above, below):
            if 0 <= index < len(rows) and len(chosen) < room:
                chosen.add(index)
        above, below = above - 1, below + 1
        if above < 0 and below >= len(rows):
            chosen.update(range(active[0], active[0] + room - len(chosen)))
            break
    return chosen


def _counted(rows: Sequence[Row]) -> str:
    states = Counter(row.state for row in rows)
    return ", ".join(f"{number} more {state}" for state, number in states.items())
