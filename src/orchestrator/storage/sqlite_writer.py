"""The one connection that writes, and its transactions. To be used under the store's writer lock only.

A `relaxed` transaction returns before it is on the disk. What is promised is written by a later one to the same log:
its sync brings all earlier frames of the log to the disk as well, and after a power failure a frame counts only if all
before it are whole. So blobs need no sync of their own before the commit that refers to them; a copy of the log back
into the file syncs the log first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import apsw

from orchestrator.clock import Clock

_COMMITS_WATCHED = 32


class Writer:
    """The writing connection of one store. `synced` is whether commits wait for the disk.

    SQLite's errors come out as they are; the store explains them.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        sql: Mapping[str, str],
        clock: Clock,
        *,
        synced: bool,
        busy_seconds: float,
    ) -> None:
        self._connection, self._sql, self._clock = connection, sql, clock
        self._synced, self._busy_milliseconds = synced, int(busy_seconds * 1000)
        self._patient, self._relaxed = True, False
        self._commit_seconds: deque[float] = deque(maxlen=_COMMITS_WATCHED)
        connection.pragma("synchronous", "FULL" if synced else "NORMAL")

    # -- queries ---------------------------------------------------------------------------------------------------

    def run(self, query: str, bindings: apsw.Bindings | None = None) -> None:
        """A named statement without a result."""
        self._connection.execute(self._sql[query], bindings)

    def row(self, query: str, bindings: apsw.Bindings | None = None) -> tuple[Any, ...] | None:
        """The first row that a named query gives."""
        rows = self._connection.execute(self._sql[query], bindings).fetchall()
        return rows[0] if rows else None

    def rows(self, query: str, bindings: apsw.Bindings | None = None) -> list[tuple[Any, ...]]:
        """All rows that a named query gives."""
        return self._connection.execute(self._sql[query], bindings).fetchall()

    def only_row(self, query: str, bindings: apsw.Bindings | None = None) -> tuple[Any, ...]:
        """The row of a query that always gives one."""
        return self._connection.execute(self._sql[query], bindings).fetchall()[0]

    def many(self, query: str, rows: Iterable[apsw.Bindings]) -> None:
        """A named statement for each of these rows."""
        self._connection.executemany(self._sql[query], rows)

    @property
    def last_number(self) -> int:
        """The number of the row that was added last, of whatever table."""
        return self._connection.last_insert_rowid()

    # -- transactions ----------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, relaxed: bool = False) -> Iterator[None]:
        """All of the block, or nothing of it. Raises apsw.BusyError where another process writes for too long."""
        self.begin(relaxed=relaxed)
        try:
            yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    def begin(self, *, patient: bool = True, relaxed: bool = False) -> None:
        """Begin; `commit` or `roll_back` must follow. Raises apsw.BusyError where another process writes: at once, or
        after the store's busy time if `patient`."""
        if patient is not self._patient:
            self._connection.set_busy_timeout(self._busy_milliseconds if patient else 0)
            self._patient = patient
        if relaxed is not self._relaxed and self._synced:
            self._connection.pragma("synchronous", "NORMAL" if relaxed else "FULL")
            self._relaxed = relaxed
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it so. Where that raises, `roll_back` must follow."""
        started = self._clock.monotonic()
        self._connection.execute("COMMIT")
        if not self._relaxed:
            self._commit_seconds.append(self._clock.monotonic() - started)

    def roll_back(self) -> None:
        """Undo it; some errors have made SQLite do so already."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # -- the disk --------------------------------------------------------------------------------------------------

    @property
    def median_commit_seconds(self) -> float:
        """How long the last commits took, in the middle."""
        seconds = sorted(self._commit_seconds)
        return seconds[len(seconds) // 2] if seconds else 0.0

    def checkpoint(self) -> None:
        """Copy back into the file what the log holds, as far as no reader still needs it there."""
        with suppress(apsw.BusyError):  # another process does just that
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Close the connection; the last one of all processes copies the log back and removes it."""
        self._connection.close()
