"""What no input may do, whatever comes of it: run code, touch files, take long, take memory.

Python tells an audit hook of each import, `exec`, opened file and new process. A hook cannot be taken away again; it
does nothing while nothing is forbidden.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from tests.fuzz.target import Target

_FORBIDDEN = (
    "exec",
    "import",
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "pickle.",
    "shutil.",
    "sys._getframe",
)


class Auditor:
    """Raises AssertionError in whatever does a forbidden thing within `forbidden`."""

    def __init__(self) -> None:
        self._allowed: Callable[[str, tuple[Any, ...]], bool] | None = None
        self._done = ""
        self._installed = False

    @contextmanager
    def forbidden(self, allowed: Callable[[str, tuple[Any, ...]], bool]) -> Iterator[None]:
        """No code runs and no file is opened within, but for what `allowed` takes; else AssertionError at the end."""
        if not self._installed:
            sys.addaudithook(self._hear)
            self._installed = True
        self._allowed, self._done = allowed, ""
        try:
            yield
        finally:
            self._allowed = None
            if self._done:  # also where the reader has made an error of its own of it
                raise AssertionError(f"it came to {self._done}")

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._allowed is None or not event.startswith(_FORBIDDEN) or self._allowed(event, args):
            return
        self._done = f"{event} {args!r}"[:300]


AUDITOR = Auditor()


def is_zone(event: str, args: tuple[Any, ...]) -> bool:
    """Whether it is the reading of a time zone, which a value may name."""
    from zoneinfo import TZPATH

    return event == "open" and str(args[0]).startswith(TZPATH)


def is_expression(event: str, args: tuple[Any, ...]) -> bool:
    """Whether it is Jinja2 loading what it compiled of an expression."""
    return event == "exec" and isinstance(args[0], CodeType) and args[0].co_filename == "<template>"


def check_within_bounds(target: Target, data: bytes) -> None:
    """The target's check. Raises AssertionError where it took too long, or too much memory."""
    before, started = _peak_megabytes(), time.process_time()
    target.check(data)
    seconds, megabytes = time.process_time() - started, _peak_megabytes() - before
    assert seconds < target.cpu_seconds, f"it took {seconds:.1f} s of CPU"
    assert megabytes < target.memory_megabytes, f"it took {megabytes} MB of memory"


def _peak_megabytes() -> int:
    """The most that this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
