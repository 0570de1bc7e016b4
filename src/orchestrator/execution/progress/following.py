"""Following: what is taken in besides the verbs, from the entries of a context's journal."""

from __future__ import annotations

from orchestrator.execution.progress.book import Book
from orchestrator.execution.progress.protocols import Unsubscribe, WatchedContext
from orchestrator.execution.progress.translation import translated
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord


def take_entry(book: Book, id: str, entry: Entry, total_steps: int, record: ExecutionRecord | None) -> None:
    """Take in an entry of an execution's journal; one that was taken in before changes nothing."""
    book.take(id, lambda ledger: translated(ledger, entry, total_steps, record))


def watch(book: Book, context: WatchedContext) -> Unsubscribe:
    """Follow an execution from where it stands; gives what ends it."""
    id = context.execution_id

    def take(entry: Entry) -> None:
        take_entry(book, id, entry, context.total_steps, context.record)

    with book.lock:  # an entry that comes meanwhile waits, and is then old or new
        unsubscribe = context.subscribe(take)
        book.adopt(context.record, context.total_steps)
    return unsubscribe


class Subscriptions:
    """What is followed now. One that has ended is held no longer. Thread-safe."""

    def __init__(self) -> None:
        #: What ends a subscription, for its user -> the same, at its source.
        self._ends: dict[Unsubscribe, Unsubscribe] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, unsubscribe: Unsubscribe) -> Unsubscribe:
        """Keep a subscription until it is ended; gives what ends it, which may be called again."""

        def end() -> None:
            if (at_source := self._ends.pop(end, None)) is not None:
                at_source()

        self._ends[end] = unsubscribe
        return end

    def end_all(self) -> None:
        """Follow nothing any more."""
        for end in [*self._ends]:
            end()
