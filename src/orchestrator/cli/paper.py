"""Where a command writes to: a stream, the colours and symbols that it can show, and its width."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import click

from orchestrator.cli.streams import is_terminal, shows_colour, shows_symbols
from orchestrator.cli.words import json_text, plain_data, printable

#: Where nobody's terminal sets a width, lines are as long as they are; this is for what is shortened anyway.
_WIDE = 160
#: A last column of a table in fewer columns than these is not worth ending between words.
_LAST_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Symbols:
    """The signs of a state, one column each."""

    completed: str = "✓"
    failed: str = "✗"
    running: str = "●"
    pending: str = "·"
    skipped: str = "○"
    retrying: str = "↻"
    recovering: str = "↻"
    waiting: str = "?"
    asleep: str = "◷"
    cancelled: str = "■"
    unfinished: str = "‖"
    dot: str = "·"
    full: str = "━"
    rest: str = "─"
    ellipsis: str = "…"


ASCII = Symbols("+", "x", ">", ".", "-", "~", "~", "?", "@", "x", "=", "-", "#", ".", "...")

#: What stands for a state -> its colour.
COLOURS = {
    "completed": "green",
    "failed": "red",
    "abandoned": "red",
    "running": "cyan",
    "retrying": "yellow",
    "recovering": "yellow",
    "waiting": "magenta",
    "asleep": "magenta",
    "paused": "yellow",
    "unfinished": "yellow",
    "cancelled": "yellow",
    "skipped": "bright_black",
    "pending": "bright_black",
}


class Paper:
    """Lines on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.colour = shows_colour(stream)
        self.symbols = Symbols() if shows_symbols(stream) else ASCII
        self.is_terminal = is_terminal(stream)
        self.width = shutil.get_terminal_size().columns if self.is_terminal else _WIDE

    def line(self, text: str = "") -> None:
        """One line, whatever the text holds: names and values of a store are somebody else's words."""
        if self.symbols is ASCII:
            text = text.replace("…", ASCII.ellipsis)
        self.stream.write(f"{printable(text, painted=self.colour).rstrip()}\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Several lines."""
        for text in texts:
            self.line(text)

    def prose(self, text: str, indent: str = "", hanging: str | None = None) -> Iterator[str]:
        """A sentence as lines, ended between words where a terminal would cut through one; `hanging` indents the later.

        Not for commands: a person copies them whole.
        """
        if not self.is_terminal:
            yield indent + text
            return
        words = text.lstrip(" ")
        start = indent + text[: len(text) - len(words)]
        later = start if hanging is None else hanging
        for line in wrapped(words, self.width - visible(start), self.width - visible(later)):
            yield start + line
            start = later

    def json(self, value: Any) -> None:
        """A value as JSON, one object or list."""
        self.stream.write(f"{json_text(plain_data(value))}\n")

    def joined(self, *parts: str) -> str:
        """Parts of a line with a dot between."""
        return f" {self.symbols.dot} ".join(parts)

    def dim(self, text: str) -> str:
        """Text that is not what one looks for."""
        return self.paint(text, "bright_black")

    def bold(self, text: str) -> str:
        """Text that stands out."""
        return click.style(text, bold=True) if self.colour and text else text

    def paint(self, text: str, colour: str | None) -> str:
        """Text in a colour."""
        return click.style(text, fg=colour) if self.colour and colour and text else text

    def symbol(self, state: str) -> str:
        """The sign of a state, in its colour."""
        return self.paint(getattr(self.symbols, state, " "), COLOURS.get(state))

    def table(self, rows: Sequence[Sequence[str]], *, indent: str = "", right: Sequence[int] = ()) -> None:
        """Rows of cells in columns; the columns of `right` are aligned to the right. Cells may be painted.

        On a terminal the last column is ended between words where the terminal would cut through one, if there is room.
        """
        if not rows:
            return
        widths = [max(visible(row[i]) for row in rows) for i in range(len(rows[0]))]
        before = len(indent) + sum(width + 2 for width in widths[:-1])
        room = self.width - before
        wraps = self.is_terminal and widths[-1] > room >= _LAST_COLUMNS and len(rows[0]) - 1 not in right
        for row in rows:
            cells = []
            for i, cell in enumerate(row):
                pad = " " * (widths[i] - visible(cell))
                cells.append(pad + cell if i in right else cell + pad)
            if not wraps:
                self.line(indent + "  ".join(cells))
                continue
            first, *more = wrapped(row[-1], room, room)
            self.line(indent + "  ".join([*cells[:-1], first]))
            self.lines(" " * before + line for line in more)


def wrapped(text: str, first: int, later: int) -> list[str]:
    """The text in lines of at most so many columns, the first and the later ones; a longer word stands alone."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and visible(longer) > (later if lines else first):
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def visible(text: str) -> int:
    """How many columns a text takes, without its colours; wide characters take two."""
    from unicodedata import combining, east_asian_width

    text = click.unstyle(text)
    if text.isascii():
        return len(text)
    return sum((2 if east_asian_width(c) in "WF" else 1) for c in text if not combining(c))
