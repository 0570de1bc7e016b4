"""How long the other side asked us to wait: `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.failure.foreign import attribute, called, inside

#: No wait that was asked for is obeyed for longer: a day.
LONGEST_SECONDS = 86_400.0


def retry_after(exc: BaseException, now: float) -> float | None:
    """Seconds to wait (0 to 86,400), or None where nothing sensible is asked for. `now` is seconds since the epoch."""
    for value in _asked(exc):
        seconds = _seconds(value, now)
        if seconds is not None:
            return min(max(0.0, seconds), LONGEST_SECONDS)
    return None


def _asked(exc: BaseException) -> Iterator[Any]:
    yield attribute(exc, "retry_after")
    response = attribute(exc, "response")
    for headers in (
        attribute(response, "headers"),
        attribute(exc, "headers"),
        inside(response, "ResponseMetadata", "HTTPHeaders"),
    ):
        for name, value in called(lambda headers=headers: list(headers.items())) or ():
            if isinstance(name, str) and name.lower() == "retry-after":
                yield value


def _seconds(value: Any, now: float) -> float | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return _until(value, now) if isinstance(value, str) else None
    return seconds if math.isfinite(seconds) else None


def _until(date: str, now: float) -> float | None:
    from email.utils import parsedate_to_datetime  # costs the start 10 ms

    try:
        moment = parsedate_to_datetime(date)
        return _aware(moment).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
