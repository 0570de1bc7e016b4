"""Where the bytes are: of a store by execution, of an execution by step and by variable.

Three things take room: the rows of the journal, the large values that were cut out of them (`blobs`), and the notes.
A row may hold events of several steps and is compressed as a whole; its bytes are shared out by how long its events are
before compression, so that the parts add up to the file's. A large value lies in the store once, however many refer to
it: everybody who does is said to hold it, and how much of that is held by others too stands beside it. So sums over
lines count a shared value several times, and the sum of the whole counts it once.

Who refers to a value stands in the events alone. In a store with large values every journal is read for it,
in one without none is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.journal.records import blobs_in
from orchestrator.journal.store import Store
from orchestrator.journal.store_usage import StoreUsage
from orchestrator.types import BlobHash, ExecutionId

#: Appends that are read of the feed at a time.
_PAGE_APPENDS = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one execution, step or variable takes, in bytes as they lie in the store.

    `count` is its appends, events or versions. `shared_bytes` is the part of `value_bytes` that others of its kind, or
    other executions, hold as well. An empty `name` is the execution itself: what belongs to no step.
    """

    name: str
    count: int
    journal_bytes: int
    value_bytes: int = 0
    shared_bytes: int = 0
    note_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it, what is shared included."""
        return self.journal_bytes + self.value_bytes + self.note_bytes


@dataclass(frozen=True, slots=True)
class Usages:
    """The executions of a store, largest first, and the store as a whole.

    `unused_bytes` is what large values take that no event refers to: a process died before its commit.
    """

    executions: Sequence[Usage]
    store: StoreUsage
    unused_bytes: int = 0


def usage_of_store(store: Store) -> Usages:
    """What each execution of a store takes. Raises DecodeError where a journal is damaged."""
    whole = store.usage()
    holders = holders_of(store) if whole.blob_bytes else {}
    sizes = store.blob_bytes(list(holders))
    value_bytes, shared_bytes = Counter[ExecutionId](), Counter[ExecutionId]()
    for blob, executions in holders.items():
        for execution_id in executions:
            value_bytes[execution_id] += sizes.get(blob, 0)
            shared_bytes[execution_id] += sizes.get(blob, 0) if len(executions) > 1 else 0
    usages = [
        Usage(id, found.appends, found.journal_bytes, value_bytes[id], shared_bytes[id], found.note_bytes)
        for id, found in whole.executions.items()
    ]
    return Usages(largest_first(usages), whole, max(0, whole.blob_bytes - sum(sizes.values())))


def holders_of(store: Store) -> Mapping[BlobHash, set[ExecutionId]]:
    """Which executions refer to each large value."""
    holders: defaultdict[BlobHash, set[ExecutionId]] = defaultdict(set)
    after = 0
    while batches := store.feed(after, _PAGE_APPENDS):
        after = batches[-1].sequence
        for batch in batches:
            for blob in blobs_in(batch.body):
                holders[blob].add(batch.execution_id)
    return holders


def largest_first(usages: Iterable[Usage]) -> Sequence[Usage]:
    """In the order in which people look for them; of equals by name."""
    return sorted(usages, key=lambda usage: (-usage.total_bytes, usage.name))
