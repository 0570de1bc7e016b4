"""The live view: every step of an execution in one picture, redrawn a few times a second.

Nothing is drawn while nothing has changed. Events and notes only mark the picture as stale; a thread of its own draws,
so that a slow terminal never holds up a step.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Symbols
from orchestrator.cli.picture import FOOTER, FOOTER_STYLE, Picture
from orchestrator.cli.sentences import of_the_whole
from orchestrator.cli.streams import Stage, pipe_is_broken
from orchestrator.cli.views import QUEUED
from orchestrator.cli.words import one_line
from orchestrator.clock import Clock
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Note

#: Between two frames.
_FRAME_SECONDS = 0.125


class LiveView:
    """Owns the terminal of `stage` from the first event until `stop`."""

    def __init__(self, board: Board, stage: Stage, clock: Clock, symbols: Symbols, hints: Hints, *, kept: bool) -> None:
        self._board, self._stage, self._clock = board, stage, clock
        self._picture = Picture(board, symbols, hints, kept=kept)
        #: What is to stand above the picture: it happened to the execution as a whole.
        self._told: SimpleQueue[str] = SimpleQueue()
        self._stale = threading.Event()
        self._over = threading.Event()
        self._drawer: threading.Thread | None = None
        self._console = Console(file=stage.show, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    # -- View --------------------------------------------------------------------------------------------------------

    def event(self, entry: Entry) -> None:
        """Draw soon; with the first one the terminal becomes ours."""
        if isinstance(entry.event, ev.ExecutionClaimed) and self._picture.footer == QUEUED:
            self._picture.footer, self._picture.footer_style = FOOTER, FOOTER_STYLE
        if self._drawer is None and not self._over.is_set():
            self._drawer = threading.Thread(target=self._draw, name="live-view", daemon=True)
            self._drawer.start()
        if (told := of_the_whole(self._board, entry.event)) is not None:
            self._told.put(told)
        self._stale.set()

    def note(self, note: Note) -> None:
        """Draw soon."""
        self._stale.set()

    def say(self, text: str) -> None:
        """Put it where the eye is: below the steps."""
        self._picture.footer, self._picture.footer_style = text, "yellow"
        self._stale.set()

    def stop(self) -> None:
        """Draw the last picture, which stays, and leave the terminal as it was found."""
        self._over.set()
        self._stale.set()
        if self._drawer is not None:
            self._drawer.join()
            self._drawer = None

    # -- drawing, on the thread of its own ---------------------------------------------------------------------------

    def _draw(self) -> None:
        try:
            self._fit()
            with self._live:
                second = 0
                while not self._over.wait(_FRAME_SECONDS):
                    now = int(self._clock.time())
                    if self._stale.is_set() or now != second:
                        second = now
                        self._stale.clear()
                        self._refresh()
                self._picture.footer = None
                self._refresh(last=True)
        except OSError as exc:  # the terminal has gone: nobody looks any more
            if not pipe_is_broken(exc):
                raise

    def _refresh(self, *, last: bool = False) -> None:
        self._fit()
        stray = self._stage.stray_lines(to_the_end=last)
        if stray:
            self._console.print(Text("\n".join(map(one_line, stray)), overflow="fold"))
        while not self._told.empty():
            self._console.print(Text(self._told.get(), style="yellow"))
        self._live.refresh()

    def _fit(self) -> None:
        """Ask our own stream for its size: the usual ones may lead elsewhere."""
        size = os.get_terminal_size(self._stage.show.fileno())
        self._console.size = (size.columns or 80, size.lines or 24)

    def _frame(self) -> Group:
        width, height = self._console.size
        return Group(*self._picture.draw(self._clock.time(), width, height))
