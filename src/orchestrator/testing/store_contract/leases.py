"""Clauses: one owner at a time; the dead lose what they had; an epoch that has passed writes nothing."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError, OwnedElsewhereError, UnknownExecutionError
from orchestrator.journal.store import LEASE_SECONDS, Lease, Query, Store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, bodies, dead, elsewhere, execution_id, living

X = execution_id("x")


class LeaseClauses(Given):
    """`claim`, `extend` and `release`."""

    def test_who_creates_an_execution_has_it(self, store: Store) -> None:
        owner = living()
        self.created(store, owner=owner)
        with pytest.raises(OwnedElsewhereError) as refused:
            store.claim(X, living())
        assert (refused.value.execution_id, refused.value.owner) == ("x", str(owner))

    def test_claiming_what_one_has_already_is_refused(self, store: Store) -> None:
        script = self.created(store)
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, script.lease.owner)

    def test_what_was_given_back_can_be_claimed(self, store: Store) -> None:
        script = self.created(store)
        store.release(script.lease)
        owner = living()
        lease = store.claim(X, owner)
        assert (lease.execution_id, lease.owner, lease.epoch, lease.previous) == (X, owner, 2, None)

    def test_a_claimed_execution_is_written_under_its_new_lease(self, store: Store) -> None:
        script = self.created(store)
        store.release(script.lease)
        script.lease = store.claim(X, living())
        store.commit(script.append(b"second life")).wait()
        assert bodies(store.read(X)) == [b"created", b"second life"]

    def test_the_dead_lose_their_executions_at_once(self, store: Store) -> None:
        gone = dead()
        self.created(store, owner=gone)
        lease = store.claim(X, living())
        assert (lease.epoch, lease.previous) == (2, gone)

    def test_processes_of_an_earlier_boot_are_dead(self, store: Store) -> None:
        owner = living()
        gone = replace(owner, boot_id="0000/" + owner.boot_id.partition("/")[2])
        if not owner.boot_id:
            pytest.skip("this system does not tell its boots apart")
        self.created(store, owner=gone)
        assert store.claim(X, living()).previous == gone

    def test_a_process_number_that_was_given_again_is_another_process(self, store: Store) -> None:
        owner = living()
        if not owner.started:
            pytest.skip("this system does not tell when a process started")
        self.created(store, owner=replace(owner, started=owner.started - 1))
        assert store.claim(X, living()).epoch == 2

    def test_owners_elsewhere_live_until_their_heartbeat_is_too_old(self, store: Store, clock: FakeClock) -> None:
        far = elsewhere()
        self.created(store, owner=far)
        clock.advance(LEASE_SECONDS - 1)
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, living())
        clock.advance(2)
        assert store.claim(X, living()).previous == far

    def test_a_heartbeat_keeps_all_executions_of_its_owner(self, store: Store, clock: FakeClock) -> None:
        far = elsewhere()
        for name in "ab":
            self.created(store, name, owner=far)
        clock.advance(LEASE_SECONDS - 1)
        store.extend(far)
        clock.advance(LEASE_SECONDS - 1)
        for name in "ab":
            with pytest.raises(OwnedElsewhereError):
                store.claim(execution_id(name), living())

    def test_the_living_here_need_no_heartbeat(self, store: Store, clock: FakeClock) -> None:
        if not living().started:
            pytest.skip("this system does not tell when a process started")
        self.created(store)
        clock.advance(10 * LEASE_SECONDS)
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, living())

    def test_a_heartbeat_of_an_owner_without_executions_does_nothing(self, store: Store) -> None:
        store.extend(living())

    def test_who_was_taken_over_writes_no_more(self, store: Store) -> None:
        script = self.created(store, owner=dead())
        store.claim(X, living())
        with pytest.raises(LeaseLostError):
            store.commit(script.append(b"too late")).wait()
        assert bodies(store.read(X)) == [b"created"]

    def test_who_gave_back_writes_no_more(self, store: Store) -> None:
        script = self.created(store)
        store.release(script.lease)
        with pytest.raises(LeaseLostError):
            store.commit(script.append(b"too late")).wait()

    def test_what_was_queued_before_a_release_is_written(self, store: Store) -> None:
        script = self.created(store)
        commit = store.commit(script.append(b"just in time"))
        store.release(script.lease)
        commit.wait()
        assert bodies(store.read(X)) == [b"created", b"just in time"]

    def test_releasing_a_lease_that_has_passed_takes_nothing_away(self, store: Store) -> None:
        script = self.created(store, owner=dead())
        lease = store.claim(X, living())
        store.release(script.lease)
        store.release(replace(script.lease, epoch=lease.epoch))
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, living())

    def test_releasing_what_is_not_there_does_nothing(self, store: Store) -> None:
        store.release(Lease(X, living(), 1))

    def test_epochs_only_rise(self, store: Store) -> None:
        script = self.created(store)
        lease = script.lease
        epochs = [lease.epoch]
        for _ in range(5):
            store.release(lease)
            lease = store.claim(X, living())
            epochs.append(lease.epoch)
        assert epochs == [1, 2, 3, 4, 5, 6]

    def test_one_owner_may_have_many_executions_and_lose_one(self, store: Store) -> None:
        owner = living()
        scripts = [self.created(store, name, owner=owner) for name in "abc"]
        store.release(scripts[1].lease)
        store.claim(execution_id("b"), living())
        store.commit(scripts[0].append()).wait()
        store.commit(scripts[2].append()).wait()

    def test_claiming_what_is_not_there_names_the_nearest(self, store: Store) -> None:
        self.created(store, "weather-2024")
        with pytest.raises(UnknownExecutionError) as refused:
            store.claim(execution_id("weather-2042"), living())
        assert refused.value.nearest == ("weather-2024",)

    def test_of_many_claimants_one_wins(self, store: Store) -> None:
        self.created(store, owner=dead())
        won: list[Lease] = []
        lost: list[OwnedElsewhereError] = []
        at_once = threading.Barrier(8)

        def race() -> None:
            owner = living()
            at_once.wait()
            try:
                won.append(store.claim(X, owner))
            except OwnedElsewhereError as refused:
                lost.append(refused)

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)

    def test_listings_say_who_has_it_and_whether_that_is_a_dead_process(self, store: Store) -> None:
        owner, gone = living(), dead()
        self.created(store, "held", owner=owner, at=3.0)
        self.created(store, "left", owner=gone, at=2.0)
        store.release(self.created(store, "free", at=1.0).lease)
        shown = [(s.execution_id, s.owner, s.abandoned) for s in store.find(Query())]
        assert shown == [("held", str(owner), False), ("left", str(gone), True), ("free", None, False)]
