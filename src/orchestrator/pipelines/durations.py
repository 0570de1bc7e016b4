"""Lengths of time as people write them: `90`, `90s`, `5m`, `1h30m`, `250ms`."""

from __future__ import annotations

import re
from datetime import timedelta

from orchestrator.pipelines.wording import nearest

#: The longest that may be asked for: a year, in seconds.
LONGEST_SECONDS = 365 * 86_400.0

_NUMBER = r"(\d+(?:\.\d+)?)"
PATTERN = rf"^(?=.)(?:{_NUMBER}d)?\s*(?:{_NUMBER}h)?\s*(?:{_NUMBER}m(?!s))?\s*(?:{_NUMBER}s)?\s*(?:{_NUMBER}ms)?$"
_TEXT = re.compile(PATTERN)
_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)

#: The words that people write for a unit -> how many of which unit that is.
_WORDS = {
    **dict.fromkeys(("week", "weeks", "w"), (7, "d")),
    **dict.fromkeys(("day", "days"), (1, "d")),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), (1, "h")),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), (1, "m")),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), (1, "s")),
    **dict.fromkeys(("millisecond", "milliseconds", "msec", "millis"), (1, "ms")),
    **{unit: (1, unit) for unit in ("d", "h", "m", "s", "ms")},
}
_PAIR = re.compile(rf"{_NUMBER}\s*([A-Za-z]+)")


def seconds(value: object) -> float:
    """A duration in seconds, from a number of seconds, a text or a timedelta. Raises ValueError with a sentence."""
    match value:
        case bool():
            found = None
        case int() | float():
            found = float(value) if abs(value) < 1e300 else None
        case timedelta():
            found = value.total_seconds()
        case str():
            found = _read(value)
        case _:
            found = None
    if found is None:
        raise ValueError(f"expected a duration such as 90, 90s, 5m, 1h30m or 250ms, got {value!r:.60}")
    if not 0 <= found <= LONGEST_SECONDS:
        raise ValueError(f"a duration lies between 0 and 365 days, not {value!r:.60}")
    return found


def _read(text: str) -> float | None:
    match = _TEXT.fullmatch(text.strip()) if len(text) < 100 else None
    if match is None or not any(match.groups()):
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True) if number)


def suggestion(text: str) -> str:
    """How a duration in other words is written here: `2h30m` for `2 hours and 30 min`; empty where none is seen."""
    pairs = _PAIR.findall(text) if len(text) < 100 else []
    rest = _PAIR.sub("", text).replace("and", "").strip(" ,+")
    written = ""
    for number, word in pairs:
        known = word if word in _WORDS else next(iter(nearest(word, _WORDS, 1)), "") if len(word) > 2 else word.lower()
        if rest or known not in _WORDS:
            return ""
        factor, unit = _WORDS[known]
        written += f"{float(number) * factor:g}{unit}"
    length = _read(written)
    return written if length is not None and length <= LONGEST_SECONDS and written != text else ""
