"""Why a store refuses: decided from facts, in the same way and the same words for every store."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import BlobMissingError, ConflictError, LeaseLostError, StoreError, UnknownExecutionError
from orchestrator.journal.store import Append
from orchestrator.types import BlobHash, ExecutionId


def refusal(append: Append, position: int | None, epoch: int = 0, owner_token: str | None = None) -> StoreError | None:
    """Why this append may not be written to an execution that stands so; `position` is None where there is none."""
    lease, expected = append.lease, append.expected_position
    if position is None:
        return LeaseLostError(lease.execution_id, lease.epoch) if expected else None
    if expected and (epoch, owner_token) != (lease.epoch, lease.owner.token):
        return LeaseLostError(lease.execution_id, lease.epoch)
    return ConflictError(lease.execution_id, expected) if position != expected else None


def missing_blob(blob: BlobHash, execution_id: ExecutionId | None = None) -> BlobMissingError:
    """The error for a blob that is not there; with the execution whose commit refers to it."""
    who = f"a commit of execution {execution_id} refers to blob" if execution_id else "there is no blob"
    return BlobMissingError(f"{who} {blob.hex()[:16]}…, which the store does not hold; put the blobs before the commit")


def unknown_execution(execution_id: str, location: str, known_ids: Iterable[str]) -> UnknownExecutionError:
    """The error for an id that nothing has, with the nearest ones of `known_ids`."""
    import difflib

    nearest = difflib.get_close_matches(execution_id, list(known_ids), n=3, cutoff=0.75)
    return UnknownExecutionError(execution_id, location, nearest)
