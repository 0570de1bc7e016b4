"""Clauses: what waits is found when it is due; a message makes it due, also one that meets its owner on the way out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator.journal.store import Query, Store
from orchestrator.status import ExecutionStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, Script, dead, execution_id, living

X = execution_id("x")
PENDING, RUNNING, PAUSED = ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED
FAILED = ExecutionStatus.FAILED
#: Long before and long after the clock's time.
PAST, FUTURE = 1.0, 4e9


class WakingClauses(Given):
    """`next_due`, `Query.due_before` with `unowned`, and what `post` does to one that waits."""

    def waiting(self, store: Store, name: str = "x", due: float = math.inf, at: float = 100.0) -> Script:
        """An execution that waits, and that nobody has."""
        script = self.script(name, at=at)
        store.commit(script.append(b"waits", status=PAUSED, next_due=due, releases=True)).wait()
        return script

    def due(self, store: Store, name: str = "x") -> float | None:
        """When it is to be woken."""
        (summary,) = store.find(Query(execution_id=name))
        return summary.next_due

    def to_wake(self, store: Store, now: float, limit: int | None = None) -> list[str]:
        """What a scheduler finds to be woken."""
        query = Query(due_before=now, unowned=True, statuses=frozenset({PAUSED}), limit=limit)
        return [summary.execution_id for summary in store.find(query)]

    # -- finding ---------------------------------------------------------------------------------------------------

    def test_an_empty_store_waits_for_nothing(self, store: Store) -> None:
        assert store.next_due() is None
        assert self.to_wake(store, math.inf) == []

    def test_the_soonest_due_come_first_and_of_one_moment_the_oldest(self, store: Store) -> None:
        for name, due in (("c", 30.0), ("a", 10.0), ("inf", math.inf), ("b2", 20.0), ("b1", 20.0)):
            self.waiting(store, name, due, at=due if due < math.inf else 1.0)
        assert store.next_due() == 10.0
        assert self.to_wake(store, 30.0) == ["a", "b2", "b1", "c"]
        assert self.to_wake(store, 29.0, limit=2) == ["a", "b2"]
        assert self.to_wake(store, 9.0) == []
        assert [s.execution_id for s in store.find(Query(due_before=20.0))] == ["a", "b2", "b1"]

    def test_infinity_comes_back(self, store: Store) -> None:
        self.waiting(store)
        assert self.due(store) == math.inf
        assert store.next_due() == math.inf
        assert self.to_wake(store, FUTURE) == []
        assert self.to_wake(store, math.inf) == ["x"]

    def test_what_somebody_has_is_not_to_be_woken(self, store: Store) -> None:
        self.waiting(store, "x", 10.0)
        self.waiting(store, "y", 20.0)
        lease = store.claim(X, living())
        assert (store.next_due(), self.to_wake(store, 99.0)) == (20.0, ["y"])
        assert [s.execution_id for s in store.find(Query(due_before=99.0))] == ["x", "y"]
        store.release(lease)
        assert (store.next_due(), self.to_wake(store, 99.0)) == (10.0, ["x", "y"])

    def test_one_that_is_woken_waits_no_more(self, store: Store) -> None:
        script = self.waiting(store, "x", 10.0)
        script.lease = store.claim(X, living())
        store.commit(script.append(b"woken", status=RUNNING)).wait()
        assert (store.next_due(), self.to_wake(store, math.inf)) == (None, [])
        store.commit(script.append(b"waits again", status=PAUSED, next_due=50.0, releases=True)).wait()
        assert (store.next_due(), self.to_wake(store, 50.0)) == (50.0, ["x"])

    def test_one_that_a_person_paused_waits_for_nothing(self, store: Store) -> None:
        store.commit(self.script().append(status=PAUSED, releases=True)).wait()
        store.post(X, "signal", {})
        assert (store.next_due(), self.due(store), self.to_wake(store, math.inf)) == (None, None, [])

    def test_only_the_paused_wait(self, store: Store) -> None:
        store.commit(self.script().append(status=FAILED, next_due=10.0, releases=True)).wait()
        assert (store.next_due(), self.to_wake(store, math.inf)) == (None, [])

    # -- messages --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("due", [math.inf, FUTURE])
    def test_a_message_makes_it_due(self, store: Store, clock: FakeClock, due: float) -> None:
        self.waiting(store, "other", FUTURE)
        self.waiting(store, "x", due)
        store.post(X, "signal", {"name": "go"})
        assert self.due(store) == store.next_due() == clock.time()
        assert self.to_wake(store, clock.time()) == ["x"]

    def test_a_message_does_not_put_off_what_is_due_already(self, store: Store) -> None:
        self.waiting(store, "x", PAST)
        store.post(X, "signal", {})
        assert self.due(store) == PAST

    def test_a_message_to_one_that_somebody_has_changes_no_time(self, store: Store) -> None:
        self.waiting(store)
        store.claim(X, living())
        store.post(X, "signal", {})
        assert self.due(store) == math.inf

    def test_a_message_that_came_just_before_it_began_to_wait_makes_it_due(
        self, store: Store, clock: FakeClock
    ) -> None:
        """Its owner had looked into the inbox, and nobody else would be told."""
        script = self.created(store)
        seen = [message.id for message in store.inbox(X)]
        store.post(X, "signal", {})
        store.commit(script.append(status=PAUSED, next_due=math.inf, releases=True, seen=max(seen, default=0))).wait()
        assert store.next_due() == clock.time()

    def test_a_message_that_its_owner_left_there_does_not(self, store: Store, clock: FakeClock) -> None:
        script = self.created(store)
        seen = store.post(X, "signal", {"for": "later"})
        waits: dict[str, Any] = {"status": PAUSED, "next_due": math.inf, "releases": True}
        store.commit(script.append(seen=seen, **waits)).wait()
        assert store.next_due() == math.inf
        script.lease = store.claim(X, living())
        newer = store.post(X, "signal", {})
        assert newer > seen
        store.commit(script.append(seen=seen, **waits)).wait()
        assert store.next_due() == clock.time()

    def test_a_message_that_was_taken_does_not(self, store: Store) -> None:
        script = self.created(store)
        taken = store.post(X, "signal", {})
        waits: dict[str, Any] = {"status": PAUSED, "next_due": math.inf, "releases": True}
        store.commit(script.append(taken=(taken,), **waits)).wait()
        assert store.next_due() == math.inf

    def test_one_that_is_given_back_unwoken_with_a_message_is_due(self, store: Store, clock: FakeClock) -> None:
        self.waiting(store)
        lease = store.claim(X, living())
        store.post(X, "signal", {})
        store.release(lease)
        assert store.next_due() == clock.time()

    def test_a_lease_that_has_passed_wakes_nobody(self, store: Store) -> None:
        self.waiting(store)
        old = store.claim(X, dead())
        store.claim(X, living())
        store.post(X, "signal", {})
        store.release(old)
        assert self.due(store) == math.inf

    def test_each_of_many_that_wait_is_woken_by_its_own_message(self, store: Store, clock: FakeClock) -> None:
        for index in range(200):
            store.commit(self.script(f"e{index}").append(status=PAUSED, next_due=math.inf, releases=True))
        store.flush()
        for index in (150, 7, 42):
            store.post(execution_id(f"e{index}"), "signal", {})
            clock.advance(1)
        assert self.to_wake(store, clock.time()) == ["e150", "e7", "e42"]
