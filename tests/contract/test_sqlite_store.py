"""The SQLite store keeps the contract, synced and not."""

from __future__ import annotations

from pathlib import Path

from orchestrator.clock import Clock
from orchestrator.journal.store import Store
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.store_contract import LastingStoreContract


class TestSqliteStore(LastingStoreContract):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        return SqliteStore(folder / "journal.db", clock)


class TestUnsyncedSqliteStore(LastingStoreContract):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        return SqliteStore(folder / "journal.db", clock, synced=False)
