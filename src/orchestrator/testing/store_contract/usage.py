"""Clauses: how many bytes a store says it holds."""

from __future__ import annotations

from orchestrator.journal.store import Note, Store
from orchestrator.journal.store_usage import ExecutionBytes
from orchestrator.testing.store_contract.blobs import hash_of, noise
from orchestrator.testing.store_contract.given import Given, execution_id


class UsageClauses(Given):
    """`usage` and `blob_bytes`."""

    def test_an_empty_store_holds_nothing(self, store: Store) -> None:
        usage = store.usage()
        assert usage.executions == {}
        assert usage.blob_bytes == 0

    def test_appends_and_their_bytes_are_counted_by_execution(self, store: Store) -> None:
        script = self.created(store, "a")
        store.commit(script.append(b"x" * 1000, count=3)).wait()
        self.created(store, "b")
        created = len(b"created")
        assert store.usage().executions == {
            execution_id("a"): ExecutionBytes(2, created + 1000),
            execution_id("b"): ExecutionBytes(1, created),
        }

    def test_notes_are_counted_as_they_are_kept(self, store: Store) -> None:
        self.created(store, "a")
        store.note(execution_id("a"), [Note("load", 1, 1.0, "stdout", "é" * 10), Note("load", 1, 2.0, "stdout", "")])
        assert store.usage().executions[execution_id("a")].note_bytes == 10 * len("é".encode()) + 2 * len("load")

    def test_a_large_value_counts_once_however_many_refer_to_it(self, store: Store) -> None:
        data = noise(3 * 1024 * 1024)
        for name in ("a", "b"):
            script = self.created(store, name)
            store.put_blobs([(hash_of(data), data)])
            store.commit(script.append(b"with", blobs=(hash_of(data),))).wait()
        assert store.usage().blob_bytes == len(data)

    def test_the_bytes_of_given_values(self, store: Store) -> None:
        small, large, missing = noise(1000), noise(2 * 1024 * 1024 + 1), b"nowhere"
        store.put_blobs([(hash_of(data), data) for data in (small, large)])
        found = store.blob_bytes([hash_of(data) for data in (small, large, missing)])
        assert found == {hash_of(small): len(small), hash_of(large): len(large)}
        assert store.usage().blob_bytes == len(small) + len(large)
        assert store.blob_bytes([]) == {}
