"""Clauses: commits are queued, flushed by anybody, share transactions, and are told about in order."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from orchestrator.errors import BlobMissingError, ConflictError, LeaseLostError, StoreError
from orchestrator.journal.store import Append, Commit, Store
from orchestrator.status import ExecutionStatus
from orchestrator.testing.store_contract.given import Given, bodies, execution_id, living
from orchestrator.types import BlobHash

X = execution_id("x")


class QueueClauses(Given):
    """`commit`, `flush`, `Commit.wait` and the callback."""

    def test_a_commit_is_done_after_wait_and_not_before_a_flush(self, store: Store) -> None:
        commit = store.commit(self.script().append())
        before = commit.done
        commit.wait()
        assert (before, commit.done, commit.error) == (False, True, None)

    def test_one_flush_performs_all_that_is_queued(self, store: Store) -> None:
        script = self.script()
        commits = [store.commit(script.append(b"%d" % index)) for index in range(1200)]
        assert store.flush()
        assert all(commit.done and commit.error is None for commit in commits)
        assert bodies(store.read(X)) == [b"%d" % index for index in range(1200)]

    def test_a_flush_without_waiting_performs_too(self, store: Store) -> None:
        commit = store.commit(self.script().append())
        assert store.flush(blocking=False)
        assert commit.done

    def test_a_flush_with_nothing_queued_does_nothing(self, store: Store) -> None:
        assert store.flush()
        assert store.flush(blocking=False)

    def test_callbacks_come_in_order_after_the_outcome(self, store: Store) -> None:
        script = self.script()
        told: list[tuple[int, bool]] = []
        for _ in range(600):
            store.commit(script.append(), lambda commit: told.append((commit.append.expected_position, commit.done)))
        store.flush()
        assert told == [(position, True) for position in range(600)]

    def test_a_callback_is_told_of_a_refusal(self, store: Store) -> None:
        script = self.created(store)
        script.position = 9
        errors: list[BaseException | None] = []
        store.commit(script.append(), lambda commit: errors.append(commit.error))
        store.flush()
        assert [type(error) for error in errors] == [ConflictError]

    def test_a_callback_may_commit_and_wait(self, store: Store) -> None:
        script = self.script()
        then: list[Commit] = []

        def go_on(_commit: Commit) -> None:
            following = store.commit(script.append(b"from a callback"))
            following.wait()
            then.append(following)

        store.commit(script.append(b"first"), go_on)
        store.flush()
        assert [commit.done for commit in then] == [True]
        assert bodies(store.read(X)) == [b"first", b"from a callback"]

    def test_a_callback_that_raises_harms_no_other(self, store: Store) -> None:
        script = self.script()
        told: list[str] = []

        def fail(_commit: Commit) -> None:
            raise RuntimeError("a callback at fault")

        store.commit(script.append(), fail)
        store.commit(script.append(), lambda _: told.append("second"))
        store.flush()
        assert told == ["second"]

    def test_the_refused_do_not_disturb_the_others_of_their_group(self, store: Store) -> None:
        scripts = [self.created(store, name) for name in "abcdef"]
        scripts[1].position = 5
        scripts[3].lease = replace(scripts[3].lease, owner=living())
        appends = [script.append(b"second") for script in scripts]
        appends[4] = replace(appends[4], blobs=(BlobHash(bytes(32)),))
        commits = [store.commit(append) for append in appends]
        store.flush()
        errors = [type(commit.error) for commit in commits]
        none = type(None)
        assert errors == [none, ConflictError, none, LeaseLostError, BlobMissingError, none]
        written = [name for name in "abcdef" if len(list(store.read(execution_id(name)))) == 2]
        assert written == ["a", "c", "f"]

    def test_what_cannot_be_written_harms_no_other(self, store: Store) -> None:
        scripts = [self.created(store, name) for name in "abc"]
        appends = [script.append(b"second") for script in scripts]
        appends[1] = replace(appends[1], summary=replace(appends[1].summary, steps_done=2**70))
        commits = [store.commit(append) for append in appends]
        store.flush()
        assert [commit.error is None for commit in (commits[0], commits[2])] == [True, True]
        assert commits[1].error is None or isinstance(commits[1].error, StoreError)

    def test_text_of_any_characters_is_kept(self, store: Store) -> None:
        script = self.created(store)
        store.commit(script.append(message="caf\u00e9 \udcff \x00 \U0001f600", status=ExecutionStatus.FAILED)).wait()
        assert bodies(store.read(X)) == [b"created", b"event"]

    def test_waiting_for_a_refused_commit_raises_each_time(self, store: Store) -> None:
        script = self.created(store)
        script.position = 3
        commit = store.commit(script.append())
        for _ in range(2):
            with pytest.raises(ConflictError):
                commit.wait()

    def test_many_threads_write_one_store(self, store: Store) -> None:
        def write(name: str) -> None:
            script = self.created(store, name)
            for index in range(40):
                store.commit(script.append(b"%d" % index)).wait()

        threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.feed(limit=10_000)) == 16 * 41
        for number in range(16):
            batches = list(store.read(execution_id(f"t{number}")))
            assert [batch.position for batch in batches] == list(range(1, 42))

    def test_a_commit_that_finds_the_lock_taken_is_performed_by_who_has_it(self, store: Store) -> None:
        """The lost wake-up: a flush says False because of a thread that looks at the queue no more."""
        script, rival = self.created(store), self.created(store, "rival")
        for _ in range(200):
            thread = threading.Thread(target=_commit_and_wait, args=(store, rival.append()))
            thread.start()
            commit = store.commit(script.append())
            store.flush(blocking=False)
            thread.join()
            assert commit.done


def _commit_and_wait(store: Store, append: Append) -> None:
    store.commit(append).wait()
