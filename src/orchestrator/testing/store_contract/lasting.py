"""Clauses: what outlives the store that wrote it, and what two of them on one place owe each other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from orchestrator.errors import ConflictError, OwnedElsewhereError
from orchestrator.journal.store import Note, Query, Store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.blobs import hash_of, noise
from orchestrator.testing.store_contract.given import Given, bodies, dead, execution_id, living

X = execution_id("x")


class LastingClauses(Given):
    """Opening again, and opening twice."""

    def test_it_says_so(self, store: Store) -> None:
        assert store.survives_process

    def test_all_is_there_again(self, tmp_path: Path, clock: FakeClock) -> None:
        first = self.make_store(tmp_path / "again", clock)
        script = self.created(first)
        data = noise(2_000_000)
        first.put_blobs([(hash_of(data), data)])
        first.commit(script.append(b"second", blobs=(hash_of(data),))).wait()
        first.post(X, "signal", {"a": 1})
        first.note(X, [Note("load", 1, 1.0, "stdout", "a line")])
        first.release(script.lease)
        first.close()
        second = self.make_store(tmp_path / "again", clock)
        try:
            assert bodies(second.read(X)) == [b"created", b"second"]
            assert second.get_blob(hash_of(data)) == data
            assert [m.payload for m in second.inbox(X)] == [{"a": 1}]
            assert [n.text for n in second.notes(X)] == ["a line"]
            assert second.claim(X, living()).epoch == 2
        finally:
            second.close()

    def test_closing_performs_what_is_queued(self, tmp_path: Path, clock: FakeClock) -> None:
        first = self.make_store(tmp_path / "again", clock)
        commit = first.commit(self.script().append(b"queued"))
        first.close()
        assert commit.done
        second = self.make_store(tmp_path / "again", clock)
        assert bodies(second.read(X)) == [b"queued"]
        second.close()

    def test_closing_twice_does_nothing(self, tmp_path: Path, clock: FakeClock) -> None:
        store = self.make_store(tmp_path / "again", clock)
        store.close()
        store.close()

    def test_what_one_commits_another_reads(self, store: Store, tmp_path: Path, clock: FakeClock) -> None:
        other = self.make_store(tmp_path, clock)
        script = self.created(store)
        assert bodies(other.read(X)) == [b"created"]
        assert [batch.position for batch in other.feed()] == [1]
        store.commit(script.append()).wait()
        assert [batch.position for batch in other.feed(after_sequence=other.feed()[0].sequence)] == [2]
        other.close()

    def test_two_stores_do_not_write_one_position(self, store: Store, tmp_path: Path, clock: FakeClock) -> None:
        other = self.make_store(tmp_path, clock)
        script = self.created(store)
        append = script.append(b"once")
        store.commit(append).wait()
        with pytest.raises(ConflictError):
            other.commit(append).wait()
        other.close()

    def test_two_stores_do_not_have_one_execution(self, store: Store, tmp_path: Path, clock: FakeClock) -> None:
        other = self.make_store(tmp_path, clock)
        self.created(store, owner=dead())
        other.claim(X, living())
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, living())
        other.close()

    def test_two_stores_take_turns(self, store: Store, tmp_path: Path, clock: FakeClock) -> None:
        other = self.make_store(tmp_path, clock)

        def write(target: Store, name: str) -> None:
            script = self.created(target, name)
            for _ in range(60):
                target.commit(script.append()).wait()

        threads = [threading.Thread(target=write, args=(s, n)) for s, n in ((store, "x"), (other, "y"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.close()
        assert len(store.feed(limit=1000)) == 122
        assert len(store.find(Query())) == 2

    def test_sync_can_be_asked_for_at_any_time(self, store: Store) -> None:
        store.sync()
        self.created(store)
        store.sync()
        assert bodies(store.read(X)) == [b"created"]
