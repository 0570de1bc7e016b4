"""What a store says of the bytes that it holds: plain records, which cross the `Store` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.types import ExecutionId


@dataclass(frozen=True, slots=True)
class ExecutionBytes:
    """One execution: the appends of its journal and their bytes, the bytes of its notes."""

    appends: int = 0
    journal_bytes: int = 0
    note_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """A whole store. Bytes are those that are kept, so that a value that compresses counts as it lies there.

    `blob_bytes` counts each large value once. A store without a file says 0 of what a file has: `file_bytes` is its
    size, `free_bytes` what of it waits to be used again, `log_bytes` the write-ahead log beside it.
    """

    executions: Mapping[ExecutionId, ExecutionBytes]
    blob_bytes: int = 0
    file_bytes: int = 0
    free_bytes: int = 0
    log_bytes: int = 0
