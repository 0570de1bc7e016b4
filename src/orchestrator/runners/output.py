"""What handlers inside the engine log and print becomes notes of their attempt.

Logging is captured by a handler on the root logger, which looks at whose attempt the code runs for and leaves records
from outside of attempts alone. Printing is captured only where the process is the command line's: `sys.stdout`
belongs to the program, and a library that swaps it breaks its host.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from orchestrator.clock import Clock
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.failure import scrub
from orchestrator.journal.store import Note
from orchestrator.runners.lines import LINE_BYTES


def emit_lines(attempt: Attempt, clock: Clock, kind: str, text: str) -> None:
    """Emit a text as one note for each line, of a bounded length and without what looks like a credential."""
    for line in text.split("\n"):
        shown = line.rstrip("\r").rpartition("\r")[2]  # what a carriage return overwrote is no output
        if len(shown) > LINE_BYTES:
            shown = f"{shown[:LINE_BYTES]} … ({len(shown) - LINE_BYTES:,} more characters)"
        attempt.emit(Note(attempt.step_key, attempt.attempt, clock.time(), kind, scrub(shown)))


# -- logging -------------------------------------------------------------------------------------------------------


class AttemptLogHandler(logging.Handler):
    """Turns records that are logged inside an attempt into its notes.

    Several may be installed, one for each engine: the first to see a record marks it. Logging prints warnings to
    stderr where no handler is installed at all (`logging.lastResort`); outside of attempts that stays so.
    """

    _MARK = "orchestrator_noted"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging for each record."""
        if hasattr(record, self._MARK):
            return
        setattr(record, self._MARK, True)
        attempt = CURRENT_ATTEMPT.get()
        if attempt is None:
            last_resort = logging.lastResort
            if last_resort is not None and record.levelno >= last_resort.level and not _has_other_handlers(record):
                last_resort.handle(record)
            return
        try:
            emit_lines(attempt, self._clock, "log", self.format(record))
        except Exception:  # noqa: BLE001 - logging's own way to record it, which never breaks the caller
            self.handleError(record)


def _has_other_handlers(record: logging.LogRecord) -> bool:
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(handler, AttemptLogHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


@contextmanager
def capture_logging(clock: Clock, level: int | None = None) -> Iterator[None]:
    """Have log records of attempts turned into notes. `level` lowers the root logger's, where the process is ours."""
    root = logging.getLogger()
    handler = AttemptLogHandler(clock)
    before = root.level
    root.addHandler(handler)
    if level is not None and level < root.level:
        root.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        if level is not None and root.level == level:
            root.setLevel(before)


# -- printing ------------------------------------------------------------------------------------------------------


class _Router:
    """Stands in place of a text stream: what an attempt writes becomes notes line by line, all else goes through."""

    def __init__(self, kind: str, stream: TextIO, clock: Clock) -> None:
        self.stream = stream
        self._kind, self._clock = kind, clock
        self._lock = threading.Lock()
        #: What attempts have written of an unfinished line; by identity, for an Attempt need not be hashable.
        self._unfinished: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Write; a complete line of an attempt is a note at once."""
        attempt = CURRENT_ATTEMPT.get()
        if attempt is None:
            return self.stream.write(text)
        with self._lock:
            text_so_far = self._unfinished.pop(id(attempt), "") + text
            complete, newline, rest = text_so_far.rpartition("\n")
            if rest:
                self._unfinished[id(attempt)] = rest[-4 * LINE_BYTES :]
        if newline:
            emit_lines(attempt, self._clock, self._kind, complete)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Whether a person sees what is written; not so inside an attempt."""
        return CURRENT_ATTEMPT.get() is None and self.stream.isatty()

    def finish(self, attempt: Attempt) -> None:
        """The attempt has ended: its unfinished line is one."""
        with self._lock:
            rest = self._unfinished.pop(id(attempt), "")
        if rest:
            emit_lines(attempt, self._clock, self._kind, rest)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's: what is written to its `buffer` or its descriptor is not captured."""
        return getattr(self.stream, name)


class PrintRouter:
    """Captures `sys.stdout` and `sys.stderr` between `install` and `restore`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._routers: dict[str, _Router] = {}

    def install(self) -> None:
        """Put the routers in place."""
        for kind in ("stdout", "stderr"):
            self._routers[kind] = _Router(kind, getattr(sys, kind), self._clock)
            setattr(sys, kind, self._routers[kind])

    def finish(self, attempt: Attempt) -> None:
        """Tell what the attempt wrote of a line it did not finish."""
        for router in self._routers.values():
            router.finish(attempt)

    def restore(self) -> None:
        """Put the streams back, unless somebody has put others in place since; those reach the old ones through us."""
        for kind, router in self._routers.items():
            if getattr(sys, kind) is router:
                setattr(sys, kind, router.stream)
        self._routers.clear()
