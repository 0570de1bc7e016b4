"""What a store must offer: the `Store` protocol and the plain records that cross it.

A store keeps bytes in order; it knows nothing of events. Its unit is the *append*: one or more encoded events of one
execution, written at an expected position, under a lease, together with the execution's summary row: all of it or
nothing. The contract that every store must pass is `orchestrator.testing.store_contract.StoreContract`.

A commit is queued by `commit` and performed by whoever flushes first. `Commit.wait` flushes on the caller's own thread,
so that a lone commit pays for no hand-over, and threads that wait at the same time share one transaction: the first
to take the writer lock performs what all of them queued. An event loop queues, then flushes once per pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from orchestrator.journal.store_usage import StoreUsage
from orchestrator.status import ExecutionStatus
from orchestrator.types import BlobHash, ExecutionId


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that runs executions. `started` is its start time in the kernel's clock ticks (0 where unknown).

    Host, boot, pid and start time together name one process for ever; `token` is unique and also marks its children.
    """

    token: str
    host: str
    boot_id: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one owner to write one execution. `epoch` rises with every claim and is checked in every commit.

    `previous` is the dead owner it was taken from, whose children may still be there.
    """

    execution_id: ExecutionId
    owner: Owner
    epoch: int
    previous: Owner | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The row that listings read.

    An execution that waits is PAUSED and has a `next_due`: when it is to be woken (seconds since the epoch), infinity
    where it waits for a message alone. One that a person paused has none. Of the executions with one `concurrency_key`
    one at a time is under way; see `Store.claim`.
    """

    execution_id: ExecutionId
    pipeline_id: str
    status: ExecutionStatus
    created_at: float
    updated_at: float
    steps_total: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    message: str = ""
    next_due: float | None = None
    priority: int = 0
    concurrency_key: str | None = None
    #: Filled in by `find`: the owner that has it now, and whether that process is known to be gone.
    owner: str | None = None
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """One or more encoded events of one execution.

    `body` holds `count` events (see codec.encode_entries), the first at `expected_position + 1`. At
    `expected_position` 0 it creates the execution, owned by `lease.owner` at epoch 1, whatever the concurrency key; so
    one with a key is to be created with `releases`, and claimed. Every hash of `blobs` must be in the store already.

    `taken` are the inbox messages that these events stand for; they leave the inbox with the commit. `releases` gives
    the execution back with it. Where it waits from then on, and the inbox holds a message that came after `seen` (the
    id of the newest one that the writer has looked at), it is due at once: nobody was told of that message.
    """

    lease: Lease
    expected_position: int
    count: int
    body: bytes
    summary: Summary
    blobs: tuple[BlobHash, ...] = ()
    taken: tuple[int, ...] = ()
    releases: bool = False
    seen: int = 0


class Commit:
    """An append on its way to the store. Done when it is durable, or refused with an error.

    `on_done` is called once, when the outcome is known, on the thread that performs the commit and with no lock held;
    callbacks of one store come in the order of its commits. It is given before the append is queued, so that it cannot
    come too late.
    """

    __slots__ = ("_done", "_error", "_on_done", "_perform", "append")

    def __init__(self, append: Append, perform: Callable[[Any], object], on_done: OnDone | None = None) -> None:
        self.append = append
        self._perform, self._on_done = perform, on_done
        self._done = False
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._done

    @property
    def error(self) -> BaseException | None:
        """Why it was refused; None while under way and where it succeeded."""
        return self._error

    def wait(self) -> None:
        """Perform it on this thread, or let the thread that is already at it do so; raises why it was refused.

        The callback may still be on its way.
        """
        if not self._done:
            self._perform(self)
        if self._error is not None:
            raise self._error

    def decide(self, error: BaseException | None) -> None:
        """For stores, under their lock: the outcome. From here on it is done."""
        self._error = error
        self._done = True

    def tell(self) -> None:
        """For stores, after `decide` and with no lock held: call back."""
        if self._on_done is not None:
            self._on_done(self)


