"""What the fuzzer found in a damaged store's file, made by hand: its inputs depend on where SQLite puts things."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from orchestrator.errors import SchemaError
from orchestrator.journal.store import Append, Lease, Query, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.storage import this_owner
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId

ONE = ExecutionId("one")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one execution."""
    store = SqliteStore(tmp_path / "journal.db", FakeClock())
    summary = Summary(ONE, "p", ExecutionStatus.RUNNING, 1.0, 1.0)
    store.commit(Append(Lease(ONE, this_owner(FakeClock()), 1), 0, 1, b"body", summary)).wait()
    store.close()
    return tmp_path / "journal.db"


@pytest.mark.parametrize("change", ["status = 'runni'", "pipeline_id = CAST(x'ff' AS TEXT)"])
def test_a_listing_of_a_damaged_row_says_so(path: Path, change: str) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("ignore_check_constraints", 1)
    connection.execute(f"UPDATE execution SET {change}")
    connection.close()
    store = SqliteStore(path, FakeClock())
    try:
        with pytest.raises(SchemaError, match="is damaged"):
            store.find(Query())
    finally:
        store.close()
