"""Bytes that a program writes, as lines that a person reads: pure, and bounded however much is written.

Per chunk only the newest `LINES_KEPT` lines are given, with a count of those left out (no more are kept of an attempt
anyway); a line is cut at `LINE_BYTES`. What is overwritten by a carriage return (a progress bar) is not a line: only
what stood there last is given, as `live`, which the next one replaces.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.journal.store import NOTES_KEPT

#: No more of an attempt is kept anyway.
LINES_KEPT = NOTES_KEPT
LINE_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Lines:
    """What a chunk brought: whole lines, how many older ones were left out, and the state of an unfinished line."""

    lines: list[str]
    left_out: int = 0
    live: str | None = None


class LineSplitter:
    """Collects chunks into lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut_bytes = 0

    def feed(self, data: bytes) -> Lines:
        """Take a chunk in."""
        block, newline, rest = data.rpartition(b"\n")
        lines: list[str] = []
        left_out = 0
        if newline:
            first, *more = block.rsplit(b"\n", LINES_KEPT)
            if len(more) == LINES_KEPT:
                left_out = first.count(b"\n") + 1
            else:
                lines.append(self._complete(first))
            self._rest, self._cut_bytes = b"", 0
            lines += [_text(line) for line in more]
        return Lines(lines, left_out, self._begin(rest))

    def finish(self) -> Lines:
        """The end: what stands unfinished is a line too."""
        return Lines([self._complete(b"")] if self._rest.strip(b"\r") else [])

    def _complete(self, end: bytes) -> str:
        return _text(self._rest + end, self._cut_bytes)

    def _begin(self, data: bytes) -> str | None:
        """Add to the unfinished line; gives what it showed before the last carriage return."""
        rest = self._rest + data
        ending = b"\r" if rest.endswith(b"\r") else b""  # perhaps half of CR LF
        before, overwritten, line = rest.removesuffix(ending).rpartition(b"\r")
        live = None
        if overwritten:
            live = _text(before, self._cut_bytes) if before.strip(b"\r") else None
            self._cut_bytes = 0
        self._cut_bytes += max(0, len(line) - LINE_BYTES)
        self._rest = line[:LINE_BYTES] + ending
        return live


def _text(line: bytes, cut_bytes: int = 0) -> str:
    """A line as text: what was overwritten left out, undecodable bytes replaced, its length bounded."""
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    text = shown[:LINE_BYTES].decode("utf-8", "replace")
    more = max(0, len(shown) - LINE_BYTES) + cut_bytes
    return f"{text} … ({more:,} more bytes)" if more else text
