"""The part of a traceback that tells a person where in their handler it went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from orchestrator import errors
from orchestrator.cli.words import clean

#: Frames that tell nothing about a handler: ours, and how a thread comes to a call.
_OURS = re.compile(
    r"[/\\]orchestrator[/\\](runners|execution|functions|app)[/\\]"
    r"|[/\\]python3[.\d]*[/\\](threading|asyncio[/\\]threads|concurrent[/\\]futures[/\\]thread)\.py\""
)
_PLACE = re.compile(r' +File "(.+)", line (\d+)(.*)')
_BEGIN, _FRAME = "Traceback (most recent call last):", "  File "


def traceback_tail(error: Mapping[str, Any], lines: int) -> list[str]:
    """The handler's own frame and the last lines of its traceback, without the frames that lead to the handler.

    None for an error of ours, whose message says it all.
    """
    if hasattr(errors, str(error.get("type"))) or not lines:
        return []
    raw = _raw(error)
    trace = list(_without_ours(raw))
    if len(trace) <= lines:
        return trace
    # Of a chain of exceptions the last one has come all the way up to the handler.
    last = list(_without_ours(raw[max((i for i, line in enumerate(raw) if line == _BEGIN), default=0) :]))
    first, start = len(trace) - len(last), len(trace) - lines
    own = _frame(trace[first:])
    if trace[start - 1].startswith(_FRAME):  # half of a frame says little
        start -= 1
    if start <= first + len(own):
        return trace[min(first, start) :]
    return [*own, "  …", *trace[start:]] if own else trace[start:]


def raised_at(error: Mapping[str, Any]) -> str:
    """The line where an exception left the person's own code: `trips.py:41, in book`; empty where none is known."""
    frames = [line for line in _without_ours(_raw(error)) if line.startswith(_FRAME)]
    found = _PLACE.match(frames[-1]) if frames else None
    return f"{found[1]}:{found[2]}{found[3]}" if found else ""


def _raw(error: Mapping[str, Any]) -> list[str]:
    """The lines of a traceback, without the signs below them."""
    return [line for line in clean(str(error.get("traceback") or "")).rstrip().splitlines() if line.strip(" ^~")]


def _frame(trace: list[str]) -> list[str]:
    """The lines of the frame that stands first: its place, and its source where that is known."""
    if not trace or not trace[0].startswith(_FRAME):
        return []
    return [trace[0], *takewhile(lambda line: line.startswith("    "), trace[1:])]


def _without_ours(trace: Iterable[str]) -> Iterator[str]:
    ours = False
    for line in trace:
        if line.startswith(_FRAME):
            ours = _OURS.search(line) is not None
        elif not line.startswith("    "):
            ours = False
        if not ours and line != _BEGIN:
            yield line
