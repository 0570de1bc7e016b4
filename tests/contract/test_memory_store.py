"""The memory store keeps the contract of every store."""

from __future__ import annotations

from pathlib import Path

from orchestrator.clock import Clock
from orchestrator.journal.store import Store
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        return MemoryStore(clock)

    def test_it_says_that_nothing_survives(self, store: Store) -> None:
        assert not store.survives_process
        assert not store.slow
        assert store.location == "memory:"
