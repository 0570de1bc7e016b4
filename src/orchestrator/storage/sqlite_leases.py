"""Who has which execution: rows of owners, the epoch that rises with every claim, and whose turn it is."""

from __future__ import annotations

from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError
from orchestrator.journal.store import Lease, Owner
from orchestrator.storage.owners import is_gone
from orchestrator.storage.selection import comes_first
from orchestrator.storage.sqlite_listing import standings
from orchestrator.storage.sqlite_writer import Writer
from orchestrator.types import ExecutionId


def keep_owner(writer: Writer, owner: Owner, now: float) -> int:
    """The number of an owner's row, which is made where it is missing."""
    columns = {"token": owner.token, "host": owner.host, "boot_id": owner.boot_id, "pid": owner.pid}
    return int(writer.only_row("keep_owner", {**columns, "started": owner.started, "now": now})[0])


def claim(writer: Writer, execution_id: ExecutionId, owner: Owner, now: float, queues: bool) -> Lease | None:
    """Take an execution; None where there is none. Raises why it may not. To be called inside a transaction."""
    row = writer.row("holder", {"execution_id": execution_id})
    if row is None:
        return None
    number, key, *holder, heartbeat = row
    previous = Owner(*holder) if holder[0] is not None else None
    if previous is not None and _keeps(previous, owner, now - heartbeat):
        raise OwnedElsewhereError(execution_id, str(previous))
    if queues and key is not None:
        _await_turn(writer, execution_id, key, now)
    epoch = writer.only_row("take", {"id": number, "owner": keep_owner(writer, owner, now)})[0]
    if previous is not None:
        writer.run("forget_owner", {"token": previous.token})
    return Lease(execution_id, owner, epoch, previous)


def _keeps(holder: Owner, claimant: Owner, heartbeat_age_seconds: float) -> bool:
    return holder.token == claimant.token or not is_gone(holder, heartbeat_age_seconds=heartbeat_age_seconds)


def _await_turn(writer: Writer, execution_id: ExecutionId, key: str, now: float) -> None:
    """Raises ConcurrencyBusyError where another execution of this key comes first."""
    (mine,) = standings(writer.rows("find_one", {"execution_id": execution_id}), now)
    begun = standings(writer.rows("find_begun", {"concurrency_key": key}), now)
    queued = standings(writer.rows("queue_head", {"concurrency_key": key}), now)
    holder = comes_first(mine, begun, queued[0] if queued else None)
    if holder is not None:
        raise ConcurrencyBusyError(execution_id, key, holder)


def release(writer: Writer, lease: Lease) -> None:
    """Give an execution back. To be called inside a transaction."""
    token = lease.owner.token
    writer.run("give_back", {"execution_id": lease.execution_id, "epoch": lease.epoch, "token": token})
    writer.run("forget_owner", {"token": token})
