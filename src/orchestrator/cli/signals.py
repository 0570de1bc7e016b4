"""Ctrl-C, once and twice.

Python runs a signal's handler on the main thread between two bytecodes: too late where that thread is stuck, and in
the middle of whatever it holds locked. So the interpreter only writes a byte into a pipe (`signal.set_wakeup_fd`, from
C), and a thread of our own reads it. The first signal asks the execution to pause, and asks again until it has: the
engine may not have been there yet. The second one ends the process from the loop, where what is queued can still be
committed, or without the loop where that does not come within a second.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

#: How long the loop has to end the process after the second signal.
LAST_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 0.25
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Takes SIGINT and SIGTERM for the time of a `with` block, which must be entered on the main thread.

    `pause` is called at the first signal and then a few times a second; `leave` at the second, and ends the process;
    `give_up` when `leave` has not done so in time. All three are called on a thread of their own.
    """

    def __init__(self, pause: Callable[[], None], leave: Callable[[], None], give_up: Callable[[], None]) -> None:
        self.received = 0
        self._pause, self._leave, self._give_up = pause, leave, give_up
        self._undo: list[Callable[[], Any]] = []
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, _wake) for number in _SIGNALS}
        self._undo = [
            *(lambda n=number, h=handler: signal.signal(n, h) for number, handler in handlers.items()),
            lambda: signal.set_wakeup_fd(before),
            lambda: os.close(writing),  # ends the thread
        ]
        self._thread = threading.Thread(target=self._watch, args=(reading,), name="interrupts", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for undo in self._undo:
            undo()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, reading: int) -> None:
        try:
            while True:
                patience = _ASK_AGAIN_SECONDS if self.received else None
                ready, _, _ = select.select([reading], [], [], patience)
                numbers = os.read(reading, 64) if ready else b""
                if ready and not numbers:
                    return
                self.received += sum(number in _SIGNALS for number in numbers)
                if self.received >= 2:
                    self._go()
                elif self.received:
                    self._pause()
        finally:
            os.close(reading)

    def _go(self) -> None:
        self._leave()
        threading.Event().wait(LAST_SECONDS)
        self._give_up()


def _wake(_number: int, _frame: FrameType | None) -> None:
    """The byte in the pipe says it all."""
