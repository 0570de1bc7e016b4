"""A store whose process dies at the n-th commit, without a process.

It wraps any store. At that commit, either nothing of the append is written, or all of it but its caller never learns;
the commits before it are written in both cases. From then on every verb raises, so that nothing which the dying life
does in its `finally` blocks reaches the store. The store below lives on and is given to the next life, once `bury` has
made this life's executions those of a dead process.

A run with `at=None` counts the commits; a test then cuts at each of them, before and after.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from orchestrator.clock import SystemClock
from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError, UnknownExecutionError
from orchestrator.journal.store import Append, Batch, Commit, Lease, Message, Note, OnDone, Owner, Query, Store, Summary
from orchestrator.journal.store_usage import StoreUsage
from orchestrator.storage import this_owner
from orchestrator.types import BlobHash, ExecutionId

#: Which side of the commit the death falls on.
When: TypeAlias = Literal["before", "after"]
#: A process that cannot be: Linux gives numbers up to 2**22.
_NO_PID = 2**31 - 1


class SimulatedCrash(BaseException):
    """The process is dead. A BaseException, since nothing may catch it and go on."""

    def __init__(self, at: int, when: When) -> None:
        self.at, self.when = at, when
        super().__init__(f"the process died {when} commit {at} (simulated)")


class CrashingStore:
    """A `Store` that dies at commit `at` (counted from 1; None: never)."""

    def __init__(self, store: Store, at: int | None = None, when: When = "before") -> None:
        #: The commits that it was given, the deadly one included.
        self.commits = 0
        self.dead = False
        #: The append that it died of.
        self.last: Append | None = None
        #: The appends of which this life was told that they are kept.
        self.acknowledged: list[Append] = []
        self.location, self.survives_process = store.location, store.survives_process
        self._inner, self._at, self._when = store, at, when
        self._lock = threading.Lock()
        self._leases: dict[ExecutionId, Lease] = {}

    # -- death -----------------------------------------------------------------------------------------------------

    @property
    def _store(self) -> Store:
        if self.dead:
            raise SimulatedCrash(self.commits, self._when)
        return self._inner

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """Queue an append, or die of it."""
        with self._lock:
            store = self._store
            self.commits += 1
            self._leases[append.lease.execution_id] = append.lease
            if self.commits != self._at:
                return self._watched(append, on_done)
            self.dead, self.last = True, append
            if self._when == "after":
                store.commit(append, self._note_release)
            store.flush()
            raise SimulatedCrash(self.commits, self._when)

    def _watched(self, append: Append, on_done: OnDone | None) -> Commit:
        """A commit of the store below; after the death nobody hears of it."""

        def tell(inner: Commit) -> None:
            self._note_release(inner)
            if inner.error is None and not self.dead:
                self.acknowledged.append(append)
            if on_done is not None and not self.dead:
                on_done(watched)

        watched = _Watched(append, lambda _: self.flush())
        watched.inner = self._inner.commit(append, tell)
        return watched

    def _note_release(self, commit: Commit) -> None:
        """What an append has given back is this life's no more, unless it was claimed again meanwhile."""
        lease = commit.append.lease
        if commit.error is None and commit.append.releases and self._leases.get(lease.execution_id) == lease:
            del self._leases[lease.execution_id]

    def bury(self) -> None:
        """Make what this life had the executions of a process that is gone, so that the next one can claim them."""
        with self._lock:  # a heartbeat that is on its way is over then
            self.dead = True
        for lease in self._leases.values():
            self._inner.release(lease)
        for lease in self._leases.values():
            # never written; taken over already; by an execution of the same key
            with suppress(UnknownExecutionError, OwnedElsewhereError, ConcurrencyBusyError):
                self._inner.claim(lease.execution_id, _ghost_of(lease.owner))

    # -- life ------------------------------------------------------------------------------------------------------

    @property
    def slow(self) -> bool:
        """As the store below."""
        return self._store.slow

    def flush(self, *, blocking: bool = True) -> bool:
        """As the store below."""
        return self._store.flush(blocking=blocking)

    def put_blobs(self, blobs: Iterable[tuple[BlobHash, bytes]]) -> None:
        """As the store below."""
        self._store.put_blobs(blobs)

    def get_blob(self, blob: BlobHash) -> bytes:
        """As the store below."""
        return self._store.get_blob(blob)

    def has_blobs(self, blobs: Sequence[BlobHash]) -> set[BlobHash]:
        """As the store below."""
        return self._store.has_blobs(blobs)

    def read(self, execution_id: ExecutionId, after_position: int = 0) -> Iterator[Batch]:
        """As the store below."""
        return self._store.read(execution_id, after_position)

    def feed(self, after_sequence: int = 0, limit: int = 1000) -> list[Batch]:
        """As the store below."""
        return self._store.feed(after_sequence, limit)

    def find(self, query: Query) -> list[Summary]:
        """As the store below."""
        return self._store.find(query)

    def next_due(self) -> float | None:
        """As the store below."""
        return self._store.next_due()

    def usage(self) -> StoreUsage:
        """As the store below."""
        return self._store.usage()

    def blob_bytes(self, blobs: Sequence[BlobHash]) -> Mapping[BlobHash, int]:
        """As the store below."""
        return self._store.blob_bytes(blobs)

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """As the store below."""
        lease = self._leases[execution_id] = self._store.claim(execution_id, owner, queues=queues)
        return lease

    def extend(self, owner: Owner) -> None:
        """As the store below."""
        with self._lock:
            self._store.extend(owner)

    def release(self, lease: Lease) -> None:
        """As the store below."""
        self._store.release(lease)
        self._leases.pop(lease.execution_id, None)

    def post(self, execution_id: ExecutionId, kind: str, payload: Mapping[str, Any]) -> int:
        """As the store below."""
        return self._store.post(execution_id, kind, payload)

    def inbox(self, execution_id: ExecutionId) -> list[Message]:
        """As the store below."""
        return self._store.inbox(execution_id)

    def posted_since(self, message_id: int) -> Sequence[tuple[int, ExecutionId]]:
        """As the store below."""
        return self._store.posted_since(message_id)

    def note(self, execution_id: ExecutionId, notes: Sequence[Note]) -> None:
        """As the store below."""
        self._store.note(execution_id, notes)

    def notes(self, execution_id: ExecutionId, step_key: str | None = None, after_sequence: int = 0) -> list[Note]:
        """As the store below."""
        return self._store.notes(execution_id, step_key, after_sequence)

    def sync(self) -> None:
        """As the store below."""
        self._store.sync()

    def close(self) -> None:
        """As the store below."""
        self._store.close()


class _Watched(Commit):
    """A commit whose outcome is that of the store below."""

    __slots__ = ("inner",)
    inner: Commit

    @property
    def done(self) -> bool:
        return self.inner.done

    @property
    def error(self) -> BaseException | None:
        return self.inner.error

    def wait(self) -> None:
        self._perform(self)  # raises where the process is dead
        self.inner.wait()


def _ghost_of(owner: Owner) -> Owner:
    """The same owner, as a process of this machine that is gone."""
    return replace(this_owner(SystemClock()), token=owner.token, pid=_NO_PID)
