"""Journals in one SQLite file, which several processes may use at once.

Writes go through one connection, guarded by the writer lock of the store's queue; each is one transaction. Reads have
connections of their own and wait for nobody. What a group of appends does is in `sqlite_append`; the tables, and why
they are as they are, in `sql/schema.sql`.

The library is apsw and never the `sqlite3` of Python: two SQLite libraries in one process drop each other's locks on a
file, and the one that many Pythons bring can damage a write-ahead log that two connections copy back at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import SchemaError, StoreError, UnknownExecutionError
from orchestrator.journal.codec import pack, unpack
from orchestrator.journal.store import Append, Batch, Commit, Lease, Message, Note, OnDone, Owner, Query, Summary
from orchestrator.journal.store_usage import StoreUsage
from orchestrator.storage import sqlite_leases, sqlite_listing, sqlite_usage
from orchestrator.storage.group_commit import GroupCommit
from orchestrator.storage.note_buffer import NoteBuffer, with_gaps
from orchestrator.storage.queries import load_queries
from orchestrator.storage.refusals import missing_blob, unknown_execution
from orchestrator.storage.sqlite_blobs import batches, joined, write_parts
from orchestrator.storage.sqlite_errors import explained
from orchestrator.storage.sqlite_file import open_writer, sync_log
from orchestrator.storage.sqlite_mark import Mark
from orchestrator.storage.sqlite_notes import notes_of, write_notes
from orchestrator.storage.sqlite_performer import Performer
from orchestrator.storage.sqlite_readers import Readers
from orchestrator.storage.sqlite_schema import Schema, load_schema
from orchestrator.storage.sqlite_writer import Writer
from orchestrator.types import BlobHash, ExecutionId

#: How long a write waits for another process before it gives up.
BUSY_SECONDS = 30.0
#: A commit that takes longer than this should not be made by an event loop.
SLOW_SECONDS = 0.002
#: Appends that a reader of a journal fetches at a time.
PAGE_APPENDS = 200


class SqliteStore:
    """A store in an SQLite file. `synced=False` lets commits return before they are on the disk (see `sync`).

    `vfs` names a layer between SQLite and its files that is registered with it (None: its default).
    """

    survives_process = True

    def __init__(
        self,
        path: str | Path,
        clock: Clock | None = None,
        *,
        synced: bool = True,
        busy_seconds: float = BUSY_SECONDS,
        schema: Schema | None = None,
        vfs: str | None = None,
    ) -> None:
        self.location = str(path)
        self._path = Path(path).absolute()
        self._clock = clock or SystemClock()
        self._busy_seconds = busy_seconds
        self._sql = load_queries()
        self._mark = Mark(self._path)
        connection = open_writer(self._path, schema or load_schema(), busy_seconds, vfs)
        noted = self._mark.read()
        self._writer = Writer(connection, self._sql, self._clock, synced=synced, busy_seconds=busy_seconds)
        self._readers = Readers(self._path, busy_seconds, vfs)
        self._notes = NoteBuffer(self._clock)
        self._performer = Performer(
            self._writer, self._notes, self._clock, self._explained, self._mark if synced else None
        )
        self._group = GroupCommit(self._performer.perform, self._notes.due)
        self._closed = False
        if noted:
            self._require_all(noted)

    def _require_all(self, noted: int) -> None:
        """Close, and raise SchemaError, where commits are missing that were on the disk."""
        try:
            with self._readers.one() as connection:
                newest = connection.execute(self._sql["newest"]).get
            self._mark.check(noted, newest or 0)
        except BaseException:
            self.close()
            raise

    # -- commits ---------------------------------------------------------------------------------------------------

    @property
    def slow(self) -> bool:
        """Whether the median of the last commits is above two milliseconds."""
        return self._writer.median_commit_seconds > SLOW_SECONDS

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """Queue an append."""
        return self._group.commit(append, on_done)

    def flush(self, *, blocking: bool = True) -> bool:
        """Perform what is queued, and write notes that have waited long enough."""
        return self._group.flush(blocking=blocking)

    @property
    def transactions(self) -> int:
        """Transactions that carried appends since it was opened: with many writers at once fewer than appends."""
        return self._performer.transactions

    @contextmanager
    def _writing(self, *, relaxed: bool = False) -> Iterator[Writer]:
        """One transaction of another kind. What was queued before it is performed before it."""
        try:
            with self._group.writing(), self._writer.transaction(relaxed=relaxed):
                yield self._writer
        except apsw.Error as exc:
            raise self._explained(exc) from exc

    def _explained(self, error: apsw.Error) -> StoreError:
        return explained(error, self._path, self._busy_seconds)

    # -- blobs -----------------------------------------------------------------------------------------------------

    def put_blobs(self, blobs: Iterable[tuple[BlobHash, bytes]]) -> None:
        """Keep these bytes under their hash. They are on the disk once a commit that refers to them is."""
        new = ((blob, data) for blob, data in blobs if not self.has_blobs([blob]))
        for batch in batches(new):
            with self._writing(relaxed=True) as writer:
                write_parts(writer, batch)

    def get_blob(self, blob: BlobHash) -> bytes:
        """The bytes kept under a hash."""
        state = self._rows("blob_state", {"hash": blob})
        if not state or not state[0][1]:
            raise missing_blob(blob)
        with self._readers.one() as connection:
            return joined(blob, connection.execute(self._sql["blob_parts"], {"id": state[0][0]}))

    def has_blobs(self, blobs: Sequence[BlobHash]) -> set[BlobHash]:
        """Which of these the store holds, whole."""
        with self._readers.one() as connection:
            query = self._sql["blob_is_here"]
            return {blob for blob in blobs if connection.execute(query, {"hash": blob}).fetchall()}

    # -- reading ---------------------------------------------------------------------------------------------------

    def _rows(self, query: str, bindings: apsw.Bindings) -> list[tuple[Any, ...]]:
        with self._readers.one() as connection:
            return connection.execute(self._sql[query], bindings).fetchall()

    def read(self, execution_id: ExecutionId, after_position: int = 0) -> Iterator[Batch]:
        """The journal of one execution from there on; nothing where there is none."""
        for number, last_position in self._rows("journal_end", {"execution_id": execution_id}):
            return self._pages(execution_id, number, last_position, after_position)
        return iter(())

    def _pages(self, execution_id: ExecutionId, number: int, last: int, after: int) -> Iterator[Batch]:
        bindings = {"execution": number, "last": last, "limit": PAGE_APPENDS}
        begun, newest = after, 0
        while after < last:
            page_begins_after = after
            for sequence, position, count, body in self._rows("journal_page", {**bindings, "after": after}):
                numbers = type(position) is int and type(count) is int
                if not numbers or sequence <= newest or not (position <= begun or position == after + 1):
                    raise SchemaError(f"{self.location} is damaged: {execution_id} has no event {after + 1} of {last}")
                newest = sequence
                if position + count - 1 > after:
                    yield Batch(sequence, execution_id, position, count, body)
                    after = position + count - 1
            if after == page_begins_after:
                raise SchemaError(f"{self.location} is damaged: {execution_id} has no event {after + 1} of {last}")

    def feed(self, after_sequence: int = 0, limit: int = 1000) -> list[Batch]:
        """What was committed after that, over all executions."""
        return [Batch(*row) for row in self._rows("feed", {"after": after_sequence, "limit": limit})]

    def find(self, query: Query) -> list[Summary]:
        """The summaries that match."""
        try:
            with self._readers.one() as connection:
                return sqlite_listing.find(connection, self._sql, query, self._clock.time())
        except (ValueError, TypeError) as exc:  # a status that there is not, a text where a number belongs
            raise SchemaError(f"{self.location} is damaged ({exc}); put back a copy of it") from exc

    def next_due(self) -> float | None:
        """When the first execution that waits and that nobody has is due."""
        return next((float(due) for (due,) in self._rows("next_due", ())), None)

    def usage(self) -> StoreUsage:
        """How many bytes it holds, and for whom."""
        self._write_notes()
        with self._readers.one() as connection:
            return sqlite_usage.usage(connection, self._sql, self._path)

    def blob_bytes(self, blobs: Sequence[BlobHash]) -> Mapping[BlobHash, int]:
        """How many bytes each of these takes."""
        with self._readers.one() as connection:
            return sqlite_usage.blob_bytes(connection, self._sql, blobs)

    # -- leases ----------------------------------------------------------------------------------------------------

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """Take an execution that nobody living has.

        It is on the disk with the first commit under this lease: a power failure before that ends the owner as well.
        """
        with self._writing(relaxed=True) as writer:
            lease = sqlite_leases.claim(writer, execution_id, owner, self._clock.time(), queues)
        if lease is None:
            raise self._unknown(execution_id)
        return lease

    def extend(self, owner: Owner) -> None:
        """The heartbeat."""
        with self._writing(relaxed=True) as writer:
            writer.run("heartbeat", {"token": owner.token, "now": self._clock.time()})

    def release(self, lease: Lease) -> None:
        """Give an execution back."""
        with self._writing() as writer:
            sqlite_leases.release(writer, lease)
            writer.run("wake", {"execution_id": lease.execution_id, "seen": 0, "now": self._clock.time()})

    def _unknown(self, execution_id: ExecutionId) -> UnknownExecutionError:
        return unknown_execution(execution_id, self.location, [row[0] for row in self._rows("recent_ids", ())])

    # -- messages and notes ----------------------------------------------------------------------------------------

    def post(self, execution_id: ExecutionId, kind: str, payload: Mapping[str, Any]) -> int:
        """Put a message into the inbox of an execution."""
        where = {"execution_id": execution_id, "now": self._clock.time()}
        packed = pack(dict(payload))
        with self._writing() as writer:
            row = writer.row("post", {**where, "kind": kind, "payload": packed})
            if row is not None:
                writer.run("wake", {**where, "seen": row[0] - 1})
        if row is None:
            raise self._unknown(execution_id)
        return int(row[0])

    def inbox(self, execution_id: ExecutionId) -> list[Message]:
        """The messages that no event stands for yet."""
        rows = self._rows("inbox", {"execution_id": execution_id})
        return [Message(id, execution_id, at, kind, unpack(payload)) for id, at, kind, payload in rows]

    def posted_since(self, message_id: int) -> Sequence[tuple[int, ExecutionId]]:
        """Which newer messages stand in an inbox, and whose it is."""
        return [(int(id), ExecutionId(whose)) for id, whose in self._rows("posted_since", {"after": message_id})]

    def note(self, execution_id: ExecutionId, notes: Sequence[Note]) -> None:
        """Queue progress and output lines."""
        self._notes.add(execution_id, notes)
        if self._notes.due():
            self.flush(blocking=False)

    def notes(self, execution_id: ExecutionId, step_key: str | None = None, after_sequence: int = 0) -> list[Note]:
        """The notes of an execution or of one step, in order, those that still wait included."""
        self._write_notes()
        bindings = {"execution_id": execution_id, "step_key": step_key, "after": after_sequence}
        return list(with_gaps(notes_of(self._rows("notes", bindings))))

    def _write_notes(self) -> None:
        if self._notes:
            with self._writing(relaxed=True) as writer:
                write_notes(writer, self._notes.take())

    # -- the end ---------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring all that was committed to the disk."""
        self._write_notes()
        try:
            with self._group.writing():
                self._writer.checkpoint()
                sync_log(self._path)
        except apsw.Error as exc:
            raise self._explained(exc) from exc

    def close(self) -> None:
        """Perform what is queued, write what waits, close the file. A second close does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._write_notes()
        finally:
            self._readers.close()  # first: the last to close copies the log back, and a reader cannot
            with self._group.writing():
                self._writer.close()
                self._mark.close()
