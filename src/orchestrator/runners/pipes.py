"""A pipe that a child writes and the loop reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType

_CHUNK_BYTES = 64 * 1024
#: More than a pipe holds (fs.pipe-max-size): what is still to be read after this was written since.
_DRAIN_CHUNKS = 32


class ChildPipe:
    """Reads as the loop finds it readable, a bounded chunk at a time, and hands each chunk to `feed`.

    As a `with` block it has both ends closed at the block's end, wherever that is left.
    """

    def __init__(self, feed: Callable[[bytes], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._feed = feed
        self._fd, self._write_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._read)

    def __enter__(self) -> ChildPipe:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def write_end(self) -> int:
        """What the child is to get; this process keeps its own until `handed_over`."""
        return self._write_end

    def handed_over(self) -> None:
        """The child has its end now."""
        os.close(self._write_end)
        self._write_end = -1

    def drain(self) -> None:
        """Read what is there, without waiting for more."""
        for _ in range(_DRAIN_CHUNKS):
            if not self._read():
                return

    def close(self) -> None:
        """Close what is open of it; a second call does nothing."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._write_end >= 0:
            self.handed_over()

    def _read(self) -> bool:
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:  # every writer has ended
            self._loop.remove_reader(self._fd)
            return False
        self._feed(data)
        return True
