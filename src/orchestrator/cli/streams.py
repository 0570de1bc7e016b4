"""The standard streams: what they can show, who may write to them, and what to do when they break.

While a live view owns the terminal nothing else may write there, or the picture is torn: a program that a handler
starts writes to descriptor 1 without asking Python. So for that time descriptors 1 and 2 lead into a file without a
name, from which the view takes whole lines and shows them above its picture. With `--json` descriptor 1 leads to
stderr while steps run, so that stdout holds the one JSON object and nothing else.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self, TextIO

_STDOUT, _STDERR = 1, 2


def forgiving() -> None:
    """A character that a stream cannot show becomes an escape, never an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def complete() -> None:
    """A standard stream that was closed before we began (`>&-`) leads nowhere.

    Its descriptor is taken as well: the next file to be opened would get it, and whatever a child prints.
    """
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", _STDOUT, "w"), ("stderr", _STDERR, "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere == descriptor:
                os.set_inheritable(nowhere, True)
            else:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def lacks_files(error: BaseException) -> bool:
    """Whether it is that this process, or the machine, has too many open files."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in (errno.EMFILE, errno.ENFILE):
            return True
        link = link.__cause__ or link.__context__
    return False


def is_full(error: BaseException) -> bool:
    """Whether a stream takes no more. (An error of a named file has its name; a store's has been explained.)"""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.errno in full and error.filename is None


def pipe_is_broken(error: BaseException) -> bool:
    """Whether nobody reads any more what we write (`| head`, a closed terminal)."""
    return isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EIO)


def hush(stream: TextIO) -> None:
    """Send what is still to be written there to nowhere, so that the interpreter's last flush is quiet too."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # not a real file: nothing is flushed at the end
        return


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it through something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "")


def shows_colour(stream: TextIO) -> bool:
    """Whether it is a terminal that takes colours, and nobody asked for none (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def shows_symbols(stream: TextIO) -> bool:
    """Whether check marks and bars can be expected to come out as such."""
    if (getattr(stream, "encoding", None) or "").lower().replace("-", "") != "utf8":
        return False
    # Python speaks UTF-8 in the C locale too; a terminal that was told to be in it need not.
    told = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return not told or "utf" in told.lower().replace("-", "")


class Stage:
    """The streams while steps run. Use it as a `with` block; `show` is where progress goes."""

    def __init__(self, *, live: bool, as_json: bool) -> None:
        #: Whether `show` is a terminal that a live view has for itself.
        self.is_live = live
        self._as_json = as_json
        self.show: TextIO = sys.stderr if as_json else sys.stdout
        self._undo = ExitStack()
        self._stray: IO[bytes] | None = None
        self._read = 0
        self._rest = b""

    def __enter__(self) -> Self:
        try:
            if self.is_live:
                self._set_aside()
            elif self._as_json and sys.stdout.fileno() == _STDOUT:
                sys.stdout.flush()
                self._lead(_STDOUT, _STDERR)
        except (OSError, ValueError):  # streams without descriptors: nobody but Python can write to them
            self._undo.close()
        return self

    def _set_aside(self) -> None:
        """Keep a way to the terminal for us alone, and lead everybody else into a file."""
        sys.stdout.flush()
        copy = os.dup(self.show.fileno())
        self.show = open(  # noqa: PTH123, SIM115 - a descriptor, closed by the stack
            copy, "w", encoding=self.show.encoding, errors="backslashreplace"
        )
        self._undo.callback(self.show.close)
        self._stray = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the stack
        self._undo.callback(self._stray.close)
        self._lead(_STDOUT, self._stray.fileno())
        self._lead(_STDERR, self._stray.fileno())

    def _lead(self, descriptor: int, target: int) -> None:
        before = os.dup(descriptor)
        os.dup2(target, descriptor)

        def back() -> None:
            os.dup2(before, descriptor)
            os.close(before)

        self._undo.callback(back)

    def stray_lines(self, *, to_the_end: bool = False) -> list[str]:
        """What was written past the view since the last call: whole lines, at the end also one without its end."""
        if self._stray is None:
            return []
        self._flush()
        descriptor = self._stray.fileno()
        new = os.pread(descriptor, os.fstat(descriptor).st_size - self._read, self._read)
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if to_the_end and self._rest:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace") for line in lines]

    def _flush(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from orchestrator.cli.words import one_line

        try:
            for line in self.stray_lines(to_the_end=True):  # where the view did not come to it
                self.show.write(f"{one_line(line)}\n")
            self._flush()
        finally:
            self._undo.close()
