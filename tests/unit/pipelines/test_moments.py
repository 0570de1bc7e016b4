"""Moments as people write them, and what a `wait` accepts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.pipelines.accept import wait
from orchestrator.pipelines.durations import suggestion
from orchestrator.pipelines.moments import moment
from orchestrator.pipelines.unfit import Unfit


def test_moments() -> None:
    east = timezone(timedelta(hours=1))
    assert moment("2026-12-01T08:00:00+01:00") == datetime(2026, 12, 1, 8, tzinfo=east)
    assert moment(" 2026-12-01t08:00:00.5z ") == datetime(2026, 12, 1, 8, 0, 0, 500_000, UTC)
    assert moment("2026-12-01 08:00") == datetime(2026, 12, 1, 8).astimezone()
    assert moment("2026-12-01") == moment(date(2026, 12, 1)) == datetime(2026, 12, 1).astimezone()
    assert moment("2026-12-01").tzinfo is not None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2026-13-01", "there is no moment '2026-13-01': month"),
        ("2026-02-30T08:00", "there is no moment"),
        ("2026-12-01T25:00", "there is no moment"),
        ("01.12.2026", "expected a moment such as 2026-12-01T08:00:00"),
        ("2026-12-01T08:00Zulu", "expected a moment"),
        ("20261201T0800", "expected a moment"),
        ("1826-12-01", "between the years 1970 and 2999, not in 1826"),
        ("9999-12-31", "between the years 1970 and 2999, not in 9999"),
        (3, "expected a moment"),
        (None, "expected a moment"),
    ],
)
def test_what_is_none(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        moment(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90.0),
        ("2h", 7200.0),
        (timedelta(minutes=1), 60.0),
        ("2026-12-01T08:00:00+01:00", "2026-12-01T08:00:00+01:00"),
        (" 2026-12-01 ", "2026-12-01"),
        (datetime(2026, 12, 1, 8, tzinfo=UTC), "2026-12-01T08:00:00+00:00"),
        (date(2026, 12, 1), "2026-12-01"),
        ("${delay}", "${delay}"),
        ("${hours}h", "${hours}h"),
    ],
)
def test_a_wait_is_a_duration_a_moment_or_a_template(value: Any, expected: Any) -> None:
    assert wait(value) == expected


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("3 hours", "expected a duration such as 90, 5m or 2d, or a moment such as 2026-12-01T08:00", "write 3h"),
        ("tomorrow", "expected a duration", ""),
        (True, "expected a duration", ""),
        ("400d", "between 0 and 365 days", ""),
        ("2026-02-30", "there is no moment", ""),
        ("08:00", "expected a moment", ""),
    ],
)
def test_what_no_wait_is(value: Any, message: str, hint: str) -> None:
    with pytest.raises(Unfit, match=message) as caught:
        wait(value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("5 minutes", "5m"),
        ("5 minuts", "5m"),
        ("2 hours and 30 min", "2h30m"),
        ("1.5 hrs", "1.5h"),
        ("2w", "14d"),
        ("5M", "5m"),
        ("300 millis", "300ms"),
        ("5x", ""),
        ("a while", ""),
        ("5 minutes or so", ""),
        ("30s 1h", ""),
        ("99 weeks", ""),
        ("5m", ""),
        ("", ""),
    ],
)
def test_a_duration_in_other_words_is_recognised(text: str, better: str) -> None:
    assert suggestion(text) == better
