"""Connections that only read: a few, lent for one query at a time.

A reader holds its snapshot of the database only for the length of a query, never while a listing is paused, so that the
log can always be copied back and never grows without bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from orchestrator.errors import SchemaError, StoreError
from orchestrator.storage.sqlite_errors import explained
from orchestrator.storage.sqlite_file import open_reader

#: Connections open at once; further threads wait for one.
READERS = 4


class Readers:
    """The reading connections of one store. Thread-safe."""

    def __init__(self, path: Path, busy_seconds: float, vfs: str | None = None) -> None:
        self._path, self._busy_seconds, self._vfs = path, busy_seconds, vfs
        self._places = threading.BoundedSemaphore(READERS)
        self._idle: list[apsw.Connection] = []
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[apsw.Connection]:
        """A connection for one query; SQLite's errors come out as StoreErrors."""
        with self._places:
            connection = self._take()
            try:
                yield connection
            except apsw.Error as exc:
                raise explained(exc, self._path, self._busy_seconds) from exc
            except UnicodeDecodeError as exc:  # SQLite checks no text
                raise SchemaError(f"{self._path} is damaged ({exc}); put back a copy of it") from exc
            finally:
                self._give_back(connection)

    def _take(self) -> apsw.Connection:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed; open it again with `open_store`")
        try:
            return self._idle.pop()
        except IndexError:
            return open_reader(self._path, self._busy_seconds, self._vfs)

    def _give_back(self, connection: apsw.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return
