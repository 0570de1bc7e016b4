"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.pipelines.durations import seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90.0),
        (1.5, 1.5),
        (0, 0.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("250ms", 0.25),
        ("1d12h", 129_600.0),
        ("1m500ms", 60.5),
        ("0.5h", 1800.0),
        (" 2s ", 2.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_durations(value: Any, expected: float) -> None:
    assert seconds(value) == expected


WORDS = ["", "s", "5", "5 minutes", "1m1h", "5M", "-5s", "1s1s", "1e3s", "5x", "400d", "9" * 5000 + "s"]
OTHERS = [True, None, [5], -1, float("nan"), float("inf"), 10**400, timedelta(days=-1)]


@pytest.mark.parametrize("value", [*WORDS, *OTHERS])
def test_what_is_none(value: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(value)
