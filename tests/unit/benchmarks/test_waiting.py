"""The page of what waits, made from fixed figures, and a scheduler of the measurement in a process of its own."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from benchmarks import waiting

FACTS = dict.fromkeys(("processor", "cores", "system", "filesystem", "python", "sqlite"), "x")


def test_the_page_has_a_row_for_each_figure_and_the_median_of_the_rounds() -> None:
    keys = {key for _, key, _, _ in waiting.ROWS} - {"rss_each"}
    rounds = [dict.fromkeys(keys, value) | {"rss_with": 5e6 + value, "rss_without": 5e6} for value in (1.0, 2.0, 9e6)]
    text = waiting.page(rounds, 1000, "0.1 to 0.2", FACTS)
    assert "medians of 3 rounds" in text
    assert "load average of the machine 0.1 to 0.2" in text
    assert "| bytes in the file, for each | 2 bytes |" in text
    assert "| of that for each that waits | 0.002 bytes |" in text
    assert all(f"| {words} |" in text for words, *_ in waiting.ROWS)


@pytest.mark.parametrize("at", [1_800_000_000.0, 1_800_000_000.25, 1_800_000_000.999999])
def test_a_moment_is_written_to_the_microsecond(at: float) -> None:
    assert datetime.fromisoformat(waiting._moment(at)).timestamp() == pytest.approx(at, abs=2e-6)


async def test_those_that_are_made_wait_and_are_told_late(tmp_path: Path) -> None:
    due = time.time() + 3600
    await waiting.make(tmp_path / "j.db", "x", 5, due, due + 4)
    with waiting.Orchestrator(tmp_path / "j.db") as app:
        found = {summary.execution_id: summary.next_due for summary in app.list()}
    assert found == {f"x{n}": pytest.approx(due + n, abs=1e-3) for n in range(5)}
