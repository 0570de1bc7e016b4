"""Clauses: an owner on another machine that fell silent is taken over from, and never comes back by itself."""

from __future__ import annotations

import threading

import pytest

from orchestrator.errors import LeaseLostError, OwnedElsewhereError
from orchestrator.journal.store import LEASE_SECONDS, Lease, Query, Store
from orchestrator.status import ExecutionStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, bodies, dead, elsewhere, execution_id, living

X, Y = execution_id("x"), execution_id("y")
RUNNING, COMPLETED = ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED


class TakeOverClauses(Given):
    """`claim` of what a silent owner has, its late commits and heartbeats, and how what it left is found."""

    def abandoned(self, store: Store, **query: object) -> list[str]:
        """The ids of those whose owner is gone."""
        found = store.find(Query(abandoned=True, **query))  # type: ignore[arg-type]  # any filter
        assert all(summary.abandoned for summary in found)
        return [summary.execution_id for summary in found]

    def test_the_silent_one_writes_no_more_and_the_new_owner_does(self, store: Store, clock: FakeClock) -> None:
        far = elsewhere()
        script = self.created(store, owner=far)
        clock.advance(LEASE_SECONDS + 1)
        lease = store.claim(X, living())
        assert (lease.epoch, lease.previous) == (2, far)
        with pytest.raises(LeaseLostError):
            store.commit(script.append(b"too late")).wait()
        script.lease, script.position = lease, 1
        store.commit(script.append(b"goes on")).wait()
        assert bodies(store.read(X)) == [b"created", b"goes on"]

    def test_a_late_heartbeat_brings_nothing_back(self, store: Store, clock: FakeClock) -> None:
        far, other = elsewhere(), elsewhere()
        script, kept = self.created(store, "x", owner=far), self.created(store, "y", owner=far)
        clock.advance(LEASE_SECONDS + 1)
        store.claim(X, other)
        store.extend(far)
        with pytest.raises(LeaseLostError):
            store.commit(script.append(b"too late")).wait()
        store.release(script.lease)
        with pytest.raises(OwnedElsewhereError) as refused:
            store.claim(X, living())
        assert refused.value.owner == str(other)
        store.commit(kept.append(b"what nobody took is its own still")).wait()
        with pytest.raises(OwnedElsewhereError):
            store.claim(Y, living())

    def test_a_late_heartbeat_in_time_for_all_keeps_all(self, store: Store, clock: FakeClock) -> None:
        far = elsewhere()
        script = self.created(store, owner=far)
        clock.advance(10 * LEASE_SECONDS)
        store.extend(far)
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, living())
        store.commit(script.append(b"nobody had taken it")).wait()

    def test_the_silent_one_may_claim_again_only_from_the_dead(self, store: Store, clock: FakeClock) -> None:
        first, second = elsewhere(), elsewhere()
        self.created(store, owner=first)
        clock.advance(LEASE_SECONDS + 1)
        store.claim(X, second)
        with pytest.raises(OwnedElsewhereError):
            store.claim(X, first)
        clock.advance(LEASE_SECONDS + 1)
        lease = store.claim(X, first)
        assert (lease.epoch, lease.previous) == (3, second)

    def test_of_two_that_take_over_at_once_one_wins(self, store: Store, clock: FakeClock) -> None:
        for index in range(10):
            self.created(store, f"e{index}", owner=elsewhere())
        clock.advance(LEASE_SECONDS + 1)
        won: list[Lease] = []
        lost: list[str] = []
        at_once = threading.Barrier(2)

        def take_all() -> None:
            owner = elsewhere()
            at_once.wait()
            for index in range(10):
                try:
                    won.append(store.claim(execution_id(f"e{index}"), owner))
                except OwnedElsewhereError as refused:
                    lost.append(refused.execution_id)

        threads = [threading.Thread(target=take_all) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(lease.execution_id for lease in won) == sorted(lost) == [f"e{index}" for index in range(10)]
        assert {lease.epoch for lease in won} == {2}

    def test_what_the_dead_and_the_silent_left_is_found(self, store: Store, clock: FakeClock) -> None:
        self.created(store, "silent", owner=elsewhere(), at=30.0)
        clock.advance(LEASE_SECONDS + 1)
        self.created(store, "dead", owner=dead(), at=20.0)
        self.created(store, "alive", owner=elsewhere(), at=40.0)
        self.created(store, "ours", at=50.0)
        self.created(store, "free", at=60.0, releases=True)
        self.created(store, "done", at=70.0, status=COMPLETED, releases=True)
        assert self.abandoned(store) == ["silent", "dead"]
        assert self.abandoned(store, limit=1) == ["silent"]
        assert self.abandoned(store, statuses=frozenset({RUNNING})) == ["silent", "dead"]
        assert self.abandoned(store, statuses=frozenset({COMPLETED})) == []
        assert self.abandoned(store, execution_id="dead") == ["dead"]
        assert self.abandoned(store, execution_id="ours") == []
        store.claim(execution_id("dead"), living())
        assert self.abandoned(store) == ["silent"]

    def test_one_whose_claimant_died_before_it_wrote_anything_is_found(self, store: Store) -> None:
        self.created(store, "x", status=ExecutionStatus.PAUSED, next_due=5.0, releases=True)
        self.created(store, "y", status=ExecutionStatus.PENDING, releases=True)
        gone = dead()
        for name in (X, Y):
            store.claim(name, gone)
        assert self.abandoned(store) == ["y", "x"]
        assert store.next_due() is None
