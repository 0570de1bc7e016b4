"""Where two values differ, line by line, for whoever reads why a test failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Lines that are shown of one comparison, and characters of one value.
_MOST_LINES = 20
_MOST_CHARACTERS = 200


def differences(expected: Any, got: Any, place: str, *, partly: bool = False) -> list[str]:
    """One line for each place that differs: `outputs.total: expected 3, got 4`; none where they are equal.

    With `partly` a mapping may have more keys than were expected.
    """
    lines = list(_differences(expected, got, place, partly))
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"… and {more} more"]


def _differences(expected: Any, got: Any, place: str, partly: bool) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in expected:
            where = f"{place}.{key}"
            if key not in got:
                yield f"{where}: expected {shown(expected[key])}, but it is not there"
            else:
                yield from _differences(expected[key], got[key], where, partly)
        for key in () if partly else got:
            if key not in expected:
                yield f"{place}.{key}: not expected, got {shown(got[key])}"
    elif _is_list(expected) and _is_list(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            yield from _differences(one, other, f"{place}[{index}]", partly)
        if len(expected) != len(got):
            yield f"{place}: expected {len(expected)} items, got {len(got)}"
    elif not _are_equal(expected, got):
        yield f"{place}: expected {shown(expected)}, got {shown(got)}"


def shown(value: Any) -> str:
    """A value on one line, its end cut off where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _are_equal(expected: Any, got: Any) -> bool:
    """Equal and of one kind: true is not 1. Where a type's `==` gives no truth (arrays), what is shown decides."""
    if isinstance(expected, bool) is not isinstance(got, bool):
        return False
    try:
        return bool(expected == got)
    except ValueError:
        return repr(expected) == repr(got)
