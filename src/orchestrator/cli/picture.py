"""The picture of an execution under way: a line for each step, cut to the width of the terminal.

Made of plain lines rather than of a table: a frame of a forty-line terminal then costs a millisecond or two, whatever
number of items has gone by since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.keys import label_of
from orchestrator.cli.paper import ASCII, COLOURS, Symbols
from orchestrator.cli.questions import TIME, Question
from orchestrator.cli.rows import Doing, Row
from orchestrator.cli.sentences import awaited, heading, how_to_answer
from orchestrator.cli.window import window
from orchestrator.cli.words import count, duration, one_line, ticking
from orchestrator.journal.keys import place_of

_NAME_COLUMNS = 32
_TIME_COLUMNS = 7
_DIM = "bright_black"
#: What stands below the steps, and how.
FOOTER, FOOTER_STYLE = "Ctrl-C pauses", _DIM
#: Something is under way in a step that stands so.
_ACTIVE = ("running", "retrying", "recovering")


class Picture:
    """Draws a board. `footer` stands below the steps, with the time that has passed; the last picture has none."""

    def __init__(self, board: Board, symbols: Symbols, hints: Hints, *, kept: bool) -> None:
        self._board, self._symbols, self._hints, self._kept = board, symbols, hints, kept
        self.footer: str | None = FOOTER
        self.footer_style = FOOTER_STYLE

    def draw(self, now: float, width: int, height: int) -> list[Text]:
        """The lines as they are now, fewer than `height`."""
        return [self._fitted(line, width) for line in self._lines(now, width, height)]

    def _lines(self, now: float, width: int, height: int) -> Iterator[Text]:
        rows = self._board.rows(now)
        asked = next((question for question in self._board.questions.waits() if question.kind != TIME), None)
        shown = window(rows, max(1, height - (6 if asked else 5)))
        name, *rest = heading(self._board, kept=self._kept)
        yield Text.assemble((name, "bold"), *(f" {self._symbols.dot} {part}" for part in rest))
        yield Text()
        if shown.before:
            yield Text(f"  {self._symbols.ellipsis} {shown.before}", style=_DIM)
        names = _names(shown.rows)
        columns = min(_NAME_COLUMNS, max(8, width // 3), max(map(cell_len, names), default=0))
        for name, row in zip(names, shown.rows, strict=True):
            yield self._line(name, row, now, columns, width)
        if shown.after:
            yield Text(f"  {self._symbols.ellipsis} {shown.after}", style=_DIM)
        if self.footer is not None:
            done = self._board.counted(self._board.record.steps_done)
            dot = f" {self._symbols.dot} "
            yield Text()
            line = Text(f"  {dot.join((done, ticking(self._board.seconds(now))))}{dot}", style=_DIM)
            yield line.append(self.footer, style=self.footer_style)
            if asked is not None and self._kept:
                yield Text(f"  {how_to_answer(self._hints, self._board, asked)}", style=COLOURS["waiting"])

    def _line(self, name: str, row: Row, now: float, columns: int, width: int) -> Text:
        state = row.state
        idle = state in ("pending", "skipped")
        line = Text("  ")
        line.append(getattr(self._symbols, row.sign), COLOURS[row.sign])
        line.append(f" {set_cell_size(name, columns)}", _DIM if idle else "bold" if row.doing else "")
        line.append(f"  {self._took(row, idle=idle):>{_TIME_COLUMNS}}  ", _DIM)
        for text, style in self._rest(row, state, now, width):
            line.append(text, style)
        return line

    def _took(self, row: Row, *, idle: bool) -> str:
        if row.seconds is None or idle:
            return ""
        return ticking(row.seconds) if row.state in _ACTIVE else duration(row.seconds)

    def _rest(self, row: Row, state: str, now: float, width: int) -> Iterator[tuple[str, str]]:
        if state in _ACTIVE or (state == "waiting" and row.total is not None):
            yield from self._bar(row, width)
            yield from self._round(row)
            if not row.opened:
                yield from self._under_way(row, now)
            elif row.total is not None:
                yield f"{row.running} running", _DIM
        elif state == "waiting" and row.asked is not None:
            yield from self._round(row)
            yield "" if row.opened else _waiting(row.asked), COLOURS["waiting"]
        elif state == "failed":
            yield self._why(row), "red"
        elif state == "skipped":
            yield state, _DIM
        elif state == "cancelled":
            yield f"cancelled: {one_line(row.reason)}" if row.reason else state, _DIM
        elif row.earlier:
            yield "done before", _DIM
        elif row.total is not None:
            some = "" if row.done == row.total else f"{row.done:,} of "
            yield some + count(row.total, "item"), _DIM
        elif row.rounds is not None:
            yield count(row.rounds, "round"), _DIM
        else:
            yield row.text, _DIM

    def _bar(self, row: Row, width: int) -> Iterator[tuple[str, str]]:
        fraction = row.fraction
        if fraction is None:
            return
        columns = 16 if width >= 90 else 8 if width >= 60 else 0
        full = round(fraction * columns)
        yield self._symbols.full * full, COLOURS["running"]
        yield self._symbols.rest * (columns - full), _DIM
        amount = f"{row.done}/{row.total}" if row.total is not None else f"{fraction:>4.0%}"
        yield f"{' ' if columns else ''}{amount}  ", ""

    def _round(self, row: Row) -> Iterator[tuple[str, str]]:
        if row.rounds is not None:
            yield f"round {row.rounds}  ", ""
        if row.attempt > 1 and not row.alone:
            yield f"attempt {row.attempt}  ", COLOURS["retrying"]

    def _under_way(self, row: Row, now: float) -> Iterator[tuple[str, str]]:
        if row.failed:
            yield f"{row.failed} failed  ", COLOURS["failed"]
        if row.asked is not None:
            alone = f"{row.asked.key} {_waiting(row.asked)}"
            yield f"{row.waiting} waiting  {'' if row.doing else alone}", COLOURS["waiting"]
        if not row.doing:
            return
        first = row.doing[0]
        if row.total is not None or not row.alone:
            percent = f" {first.fraction:>3.0%}" if first.fraction is not None else ""
            yield f"{first.key}{percent}  ", ""
        if first.recovery:
            yield f"recovering: {first.recovery}  ", COLOURS["recovering"]
        yield from self._attempt(first, now, row.name)
        if row.running > 1:
            yield f"  +{row.running - 1}", ""

    def _attempt(self, doing: Doing, now: float, name: str) -> Iterator[tuple[str, str]]:
        if doing.due_at is not None:
            wait = ticking(max(0.0, doing.due_at - now) + 0.99)
            yield f"attempt {doing.attempt + 1} in {wait}: ", COLOURS["retrying"]
        elif doing.attempt > 1 and not doing.recovery:
            yield f"attempt {doing.attempt}  ", COLOURS["retrying"]
        yield doing.text or one_line(name), _DIM

    def _why(self, row: Row) -> str:
        step = self._board.record.steps.get(row.key)
        if step is not None and step.error:
            return one_line(str(step.error.get("message", "")))
        return f"{row.failed} of {count(row.total or 0, 'item')} failed"

    def _fitted(self, line: Text, width: int) -> Text:
        """The line, cut to the terminal's width."""
        line.no_wrap = True
        line.truncate(max(1, width - 1), overflow="crop" if self._symbols is ASCII else "ellipsis")
        return line


def _waiting(question: Question) -> str:
    return f"waiting {awaited(question)}"


def _names(rows: Sequence[Row]) -> list[str]:
    """What each row is called: below its owner by its own name alone, further in."""
    shown = {row.key for row in rows}
    owners = [place_of(row.key) if row.depth else None for row in rows]
    return [
        f"{'  ' * row.depth}{label_of(row.key)}" if place is not None and place.owner in shown else row.key
        for row, place in zip(rows, owners, strict=True)
    ]
