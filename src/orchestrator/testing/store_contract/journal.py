"""Clauses: what is written stays, in order, at its position."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import ConflictError, LeaseLostError
from orchestrator.journal.store import Lease, Query, Store
from orchestrator.status import ExecutionStatus
from orchestrator.testing.store_contract.blobs import hash_of, noise
from orchestrator.testing.store_contract.given import Given, bodies, execution_id, living

X, Y = execution_id("x"), execution_id("y")


class JournalClauses(Given):
    """Appends, positions, reading and the feed."""

    def test_what_was_committed_is_read_in_order(self, store: Store) -> None:
        script = self.created(store)
        for index in range(5):
            store.commit(script.append(b"%d" % index)).wait()
        assert bodies(store.read(X)) == [b"created", b"0", b"1", b"2", b"3", b"4"]

    def test_positions_have_no_gaps(self, store: Store) -> None:
        script = self.created(store)
        for count in (3, 1, 2):
            store.commit(script.append(count=count)).wait()
        assert [(b.position, b.count) for b in store.read(X)] == [(1, 1), (2, 3), (5, 1), (6, 2)]

    def test_bodies_are_kept_byte_for_byte(self, store: Store) -> None:
        script = self.created(store)
        body = bytes(range(256)) * 5000
        store.commit(script.append(body)).wait()
        store.commit(script.append(b"")).wait()
        assert bodies(store.read(X)) == [b"created", body, b""]

    @pytest.mark.parametrize(
        ("after", "first"), [(0, 1), (1, 2), (2, 2), (3, 2), (4, 5), (5, 6), (7, None), (99, None)]
    )
    def test_reading_begins_with_the_append_that_holds_the_next_event(
        self, store: Store, after: int, first: int | None
    ) -> None:
        script = self.created(store)
        for count in (3, 1, 2):
            store.commit(script.append(count=count)).wait()
        positions = [batch.position for batch in store.read(X, after)]
        assert positions[:1] == ([] if first is None else [first])
        assert positions == sorted(positions)

    def test_a_reader_sees_the_journal_as_it_stood_at_the_call(self, store: Store) -> None:
        script = self.created(store)
        reader = store.read(X)
        store.commit(script.append(b"later")).wait()
        assert bodies(reader) == [b"created"]

    def test_a_paused_reader_blocks_no_writer_and_loses_nothing(self, store: Store) -> None:
        script = self.created(store)
        for index in range(700):
            store.commit(script.append(b"%d" % index))
        store.flush()
        reader = store.read(X)
        assert next(reader).body == b"created"
        store.commit(script.append(b"meanwhile")).wait()
        assert bodies(reader) == [b"%d" % index for index in range(700)]

    def test_an_unknown_execution_has_an_empty_journal(self, store: Store) -> None:
        assert list(store.read(X)) == []

    def test_executions_do_not_mix(self, store: Store) -> None:
        first, second = self.created(store, "x"), self.created(store, "y")
        store.commit(second.append(b"of y")).wait()
        store.commit(first.append(b"of x")).wait()
        assert bodies(store.read(X)) == [b"created", b"of x"]
        assert bodies(store.read(Y)) == [b"created", b"of y"]

    def test_the_feed_gives_all_in_the_order_of_commit(self, store: Store) -> None:
        first, second = self.created(store, "x"), self.created(store, "y")
        store.commit(second.append(b"a")).wait()
        store.commit(first.append(b"b", count=2)).wait()
        feed = store.feed()
        assert [(b.execution_id, b.position, b.count, b.body) for b in feed] == [
            (X, 1, 1, b"created"),
            (Y, 1, 1, b"created"),
            (Y, 2, 1, b"a"),
            (X, 2, 2, b"b"),
        ]
        assert [b.sequence for b in feed] == sorted({b.sequence for b in feed})

    def test_the_feed_goes_on_after_a_sequence_and_has_a_limit(self, store: Store) -> None:
        script = self.created(store)
        for _ in range(9):
            store.commit(script.append()).wait()
        seen, after = [], 0
        while page := store.feed(after, limit=4):
            assert len(page) <= 4
            seen += [batch.position for batch in page]
            after = page[-1].sequence
        assert seen == list(range(1, 11))

    # -- creating --------------------------------------------------------------------------------------------------

    def test_an_execution_may_be_created_without_an_owner(self, store: Store) -> None:
        script = self.script()
        store.commit(script.append(b"created", status=ExecutionStatus.PENDING, releases=True)).wait()
        (summary,) = store.find(Query())
        assert (summary.status, summary.owner) == (ExecutionStatus.PENDING, None)
        with pytest.raises(LeaseLostError):
            store.commit(script.append(b"nobody's")).wait()
        script = replace(script, lease=store.claim(X, living()), position=1)
        assert (script.lease.epoch, script.lease.previous) == (2, None)
        store.commit(script.append(b"begun")).wait()
        assert bodies(store.read(X)) == [b"created", b"begun"]

    def test_creating_may_take_several_appends(self, store: Store) -> None:
        script = self.script()
        pending = ExecutionStatus.PENDING
        commits = [store.commit(script.append(b"%d" % n, status=pending, releases=n == 4)) for n in range(5)]
        store.flush()
        assert [commit.error for commit in commits] == [None] * 5
        assert bodies(store.read(X)) == [b"0", b"1", b"2", b"3", b"4"]
        assert store.claim(X, living()).epoch == 2

    def test_one_id_is_created_once_also_without_an_owner(self, store: Store) -> None:
        for name, status in (("x", ExecutionStatus.PENDING), ("y", ExecutionStatus.RUNNING)):
            self.created(store, name, status=status, releases=True)
            with pytest.raises(ConflictError):
                self.created(store, name, status=status, releases=True)

    def test_an_execution_may_begin_with_the_journal_of_another(self, store: Store) -> None:
        """A fork: its first append holds many events, and refers to blobs that the other one put there."""
        data = noise(2_000_000)
        store.put_blobs([(hash_of(data), data)])
        source = self.created(store, "x", blobs=(hash_of(data),))
        for index in range(100):
            store.commit(source.append(b"%d" % index * 100, count=100))
        store.flush()
        batches = list(store.read(X))
        body, count = b"".join(batch.body for batch in batches), sum(batch.count for batch in batches)
        fork = self.script("y")
        store.commit(fork.append(body, count, blobs=(hash_of(data),), releases=True)).wait()
        assert [(b.position, b.count, b.body) for b in store.read(Y)] == [(1, count, body)]
        assert count == 10_001
        fork.lease = store.claim(Y, living())
        store.commit(fork.append(b"goes its own way")).wait()
        assert [(b.position, b.count) for b in store.read(Y, count)] == [(count + 1, 1)]
        assert [(b.position, b.count) for b in store.read(Y, count - 1)] == [(1, count), (count + 1, 1)]
        assert store.feed(limit=1000)[-1].position == count + 1
        assert store.usage().blob_bytes == len(data)
        assert list(store.read(X)) == batches

    # -- refusals --------------------------------------------------------------------------------------------------

    def test_a_second_writer_at_one_position_is_refused(self, store: Store) -> None:
        script = self.created(store)
        rival = replace(script)
        store.commit(script.append(b"first")).wait()
        with pytest.raises(ConflictError) as refused:
            store.commit(rival.append(b"second")).wait()
        assert (refused.value.execution_id, refused.value.expected_position) == ("x", 1)
        assert bodies(store.read(X)) == [b"created", b"first"]

    def test_a_gap_is_refused(self, store: Store) -> None:
        script = self.created(store)
        script.position += 1
        with pytest.raises(ConflictError):
            store.commit(script.append()).wait()

    def test_one_id_is_created_once(self, store: Store) -> None:
        self.created(store)
        with pytest.raises(ConflictError):
            self.created(store)
        assert bodies(store.read(X)) == [b"created"]

    def test_nobody_writes_under_anothers_lease(self, store: Store) -> None:
        script = self.created(store)
        script.lease = replace(script.lease, owner=living())
        with pytest.raises(LeaseLostError):
            store.commit(script.append()).wait()

    def test_an_epoch_that_never_was_is_refused(self, store: Store) -> None:
        script = self.created(store)
        script.lease = replace(script.lease, epoch=2)
        with pytest.raises(LeaseLostError) as refused:
            store.commit(script.append()).wait()
        assert (refused.value.execution_id, refused.value.epoch) == ("x", 2)

    def test_an_execution_that_is_not_there_takes_no_later_event(self, store: Store) -> None:
        script = self.script()
        script.position = 7
        with pytest.raises(LeaseLostError):
            store.commit(script.append()).wait()
        assert store.feed() == []

    def test_a_refused_append_changes_nothing(self, store: Store) -> None:
        script = self.created(store, message="before")
        message = store.post(X, "signal", {})
        for wrong in (replace(script, position=5), replace(script, lease=Lease(X, script.lease.owner, 9))):
            with pytest.raises((ConflictError, LeaseLostError)):
                store.commit(wrong.append(message="after", taken=(message,))).wait()
        assert [found.message for found in store.find(Query())] == ["before"]
        assert [m.id for m in store.inbox(X)] == [message]
        assert len(store.feed()) == 1
