"""What Ctrl-C does: the first one pauses the execution, the second one ends the process.

Nothing is lost by the second: what is recorded is recorded, and what is queued for the store is written if that can be
done within a second. Children end with us, for the guard process sees to that.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from orchestrator.cli.exits import ExitCode
from orchestrator.cli.streams import Stage
from orchestrator.cli.views import View

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator

_FIRST = "interrupted: finishing what runs, up to 10 s; again to stop at once"
_SHOW_CURSOR = "\x1b[?25h"


class Stopper:
    """Stops one run. Its verbs are called on the thread that watches for signals (see `signals`)."""

    def __init__(self, orchestrator: Orchestrator, view: View, stage: Stage, last_words: str) -> None:
        self._orchestrator, self._view, self._stage, self._last_words = orchestrator, view, stage, last_words
        self._said = False
        #: The loop that the execution runs on, as soon as there is one.
        self.loop: asyncio.AbstractEventLoop | None = None

    def pause(self) -> None:
        """Ask the execution to pause; does no harm when it was asked already, or is not there yet."""
        if not self._said:
            self._said = True
            self._view.say(_FIRST)
        self._orchestrator.interrupt()

    def leave(self) -> None:
        """End the process from the loop, two passes later: what was decided in this one is sealed in the next."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.call_soon, self._flush_and_end)

    def _flush_and_end(self) -> None:
        try:
            self._orchestrator.store.flush()
            self._orchestrator.store.sync()
        finally:
            self.end()

    def end(self) -> None:
        """End the process now. Takes no lock: whoever holds it may be stuck."""
        try:
            if self._stage.is_live:
                os.write(self._stage.show.fileno(), f"{_SHOW_CURSOR}\r\n\n{self._last_words}\r\n".encode())
            elif sys.__stderr__ is not None:
                os.write(sys.__stderr__.fileno(), f"{self._last_words}\n".encode())
        finally:
            os._exit(ExitCode.INTERRUPTED)
