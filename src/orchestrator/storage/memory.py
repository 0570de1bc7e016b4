"""Journals in memory: the same contract as a database, nothing that outlives the process.

What `durability="none"` and most tests run on. It goes through the same queue as every store, so that callbacks come at
the same moments, and it copies nothing but messages: all else that crosses the protocol is frozen.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Any

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError, StoreError
from orchestrator.journal.codec import pack, unpack
from orchestrator.journal.store import Append, Batch, Commit, Lease, Message, Note, OnDone, Owner, Query, Summary
from orchestrator.journal.store_usage import ExecutionBytes, StoreUsage
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage.group_commit import GroupCommit
from orchestrator.storage.memory_index import Index
from orchestrator.storage.note_buffer import AttemptNotes, kept_form, with_gaps
from orchestrator.storage.owners import is_gone
from orchestrator.storage.refusals import missing_blob, refusal, unknown_execution
from orchestrator.storage.selection import UNDER_WAY, Standing, comes_first, matches
from orchestrator.types import BlobHash, ExecutionId


@dataclass(slots=True)
class _Execution:
    """One execution: `number` rises in the order of creation, `owner` is the token of who has it, `position` is where
    its journal ends."""

    number: int
    summary: Summary
    owner: str | None
    epoch: int = 1
    position: int = 0
    batches: list[Batch] = field(default_factory=list)
    inbox: dict[int, tuple[float, str, bytes]] = field(default_factory=dict)


class MemoryStore:
    """A store in this process's memory."""

    location = "memory:"
    survives_process = False
    slow = False

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # guards all below; the queue's writer lock is taken before it, never after
        self._group = GroupCommit(self._perform)
        self._executions: dict[ExecutionId, _Execution] = {}
        self._numbered: list[_Execution] = []
        # As in `sql/schema.sql`: what waits, by time; what queues and what has begun, by key and age.
        self._waiting, self._queues, self._begun = Index(), Index(), Index()
        self._owners: dict[str, tuple[Owner, float]] = {}
        self._feed: list[Batch] = []
        self._blobs: dict[BlobHash, bytes] = {}
        self._notes: dict[ExecutionId, dict[tuple[str, int], AttemptNotes]] = {}
        self._last_message = self._last_note = 0
        #: The messages that stand in an inbox, in the order of their ids, and whose it is.
        self._posted: dict[int, ExecutionId] = {}

    # -- the journal -----------------------------------------------------------------------------------------------

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """Queue an append."""
        return self._group.commit(append, on_done)

    def flush(self, *, blocking: bool = True) -> bool:
        """Perform what is queued."""
        return self._group.flush(blocking=blocking)

    def _perform(self, appends: Sequence[Append], _patient: bool) -> list[StoreError | None]:
        with self._lock:
            return [self._append(append) for append in appends]

    def _append(self, append: Append) -> StoreError | None:
        execution = self._executions.get(append.lease.execution_id)
        missing = next((blob for blob in append.blobs if blob not in self._blobs), None)
        error = missing_blob(missing, append.lease.execution_id) if missing else _refusal(append, execution)
        if error is None:
            self._write(append, execution or self._create(append))
        return error

    def _create(self, append: Append) -> _Execution:
        owner = append.lease.owner
        self._owners[owner.token] = (owner, self._clock.time())
        execution = _Execution(len(self._numbered), append.summary, owner.token)
        self._executions[append.lease.execution_id] = execution
        self._numbered.append(execution)
        return execution

    def _write(self, append: Append, execution: _Execution) -> None:
        position = append.expected_position + 1
        batch = Batch(len(self._feed) + 1, append.lease.execution_id, position, append.count, append.body)
        self._feed.append(batch)
        execution.batches.append(batch)
        execution.position += append.count
        for message_id in append.taken:
            if execution.inbox.pop(message_id, None) is not None:
                del self._posted[message_id]
        self._change(execution, append.summary, None if append.releases else execution.owner)
        if append.releases:
            self._wake(execution, append.seen)

    def _change(self, execution: _Execution, summary: Summary, owner: str | None) -> None:
        """The one way to change what the indexes go by."""
        execution.summary, execution.owner = summary, owner
        number, due, status = execution.number, summary.next_due, summary.status
        by_key = (summary.concurrency_key, summary.created_at)
        has_begun = owner is not None or status in UNDER_WAY
        self._waiting.put(number, None if due is None or owner is not None else (None, due))
        self._queues.put(number, by_key if status is ExecutionStatus.PENDING and owner is None else None)
        self._begun.put(number, by_key if has_begun and summary.concurrency_key is not None else None)

    def _wake(self, execution: _Execution, seen: int) -> None:
        """Due now, where it waits and a message came that its last owner did not know of."""
        now, due = self._clock.time(), execution.summary.next_due
        has_mail = next(reversed(execution.inbox), 0) > seen
        if execution.owner is None and due is not None and due > now and has_mail:
            self._change(execution, replace(execution.summary, next_due=now), None)

    def read(self, execution_id: ExecutionId, after_position: int = 0) -> Iterator[Batch]:
        """The journal of one execution from there on; nothing where there is none."""
        with self._lock:
            execution = self._executions.get(execution_id)
            batches = execution.batches[:] if execution else []
        return (batch for batch in batches if batch.position + batch.count - 1 > after_position)

    def feed(self, after_sequence: int = 0, limit: int = 1000) -> list[Batch]:
        """What was committed after that, over all executions."""
        with self._lock:
            return self._feed[after_sequence : after_sequence + limit]

    # -- blobs -----------------------------------------------------------------------------------------------------

    def put_blobs(self, blobs: Iterable[tuple[BlobHash, bytes]]) -> None:
        """Keep these bytes under their hash."""
        for blob, data in blobs:
            self._blobs.setdefault(blob, bytes(data))

    def get_blob(self, blob: BlobHash) -> bytes:
        """The bytes kept under a hash."""
        data = self._blobs.get(blob)
        if data is None:
            raise missing_blob(blob)
        return data

    def has_blobs(self, blobs: Sequence[BlobHash]) -> set[BlobHash]:
        """Which of these the store holds."""
        return {blob for blob in blobs if blob in self._blobs}

    # -- listings and leases ---------------------------------------------------------------------------------------

    def find(self, query: Query) -> list[Summary]:
        """The summaries that match."""
        with self._lock:
            found = (summary for e in self._candidates(query) if matches(summary := self._shown(e), query))
            return [*islice(found, query.limit)]

    def _candidates(self, query: Query) -> Iterable[_Execution]:
        """All that may match, in the order in which they are wanted."""
        key, due = query.concurrency_key, query.due_before
        if query.startable:
            return heapq.merge(self._at(self._queues.of()), sorted(self._heads(), key=_age), key=_age)
        if key is not None:
            return heapq.merge(self._at(self._begun.of(key)), self._at(self._queues.of(key)), key=_age)
        if query.execution_id is not None:
            return [e for e in [self._executions.get(ExecutionId(query.execution_id))] if e is not None]
        if due is not None and query.unowned:
            return takewhile(lambda e: _due(e)[0] <= due, self._at(self._waiting.of()))
        if due is not None:
            return sorted(self._executions.values(), key=_due)
        return sorted(self._executions.values(), key=_age, reverse=True)

    def _at(self, numbers: Iterable[int]) -> Iterator[_Execution]:
        return (self._numbered[number] for number in numbers)

    def _heads(self) -> Iterator[_Execution]:
        """The first of each queue that has a key, where none of that key is under way."""
        for key in self._queues.groups():
            if not any(e.summary.status in UNFINISHED for e in self._at(self._begun.of(key))):
                yield from islice(self._at(self._queues.of(key)), 1)

    def next_due(self) -> float | None:
        """When the first execution that waits and that nobody has is due."""
        with self._lock:
            waiting = (execution.summary for execution in self._at(self._waiting.of()))
            return next((s.next_due for s in waiting if s.status is ExecutionStatus.PAUSED), None)

    def usage(self) -> StoreUsage:
        """How many bytes it holds, and for whom."""
        with self._lock:
            executions = {id: self._bytes_of(id, execution) for id, execution in self._executions.items()}
            return StoreUsage(executions, sum(map(len, self._blobs.values())))

    def _bytes_of(self, execution_id: ExecutionId, execution: _Execution) -> ExecutionBytes:
        attempts = self._notes.get(execution_id, {}).values()
        return ExecutionBytes(
            len(execution.batches),
            sum(len(batch.body) for batch in execution.batches),
            sum(len(n.text.encode()) + len(n.step_key.encode()) for kept in attempts for n, _ in kept.rows()),
        )

    def blob_bytes(self, blobs: Sequence[BlobHash]) -> Mapping[BlobHash, int]:
        """How many bytes each of these takes."""
        return {blob: len(self._blobs[blob]) for blob in blobs if blob in self._blobs}

    def _shown(self, execution: _Execution) -> Summary:
        if execution.owner is None:
            return execution.summary
        owner, heartbeat = self._owners[execution.owner]
        return replace(execution.summary, owner=str(owner), abandoned=self._is_gone(owner, heartbeat))

    def _is_gone(self, owner: Owner, heartbeat: float) -> bool:
        return is_gone(owner, heartbeat_age_seconds=self._clock.time() - heartbeat)

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """Take an execution that nobody living has."""
        with self._group.writing(), self._lock:
            execution = self._known(execution_id)
            previous, heartbeat = self._owners.get(execution.owner or "", (None, 0.0))
            if previous and (previous.token == owner.token or not self._is_gone(previous, heartbeat)):
                raise OwnedElsewhereError(execution_id, str(previous))
            key = execution.summary.concurrency_key
            if queues and key is not None and (holder := self._barred_by(execution)) is not None:
                raise ConcurrencyBusyError(execution_id, key, holder)
            self._owners[owner.token] = (owner, self._clock.time())
            self._change(execution, execution.summary, owner.token)
            execution.epoch += 1
            return Lease(execution_id, owner, execution.epoch, previous)

    def _barred_by(self, execution: _Execution) -> ExecutionId | None:
        """Which other execution of its concurrency key comes first."""
        key = execution.summary.concurrency_key
        begun = map(self._standing, self._at(self._begun.of(key)))
        queued = next(map(self._standing, self._at(self._queues.of(key))), None)
        return comes_first(self._standing(execution), begun, queued)

    def _standing(self, execution: _Execution) -> Standing:
        return Standing.of(self._shown(execution), execution.number)

    def extend(self, owner: Owner) -> None:
        """The heartbeat."""
        with self._lock:
            if owner.token in self._owners:
                self._owners[owner.token] = (owner, self._clock.time())

    def release(self, lease: Lease) -> None:
        """Give an execution back."""
        with self._group.writing(), self._lock:
            execution = self._executions.get(lease.execution_id)
            if execution and (execution.epoch, execution.owner) == (lease.epoch, lease.owner.token):
                self._change(execution, execution.summary, None)
                self._wake(execution, seen=0)

    def _known(self, execution_id: ExecutionId) -> _Execution:
        execution = self._executions.get(execution_id)
        if execution is None:
            raise unknown_execution(execution_id, self.location, self._executions)
        return execution

    # -- messages and notes ----------------------------------------------------------------------------------------

    def post(self, execution_id: ExecutionId, kind: str, payload: Mapping[str, Any]) -> int:
        """Put a message into the inbox of an execution."""
        packed = pack(dict(payload))
        with self._group.writing(), self._lock:
            execution = self._known(execution_id)
            self._last_message += 1
            execution.inbox[self._last_message] = (self._clock.time(), kind, packed)
            self._posted[self._last_message] = execution_id
            self._wake(execution, self._last_message - 1)
            return self._last_message

    def inbox(self, execution_id: ExecutionId) -> list[Message]:
        """The messages that no event stands for yet."""
        with self._lock:
            execution = self._executions.get(execution_id)
            posted = list(execution.inbox.items()) if execution else []
        return [Message(id, execution_id, at, kind, unpack(packed)) for id, (at, kind, packed) in posted]

    def posted_since(self, message_id: int) -> Sequence[tuple[int, ExecutionId]]:
        """Which newer messages stand in an inbox, and whose it is."""
        with self._lock:
            newest_first = takewhile(lambda posted: posted[0] > message_id, reversed(self._posted.items()))
            return [*newest_first][::-1]

    def note(self, execution_id: ExecutionId, notes: Sequence[Note]) -> None:
        """Keep progress and output lines, within the bounds."""
        with self._lock:
            attempts = self._notes.setdefault(execution_id, {})
            for note in notes:
                self._last_note += 1
                kept = attempts.setdefault((note.step_key, note.attempt), AttemptNotes())
                kept.add(kept_form(note, self._last_note))

    def notes(self, execution_id: ExecutionId, step_key: str | None = None, after_sequence: int = 0) -> list[Note]:
        """The notes of an execution or of one step, in order."""
        with self._lock:
            attempts = self._notes.get(execution_id, {}).items()
            rows = [row for key, kept in attempts if step_key in (None, key[0]) for row in kept.rows()]
        rows = sorted((row for row in rows if row[0].sequence > after_sequence), key=lambda row: row[0].sequence)
        return list(with_gaps(rows))

    # -- the end ---------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """There is no disk."""
        self.flush()

    def close(self) -> None:
        """Perform what is queued. What it holds goes with the object."""
        self.flush()


def _refusal(append: Append, execution: _Execution | None) -> StoreError | None:
    if execution is None:
        return refusal(append, None)
    return refusal(append, execution.position, execution.epoch, execution.owner)


def _age(execution: _Execution) -> tuple[float, int]:
    return execution.summary.created_at, execution.number


def _due(execution: _Execution) -> tuple[float, int]:
    due = execution.summary.next_due
    return math.inf if due is None else due, execution.number
