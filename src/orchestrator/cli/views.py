"""What shows an execution while it runs: the protocol, and the two quiet and plain ways.

A view is told of each event after its commit and of each note when it is made; it never asks the engine. What it cannot
write, because nobody reads any more, is dropped: the execution goes on.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from typing import Protocol

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Paper
from orchestrator.cli.sentences import Sentences, heading
from orchestrator.cli.streams import hush, is_full, pipe_is_broken
from orchestrator.cli.thrift import Thrift
from orchestrator.cli.words import one_line, stopwatch
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Note
from orchestrator.types import StepKey

#: Lines of output that are shown of one attempt; all of them are kept for `logs`.
_LINES_SHOWN = 20
#: Progress of one step is told this often.
_PROGRESS_SECONDS = 10.0


#: What is said of an execution that is not begun.
QUEUED = "queued: another execution has its concurrency key; Ctrl-C leaves it in the queue"


class View(Protocol):
    """Shows an execution while it runs."""

    def event(self, entry: Entry) -> None:
        """Something happened. The board knows it already."""
        ...

    def note(self, note: Note) -> None:
        """A handler said something; from any thread."""
        ...

    def say(self, text: str) -> None:
        """Something that does not come from the execution; from any thread."""
        ...

    def stop(self) -> None:
        """Show how things stand, and let go of the stream. A second call does nothing."""
        ...


class SilentView:
    """Shows nothing, but what a person has to know at once."""

    def event(self, entry: Entry) -> None:
        """Nothing to do."""

    def note(self, note: Note) -> None:
        """Nothing to do."""

    def say(self, text: str) -> None:
        """A line on stderr."""
        _say(text)

    def stop(self) -> None:
        """Nothing to do."""


class LineView:
    """One line per event, each flushed, for files, pipes and CI."""

    def __init__(self, board: Board, paper: Paper, hints: Hints, *, kept: bool) -> None:
        self._board, self._paper, self._kept = board, paper, kept
        self._sentences, self._thrift = Sentences(board, hints if kept else None), Thrift(board)
        self._began: float | None = None
        self._held: dict[tuple[str, int], list[Note]] = {}
        self._shown: Counter[tuple[str, int]] = Counter()
        self._progress_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def event(self, entry: Entry) -> None:
        """A line for it."""
        if self._began is None:
            self._began = entry.at
            self._write(self._paper.joined(*heading(self._board, kept=self._kept)))
        for text in self._thrift.of(entry, self._sentences):
            self._write(f"{stopwatch(entry.at - self._began)} {text}")
        if isinstance(entry.event, ev.StepStarted):
            with self._lock:
                held = self._held.pop((entry.event.key, entry.event.attempt), ())
            for note in held:
                self._write_note(note)

    def note(self, note: Note) -> None:
        """A line of output, or now and then progress."""
        with self._lock:
            step = self._board.record.steps.get(StepKey(note.step_key))
            if step is None or step.attempt < note.attempt:  # its start is recorded in a moment, and told first
                self._held.setdefault((note.step_key, note.attempt), []).append(note)
                return
        self._write_note(note)

    def _write_note(self, note: Note) -> None:
        with self._lock:
            text = self._of_progress(note) if note.kind == "progress" else self._of_output(note)
        if text:
            began = note.at if self._began is None else self._began
            self._write(f"{stopwatch(note.at - began)} {text}")

    def say(self, text: str) -> None:
        """A line on stderr."""
        _say(text)

    def stop(self) -> None:
        """Every line stands already."""

    def _write(self, text: str) -> None:
        try:
            self._paper.line(text)
            self._paper.stream.flush()
        except OSError as exc:
            if is_full(exc):  # the execution goes on; the last flush of the command tells
                return
            if not pipe_is_broken(exc):
                raise
            hush(self._paper.stream)

    def _of_output(self, note: Note) -> str:
        if not self._thrift.tells(StepKey(note.step_key)):
            return ""
        attempt = (note.step_key, note.attempt)
        self._shown[attempt] += 1
        if self._shown[attempt] > _LINES_SHOWN + 1:
            return ""
        if self._shown[attempt] > _LINES_SHOWN:
            return f"{note.step_key} | {self._paper.symbols.ellipsis} more is kept for `logs`"
        return f"{note.step_key} | {one_line(note.text)}"

    def _of_progress(self, note: Note) -> str:
        if not self._thrift.tells(StepKey(note.step_key)):
            return ""
        if note.at - self._progress_at.setdefault(note.step_key, note.at) < _PROGRESS_SECONDS:
            return ""
        self._progress_at[note.step_key] = note.at
        return f"{note.step_key} {(note.fraction or 0.0):.0%} {one_line(note.text)}"


def _say(text: str) -> None:
    """Past `sys.stderr`, which a handler may have put something else in place of."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
