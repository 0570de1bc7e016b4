"""Moments as people write them: `2026-12-01T08:00:00+01:00`, `2026-12-01 08:00`, `2026-12-01`.

Without an offset a moment is one of the local time of the machine that reads it; without a time it is midnight.
"""

from __future__ import annotations

import re
from datetime import date, datetime

#: The years that a moment may lie in: beyond them the clocks of some machines end.
FIRST_YEAR, LAST_YEAR = 1970, 2999

EXAMPLES = "2026-12-01T08:00:00+01:00, 2026-12-01T08:00 or 2026-12-01"
PATTERN = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:?\d{2})?)?$"
_TEXT = re.compile(PATTERN, re.ASCII)
_LIKE_ONE = re.compile(r"\d{4}-\d|\d{1,2}:\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{8}T", re.ASCII)


def is_like_one(text: str) -> bool:
    """Whether a text looks like a date or a time, well written or not."""
    return bool(_LIKE_ONE.match(text.strip()))


def moment(value: object) -> datetime:
    """A moment with its offset, from a text or a datetime. Raises ValueError with a sentence."""
    if isinstance(value, str):
        value = _read(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise ValueError(f"expected a moment such as {EXAMPLES}, got {value!r:.60}")
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"a moment lies between the years {FIRST_YEAR} and {LAST_YEAR}, not in {value.year}")
    return value if value.tzinfo is not None else value.astimezone()


def _read(text: str) -> datetime:
    if not _TEXT.match(text):
        raise ValueError(f"expected a moment such as {EXAMPLES}, got {text!r:.60}")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise ValueError(f"there is no moment {text!r:.60}: {error}") from None
