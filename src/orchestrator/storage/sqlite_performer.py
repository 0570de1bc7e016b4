"""One group, one transaction, and what becomes of it when that fails.

What is wrong with the store (a full disk, a lock) is every append's fate. What is wrong with one append (text that is
no text, a number of 70 bits, a value of two gigabytes) is found in the middle: then all is rolled back, and each append
gets a transaction of its own. Nothing is caught here that is neither: it would be a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apsw

from orchestrator.clock import Clock
from orchestrator.errors import StoreError
from orchestrator.journal.store import Append
from orchestrator.storage.note_buffer import NoteBuffer
from orchestrator.storage.sqlite_append import write_group
from orchestrator.storage.sqlite_mark import Mark
from orchestrator.storage.sqlite_notes import write_notes
from orchestrator.storage.sqlite_writer import Writer

#: What is wrong with one append, rather than with the store.
_UNWRITABLE = (ValueError, TypeError, OverflowError, apsw.TooBigError, apsw.ConstraintError, apsw.MismatchError)


class Performer:
    """Performs groups for a store's queue, under its writer lock; notes that wait ride along.

    `mark` is told how far the store has come; None for a store whose commits are not on the disk when they return.
    """

    def __init__(
        self,
        writer: Writer,
        notes: NoteBuffer,
        clock: Clock,
        explained: Callable[[apsw.Error], StoreError],
        mark: Mark | None = None,
    ) -> None:
        self._writer, self._notes, self._clock, self._explained = writer, notes, clock, explained
        self._mark = mark
        #: Transactions that carried appends.
        self.transactions = 0

    def perform(self, appends: Sequence[Append], patient: bool) -> Sequence[StoreError | None] | None:
        """An outcome for each; None where another process holds the store and `patient` is False."""
        try:
            return self._together(appends, patient)
        except apsw.BusyError as exc:
            return [self._explained(exc)] * len(appends) if patient else None
        except _UNWRITABLE:
            return [self._alone(append) for append in appends]
        except apsw.Error as exc:
            return [self._explained(exc)] * len(appends)

    def _together(self, appends: Sequence[Append], patient: bool) -> list[StoreError | None]:
        """The hot path: a `with` block here would cost a hundredth of a commit."""
        writer = self._writer
        writer.begin(patient=patient, relaxed=not appends)
        try:
            outcomes = write_group(writer, appends, self._clock.time())
            newest = writer.last_number if appends else 0
            if self._notes:
                write_notes(writer, self._notes.take())
            writer.commit()
        except BaseException:
            writer.roll_back()
            raise
        self.transactions += bool(appends)
        if self._mark is not None and newest and None in outcomes:
            self._mark.put(newest)
        return outcomes

    def _alone(self, append: Append) -> StoreError | None:
        try:
            with self._writer.transaction():
                (outcome,) = write_group(self._writer, [append], self._clock.time())
        except _UNWRITABLE as exc:
            return StoreError(f"an append to {append.lease.execution_id} cannot be written as it is: {exc}")
        except apsw.Error as exc:
            return self._explained(exc)
        self.transactions += 1
        return outcome
