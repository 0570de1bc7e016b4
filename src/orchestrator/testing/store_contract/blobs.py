"""Clauses: large values, by the hash of their bytes."""

from __future__ import annotations

import hashlib
import random
import threading

import pytest

from orchestrator.errors import BlobMissingError
from orchestrator.journal.store import Store
from orchestrator.testing.store_contract.given import Given, bodies, execution_id
from orchestrator.types import BlobHash

MEGABYTE = 1024 * 1024


def hash_of(data: bytes) -> BlobHash:
    """The name of a blob."""
    return BlobHash(hashlib.sha256(data).digest())


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


class BlobClauses(Given):
    """`put_blobs`, `get_blob`, `has_blobs`, and what a commit asks of them."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x",
            b"ab" * 400_000,
            noise(100_000),
            noise(MEGABYTE),
            noise(MEGABYTE + 1),
            noise(2 * MEGABYTE) + bytes(3 * MEGABYTE),
        ],
        ids=["empty", "one", "compressible", "noise", "a part", "a part and a byte", "mixed"],
    )
    def test_what_was_put_comes_back(self, store: Store, data: bytes) -> None:
        store.put_blobs([(hash_of(data), data)])
        assert store.get_blob(hash_of(data)) == data

    def test_a_blob_larger_than_a_transaction_comes_back(self, store: Store) -> None:
        data = noise(20 * MEGABYTE)
        store.put_blobs([(hash_of(data), data)])
        assert hash_of(store.get_blob(hash_of(data))) == hash_of(data)

    def test_many_at_once(self, store: Store) -> None:
        many = [noise(1000, seed) for seed in range(300)]
        store.put_blobs((hash_of(data), data) for data in many)
        assert store.has_blobs([hash_of(data) for data in many]) == {hash_of(data) for data in many}
        assert all(store.get_blob(hash_of(data)) == data for data in many)

    def test_putting_twice_is_putting_once(self, store: Store) -> None:
        data = noise(1000)
        store.put_blobs([(hash_of(data), data), (hash_of(data), data)])
        store.put_blobs([(hash_of(data), data)])
        assert store.get_blob(hash_of(data)) == data

    def test_threads_may_put_the_same(self, store: Store) -> None:
        data = noise(3 * MEGABYTE)
        failed: list[BaseException] = []
        at_once = threading.Barrier(4)

        def put() -> None:
            at_once.wait()
            try:
                store.put_blobs([(hash_of(data), data)])
            except BaseException as exc:  # noqa: BLE001 - looked at below
                failed.append(exc)

        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert store.get_blob(hash_of(data)) == data

    def test_what_is_not_there_is_an_error_that_names_it(self, store: Store) -> None:
        with pytest.raises(BlobMissingError, match=hash_of(b"?").hex()[:16]):
            store.get_blob(hash_of(b"?"))

    def test_which_are_there(self, store: Store) -> None:
        store.put_blobs([(hash_of(b"a"), b"a")])
        assert store.has_blobs([hash_of(b"a"), hash_of(b"b")]) == {hash_of(b"a")}
        assert store.has_blobs([]) == set()

    def test_a_commit_may_refer_to_what_is_there(self, store: Store) -> None:
        script = self.created(store)
        store.put_blobs([(hash_of(b"a"), b"a"), (hash_of(b"b"), b"b")])
        store.commit(script.append(b"with", blobs=(hash_of(b"a"), hash_of(b"b")))).wait()
        assert bodies(store.read(execution_id("x"))) == [b"created", b"with"]

    def test_a_commit_that_refers_to_what_is_not_there_is_refused(self, store: Store) -> None:
        script = self.created(store)
        store.put_blobs([(hash_of(b"a"), b"a")])
        with pytest.raises(BlobMissingError):
            store.commit(script.append(b"with", blobs=(hash_of(b"a"), hash_of(b"b")))).wait()
        assert bodies(store.read(execution_id("x"))) == [b"created"]

    def test_a_creation_that_refers_to_what_is_not_there_is_refused(self, store: Store) -> None:
        with pytest.raises(BlobMissingError):
            self.created(store, blobs=(hash_of(b"b"),))
        self.created(store)
