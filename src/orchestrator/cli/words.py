"""Numbers, times and values in the words of a terminal: one line each, short, without control characters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from math import isfinite
from pathlib import PurePath
from typing import Any

#: Escape sequences, then whatever else would move a cursor or turn the direction of writing.
_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_CONTROL = re.compile(rf"{_SEQUENCE}|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: The colours that `Paper` paints with, or what may not stand in a line beside them.
_UNPAINTED = re.compile(rf"(\x1b\[(?:[01]|3[0-7]|9[0-7])m)|{_SEQUENCE}|[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: What JSON may hold as it is, and a terminal would obey.
_OBEYED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: An integer of more bits has no decimal form in Python (`sys.get_int_max_str_digits`).
_DECIMAL_BITS = 14_000


def clean(text: str) -> str:
    """The text without escape sequences and control characters; tabs are spaces, ends of lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    "))


def printable(line: str, *, painted: bool) -> str:
    """A line that does nothing in a terminal but stand there; `painted` keeps our own colours."""
    keep = r"\1" if painted else ""
    return _UNPAINTED.sub(keep, line.replace("\t", "    ").replace("\n", " "))


def json_text(data: Any) -> str:
    """Plain data as JSON that a terminal can show as well: what that would obey is written as `\\u009b`."""
    text = json.dumps(data, ensure_ascii=False, indent=2)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The text as one line. Of a line that a program wrote over with `\\r`, what stood there last."""
    last = text.rstrip("\r\n").rpartition("\r")[2]
    return " ".join(clean(last).split())


def shorten(text: str, width: int) -> str:
    """The text, cut at its end with an ellipsis where it is longer than `width` characters."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def count(number: int, thing: str) -> str:
    """`1 step`, `2 steps`, `10,000 items`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def size(number: int) -> str:
    """Bytes in the units of disks: `812 B`, `1.2 kB`, `64 MB`, `1.5 GB`."""
    amount, units = float(number), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while amount >= 999.5 and (larger := next(units, None)) is not None:
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:,.0f} {unit}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12.3 s`, `3m 05s`, `2h 05m`, `3d 04h`."""
    if seconds < 59.95:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    return f"{hours // 24}d {hours % 24:02}h"


def ticking(seconds: float) -> str:
    """A duration that is still growing, in whole seconds, so that it does not flicker: `4 s`."""
    return f"{int(seconds)} s" if seconds < 60 else duration(int(seconds))


def stopwatch(seconds: float) -> str:
    """`00:01.2`, from an hour on `1:00:01.2`."""
    tenths = int(max(0.0, seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    start = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes:02}"
    return f"{start}:{rest // 10:02}.{rest % 10}"


def moment(at: float) -> str:
    """A time of this place: `2026-11-22 00:28:11`."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def time_of_day(at: float) -> str:
    """A time of this place, without its day: `00:28:11.250`."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%H:%M:%S.%f}"[:-3]


def iso(at: float | None) -> str | None:
    """A time for programs: ISO 8601, UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def plain_data(value: Any) -> Any:
    """The value with what JSON has no form for as text (dates, paths, bytes, decimals, NaN) and sets as lists."""
    match value:
        case int() if value.bit_length() > _DECIMAL_BITS:
            return hex(value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case Mapping():
            return {key if isinstance(key, str) else str(plain_data(key)): plain_data(v) for key, v in value.items()}
        case list() | tuple():
            return [plain_data(part) for part in value]
        case set() | frozenset():
            return sorted((plain_data(part) for part in value), key=repr)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray():
            return bytes(value).decode("utf-8", "backslashreplace")
        case PurePath():
            return str(value)
        case _:
            return _of_another_kind(value)


def _of_another_kind(value: Any) -> Any:
    for form in ("model_dump", "_asdict", "tolist", "to_dict"):
        method = getattr(type(value), form, None)  # of the class: what a recorded object calls so is data
        if callable(method):
            return plain_data(method(value))
    fields = getattr(value, "__dataclass_fields__", None)
    return {name: plain_data(getattr(value, name)) for name in fields} if fields else str(value)


def in_brief(value: Any, width: int) -> str:
    """A value in one line of at most `width` characters; of a long list or mapping also how much there is of it."""
    match value:
        case str():
            return shorten(one_line(value), width)
        case list() | tuple() | set() | frozenset() if len(value) > 3:
            text = f"{count(len(value), 'item')}: {_compact(_few(value))}"
        case Mapping() if len(value) > 8:
            text = f"{count(len(value), 'entry').replace('entrys', 'entries')}: {_compact(value)}"
        case _:
            text = _compact(value)
    return shorten(text, width)


def _few(value: Any) -> Any:
    return [part for part, _ in zip(value, range(50), strict=False)]


def _compact(value: Any) -> str:
    data = plain_data(value)
    return one_line(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False))
