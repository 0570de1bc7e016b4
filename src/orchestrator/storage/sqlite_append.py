"""What one group of appends does in its transaction.

An append that is refused has changed nothing, because all that can refuse it is asked before anything is written; so it
does not disturb the others of its group. In the ordinary case an append is one UPDATE of the execution's row, which
checks position, epoch and owner at once, and one row of the journal. Why one is refused is looked up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.errors import StoreError
from orchestrator.journal.store import Append, Summary
from orchestrator.storage.note_buffer import storable
from orchestrator.storage.refusals import missing_blob, refusal
from orchestrator.storage.sqlite_leases import keep_owner, release
from orchestrator.storage.sqlite_writer import Writer


def write_group(writer: Writer, appends: Sequence[Append], now: float) -> list[StoreError | None]:
    """Write the appends in order; for each, None or why it was refused."""
    outcomes: list[StoreError | None] = []
    journal: list[tuple[int, int, int, bytes]] = []
    for append in appends:
        admitted = _admit(writer, append, now)
        if isinstance(admitted, StoreError):
            outcomes.append(admitted)
            continue
        outcomes.append(None)
        journal.append((admitted, append.expected_position + 1, append.count, append.body))
        if append.releases:
            release(writer, append.lease)
        for message_id in append.taken:
            writer.run("take_message", {"id": message_id, "execution": admitted})
        if append.releases and append.summary.next_due is not None:
            writer.run("wake", {"execution_id": append.lease.execution_id, "seen": append.seen, "now": now})
    writer.many("append", journal)
    return outcomes


def _admit(writer: Writer, append: Append, now: float) -> int | StoreError:
    """The number of the execution whose row now stands after the append, or why the append is refused."""
    for blob in append.blobs:
        if writer.row("blob_is_here", {"hash": blob}) is None:
            return missing_blob(blob, append.lease.execution_id)
    if append.expected_position == 0:
        return _refusal(writer, append) or _create(writer, append, now)
    return _advance(writer, append)


def _advance(writer: Writer, append: Append) -> int | StoreError:
    lease, summary = append.lease, append.summary
    where = {"expected": append.expected_position, "epoch": lease.epoch, "token": lease.owner.token}
    row = writer.row("advance", {"execution_id": lease.execution_id, **where, **_counts(append)})
    if row is None:
        return _refusal(writer, append) or StoreError(f"the row of execution {lease.execution_id} cannot be changed")
    number, *before = row
    after = _classes(summary)
    if before != list(after.values()):
        writer.run("reclassify", {"id": number, **after})
    return int(number)


def _create(writer: Writer, append: Append, now: float) -> int:
    lease, summary = append.lease, append.summary
    names = {"execution_id": lease.execution_id, "pipeline_id": summary.pipeline_id, "created_at": summary.created_at}
    owner = keep_owner(writer, lease.owner, now)
    return int(writer.only_row("create", {**names, **_counts(append), **_classes(summary), "owner": owner})[0])


def _counts(append: Append) -> dict[str, Any]:
    """What nearly every append changes."""
    summary = append.summary
    return {
        "count": append.count,
        "updated_at": summary.updated_at,
        "steps_total": summary.steps_total,
        "steps_done": summary.steps_done,
        "steps_failed": summary.steps_failed,
        "message": storable(summary.message),
    }


def _classes(summary: Summary) -> dict[str, Any]:
    """What few appends change, in the order in which `advance` gives it."""
    return {
        "status": summary.status,
        "next_due": summary.next_due,
        "priority": summary.priority,
        "concurrency_key": summary.concurrency_key,
    }


def _refusal(writer: Writer, append: Append) -> StoreError | None:
    row = writer.row("standing", {"execution_id": append.lease.execution_id})
    return refusal(append, *row) if row else refusal(append, None)
