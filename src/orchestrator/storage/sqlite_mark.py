"""How far a store has come, noted beside it: what tells that the end of its log is missing.

SQLite takes a log that was cut off, or damaged in the middle, for one that ends there. The commits behind that place
are gone without a word, and their steps would run again. So after each commit that is on the disk its sequence is
written into a small file, and whoever opens the store compares. The mark is not synced, and is written last: after a
power failure it may be behind the store, which is harmless, and never ahead of it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import SchemaError

_DIGITS = 20


class Mark:
    """The mark of one store. `put` under the store's writer lock; `close` when nothing is put any more."""

    def __init__(self, store: Path) -> None:
        self._store, self._path = store, mark_path(store)
        self._descriptor: int | None = None

    def read(self) -> int:
        """The sequence that the store had reached, at least; 0 where none can be read."""
        try:
            return int(self._path.read_bytes()[:_DIGITS])
        except (OSError, ValueError):
            return 0

    def check(self, noted: int, newest: int) -> None:
        """Raise SchemaError where a store that had reached `noted`, as read before, ends with `newest`."""
        if newest < noted:
            raise SchemaError(
                f"{self._store} ends before its last {noted - newest} commits: its log was cut off or damaged, or an "
                f"older copy was put in its place; put back a newer copy, or delete {self._path.name} to go on from "
                "what is there, and do again what is missing"
            )

    def put(self, sequence: int) -> None:
        """Note that the store has come so far. A mark that cannot be written stays behind, which is harmless."""
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._descriptor, b"%020d\n" % sequence, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def mark_path(store: Path) -> Path:
    """Where the mark of a store is kept."""
    return Path(f"{store}-mark")