#: Is called with a commit whose outcome is known.
OnDone: TypeAlias = Callable[[Commit], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one append left in the journal: `count` events from `position` on; `sequence` rises over the whole store."""

    sequence: int
    execution_id: ExecutionId
    position: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """Progress or a line of output of one attempt. `kind` is progress, stdout, stderr or log; `fraction` is 0 to 1."""

    step_key: str
    attempt: int
    at: float
    kind: str
    text: str
    fraction: float | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """Something posted to an execution from outside: a signal, a cancel, an answer."""

    id: int
    execution_id: ExecutionId
    at: float
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """Which summaries `find` gives. None and False mean any; what is given must all hold.

    The newest come first; with `concurrency_key` or `startable` the oldest, and else with `due_before` the soonest due.
    Of one moment, what was created first is the older one, and the first to be woken.
    """

    statuses: frozenset[ExecutionStatus] | None = None
    pipeline_id: str | None = None
    execution_id: str | None = None
    #: Those whose `next_due` is not after this time.
    due_before: float | None = None
    #: Those that nobody has, not even a process that is gone.
    unowned: bool = False
    #: Those whose owner is known to be gone, whatever their status: it may have died before it wrote anything.
    abandoned: bool = False
    #: Those that are PENDING, that nobody has, and whose turn it is: of each concurrency key one at most.
    startable: bool = False
    #: Those of this key that are unfinished: who is under way, and who queues.
    concurrency_key: str | None = None
    limit: int | None = 50


class Store(Protocol):
    """Where journals live. Every method may be called from any thread."""

    #: What a person would call it: a path, an address without credentials.
    location: str
    #: Whether what it holds outlives this process.
    survives_process: bool

    @property
    def slow(self) -> bool:
        """Whether commits take so long (median above 2 ms) that an event loop should not make them itself."""
        ...

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """Queue an append. It is refused with ConflictError, LeaseLostError or BlobMissingError, alone in its group."""
        ...

    def flush(self, *, blocking: bool = True) -> bool:
        """Perform what is queued. With `blocking=False`: False at once where somebody else holds the writer lock."""
        ...

    def put_blobs(self, blobs: Iterable[tuple[BlobHash, bytes]]) -> None:
        """Keep these bytes under their hash, before the commit that refers to them; known ones cost nothing."""
        ...

    def get_blob(self, blob: BlobHash) -> bytes:
        """The bytes kept under a hash; raises BlobMissingError, and DecodeError where they are damaged."""
        ...

    def has_blobs(self, blobs: Sequence[BlobHash]) -> set[BlobHash]:
        """Which of these the store holds."""
        ...

    def read(self, execution_id: ExecutionId, after_position: int = 0) -> Iterator[Batch]:
        """The journal of one execution from there on, in order, as it stood when the call was made."""
        ...

    def feed(self, after_sequence: int = 0, limit: int = 1000) -> list[Batch]:
        """What was committed after that, over all executions, in order of commit."""
        ...

    def find(self, query: Query) -> list[Summary]:
        """The summaries that match, in the order that `Query` tells."""
        ...

    def next_due(self) -> float | None:
        """When the first execution that waits and that nobody has is due; None where none waits. Cheap."""
        ...

    def usage(self) -> StoreUsage:
        """How many bytes it holds, and for whom. Reads every row's head: for people, not for every step."""
        ...

    def blob_bytes(self, blobs: Sequence[BlobHash]) -> Mapping[BlobHash, int]:
        """How many bytes each of these takes in the store; those that it does not hold are left out."""
        ...

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """Take an execution that nobody living has, and whose turn it is.

        Raises UnknownExecutionError, OwnedElsewhereError, ConcurrencyBusyError. A process that is gone from this very
        boot of this host loses its executions at once, any other when its heartbeat is older than the lease time.
        Claiming what `owner` has already raises OwnedElsewhereError as well.

        One with a concurrency key is refused while another of its key is under way (running or paused, whether anybody
        has it or not; or claimed), or is pending and older. One that is under way itself goes on where it is the
        older of two, unless somebody living has the other: so that of two which began in spite of that one can end.
        `queues=False` asks for no turn: for who is going to end it, not to run it.
        """
        ...

    def extend(self, owner: Owner) -> None:
        """The heartbeat: this owner is alive, for all its executions."""
        ...

    def release(self, lease: Lease) -> None:
        """Give an execution back; without effect where the lease has passed already.

        One that waits, and has any message in its inbox, is due at once.
        """
        ...

    def post(self, execution_id: ExecutionId, kind: str, payload: Mapping[str, Any]) -> int:
        """Put a message into the inbox of an execution, without a lease; gives its id. Raises UnknownExecutionError.

        An execution that waits and that nobody has is due from then on. Ids rise.
        """
        ...

    def inbox(self, execution_id: ExecutionId) -> list[Message]:
        """The messages that no event stands for yet, oldest first."""
        ...

    def posted_since(self, message_id: int) -> Sequence[tuple[int, ExecutionId]]:
        """Which messages with a higher id stand in an inbox, and whose it is, over all executions, oldest first.

        One statement, which reads what came since and nothing else: so that who runs a thousand executions looks into
        the inboxes that got something.
        """
        ...

    def note(self, execution_id: ExecutionId, notes: Sequence[Note]) -> None:
        """Queue progress and output lines: they ride in the next group commit, or in one write a second.

        Bounded: per attempt the newest `NOTES_KEPT` lines stay, and only the newest progress.
        """
        ...

    def notes(self, execution_id: ExecutionId, step_key: str | None = None, after_sequence: int = 0) -> list[Note]:
        """The notes of an execution or of one step, in order."""
        ...

    def sync(self) -> None:
        """Bring all that was committed to the disk (what `durability="process"` leaves to the end of a command)."""
        ...

    def close(self) -> None:
        """Flush and close. Nothing may be called afterwards; a second close does nothing."""
        ...


#: Output lines kept for each attempt.
NOTES_KEPT = 1000
#: After this many seconds without a heartbeat an owner on another host (or of an unknown kind) counts as dead.
LEASE_SECONDS = 30.0
#: How often an owner says that it lives, in seconds.
HEARTBEAT_SECONDS = 10.0
