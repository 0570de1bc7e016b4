"""Numbers, times and values in words."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.words import (
    clean,
    count,
    duration,
    in_brief,
    iso,
    one_line,
    plain_data,
    shorten,
    stopwatch,
    ticking,
)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1m 00s"),
        (185, "3m 05s"),
        (3599.9, "1h 00m"),
        (7500, "2h 05m"),
        (86400 * 3 + 3600 * 4, "3d 04h"),
    ],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_times_that_still_run() -> None:
    assert [ticking(s) for s in (0.9, 59.9, 61.2)] == ["0 s", "59 s", "1m 01s"]
    assert [stopwatch(s) for s in (0, 1.27, 61.05, 3661.2)] == ["00:00.0", "00:01.2", "01:01.0", "1:01:01.2"]
    assert iso(0.5) == "1970-01-01T00:00:00.500+00:00" and iso(None) is None


def test_counts() -> None:
    assert [count(n, "item") for n in (0, 1, 10_000)] == ["0 items", "1 item", "10,000 items"]


def test_text_without_what_moves_a_cursor() -> None:
    assert clean("a\x1b[31mred\x1b[0m\tb\x07\x1b]0;title\x07\x9bc") == "ared    bc"
    assert one_line("  10%\r  50%\rdone \x1b[K\r\n") == "done"
    assert one_line("two\nlines") == "two lines"


@given(st.text())
def test_a_line_is_one_line_of_printable_characters(text: str) -> None:
    line = one_line(text)
    assert line == " ".join(line.split())
    assert not [c for c in line if ord(c) < 32 or 127 <= ord(c) < 160]


@given(st.text(), st.integers(min_value=1, max_value=20))
def test_short_is_short(text: str, width: int) -> None:
    assert len(shorten(text, width)) <= width
    assert text.startswith(shorten(text, width).removesuffix("…")) or text == shorten(text, width)


@dataclass
class Point:
    x: int
    where: Path


class Tabular:
    def to_dict(self) -> dict[str, list[int]]:
        return {"a": [1, 2]}


def test_what_json_lacks_is_text() -> None:
    value = {
        1: (1, 2.5, None, True),
        "when": [date(2026, 1, 2), datetime(2026, 1, 2, 3, tzinfo=UTC)],
        "odd": [float("nan"), float("-inf"), Decimal("1.10"), UUID(int=1), 3 + 4j],
        "bytes": [b"plain", b"\xff"],
        "set": {"b", "a"},
        "objects": [Point(1, Path("/tmp")), Tabular(), OrderedDict(k=1)],
    }
    assert plain_data(value) == {
        "1": [1, 2.5, None, True],
        "when": ["2026-01-02", "2026-01-02T03:00:00+00:00"],
        "odd": ["nan", "-inf", "1.10", "00000000-0000-0000-0000-000000000001", "(3+4j)"],
        "bytes": ["plain", "\\xff"],
        "set": ["a", "b"],
        "objects": [{"x": 1, "where": "/tmp"}, {"a": [1, 2]}, {"k": 1}],
    }


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


@given(_values)
def test_every_value_has_a_form_as_json_and_in_brief(value: object) -> None:
    data = plain_data(value)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert len(in_brief(value, 40)) <= 40 and "\n" not in in_brief(value, 40)


def test_values_in_brief_say_how_much_there_is() -> None:
    assert in_brief([1, 2, 3], 40) == "[1, 2, 3]"
    assert in_brief(list(range(1000)), 30) == "1,000 items: [0, 1, 2, 3, 4, …"
    assert in_brief({str(n): n for n in range(9)}, 40).startswith('9 entries: {"0": 0,')
    assert in_brief("zwölf", 40) == "zwölf"
