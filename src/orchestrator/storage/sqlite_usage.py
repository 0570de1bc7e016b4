"""How many bytes the database holds, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from orchestrator.journal.store_usage import ExecutionBytes, StoreUsage
from orchestrator.types import BlobHash


def usage(connection: apsw.Connection, sql: Mapping[str, str], path: Path) -> StoreUsage:
    """What the whole file holds. Several queries, so that commits in between may make their sums differ a little."""
    notes = dict(connection.execute(sql["note_bytes"]))
    executions = {
        execution_id: ExecutionBytes(appends, size, notes.get(execution_id, 0))
        for execution_id, appends, size in connection.execute(sql["journal_bytes"])
    }
    return StoreUsage(
        executions,
        blob_bytes=connection.execute(sql["all_blob_bytes"]).get,
        file_bytes=_size_of(path),
        free_bytes=connection.pragma("freelist_count") * connection.pragma("page_size"),
        log_bytes=_size_of(Path(f"{path}-wal")),
    )


def blob_bytes(connection: apsw.Connection, sql: Mapping[str, str], blobs: Sequence[BlobHash]) -> dict[BlobHash, int]:
    """What each of these takes; those that are not there are left out."""
    sizes = {blob: connection.execute(sql["blob_bytes"], {"hash": blob}).get for blob in blobs}
    return {blob: size for blob, size in sizes.items() if size is not None}


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
