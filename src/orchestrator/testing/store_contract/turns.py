"""Clauses: of the executions with one concurrency key one at a time is under way, the oldest first."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError
from orchestrator.journal.store import LEASE_SECONDS, Lease, Query, Store
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, Script, dead, elsewhere, execution_id, living

PENDING, RUNNING, PAUSED = ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED
COMPLETED, FAILED, CANCELLED = ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED
KEY = "customer 7"


class TurnClauses(Given):
    """`claim` of an execution with a concurrency key, and the queries for who has it."""

    def queued(self, store: Store, name: str, at: float = 100.0, key: str | None = KEY) -> Script:
        """An execution that was created and that nobody has begun."""
        script = self.script(name, at=at)
        store.commit(script.append(b"created", status=PENDING, concurrency_key=key, releases=True)).wait()
        return script

    def begin(self, store: Store, script: Script) -> None:
        """Claim it and let it run."""
        script.lease = store.claim(script.lease.execution_id, living())
        self.now(store, script, RUNNING)

    def now(self, store: Store, script: Script, status: ExecutionStatus, **changes: Any) -> None:
        """It stands so from now on."""
        store.commit(script.append(status=status, concurrency_key=KEY, **changes)).wait()

    def claim(self, store: Store, name: str) -> Lease:
        """A claim by this process."""
        return store.claim(execution_id(name), living())

    def refused(self, store: Store, name: str) -> str:
        """Which execution bars this one."""
        with pytest.raises(ConcurrencyBusyError) as refused:
            self.claim(store, name)
        assert (refused.value.execution_id, refused.value.key) == (name, KEY)
        return refused.value.holder

    def ids(self, store: Store, **query: Any) -> list[str]:
        """What a query gives."""
        return [summary.execution_id for summary in store.find(Query(**query))]

    # -- who may begin ---------------------------------------------------------------------------------------------

    def test_the_oldest_begins_first(self, store: Store) -> None:
        for name, at in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
            self.queued(store, name, at)
        assert [self.refused(store, name) for name in "bc"] == ["a", "a"]
        assert self.claim(store, "a").epoch == 2

    def test_of_one_moment_the_first_begins(self, store: Store) -> None:
        for name in ("z", "a"):
            self.queued(store, name)
        assert self.refused(store, "a") == "z"
        self.claim(store, "z")

    def test_one_without_a_key_and_one_of_another_key_wait_for_nobody(self, store: Store) -> None:
        self.queued(store, "a", 10.0)
        self.queued(store, "free", 20.0, key=None)
        self.queued(store, "free too", 30.0, key=None)
        self.queued(store, "other", 40.0, key="another")
        for name in ("free too", "free", "other", "a"):
            self.claim(store, name)

    def test_one_that_was_claimed_a_moment_ago_has_the_key(self, store: Store) -> None:
        """Nothing of it is written yet, and one that is older by its clock comes after it."""
        self.queued(store, "a", 20.0)
        self.claim(store, "a")
        self.queued(store, "older", 10.0)
        assert self.refused(store, "older") == "a"

    @pytest.mark.parametrize(
        "stands",
        [
            {"status": RUNNING},
            {"status": RUNNING, "releases": True},
            {"status": PAUSED, "releases": True},
            {"status": PAUSED, "next_due": math.inf, "releases": True},
        ],
    )
    def test_one_that_has_begun_bars_all_others_until_it_has_ended(self, store: Store, stands: dict[str, Any]) -> None:
        first = self.queued(store, "a", 20.0)
        self.begin(store, first)
        for name, at in (("older", 10.0), ("younger", 30.0)):
            self.queued(store, name, at)
        self.now(store, first, **stands)
        assert [self.refused(store, name) for name in ("older", "younger")] == ["a", "a"]
        if "releases" in stands:
            first.lease = self.claim(store, "a")
        self.now(store, first, COMPLETED, releases=True)
        assert self.refused(store, "younger") == "older"
        self.claim(store, "older")

    def test_one_that_died_keeps_its_turn(self, store: Store) -> None:
        first = self.queued(store, "a", 20.0)
        first.lease = store.claim(execution_id("a"), dead())
        self.queued(store, "older", 10.0)
        assert self.refused(store, "older") == "a"
        first.lease = self.claim(store, "a")
        self.now(store, first, RUNNING)
        assert self.refused(store, "older") == "a"

    def test_who_has_it_is_told_before_whose_turn_it_is(self, store: Store) -> None:
        for name in "ab":
            self.begin(store, self.queued(store, name, key=None if name == "b" else KEY))
        for name in "ab":
            with pytest.raises(OwnedElsewhereError):
                self.claim(store, name)

    def test_a_retry_waits_for_its_turn_like_any_other(self, store: Store) -> None:
        failed, other = self.queued(store, "a", 10.0), self.queued(store, "b", 20.0)
        self.begin(store, failed)
        self.now(store, failed, FAILED, releases=True)
        self.begin(store, other)
        assert self.refused(store, "a") == "b"
        self.now(store, other, COMPLETED, releases=True)
        self.claim(store, "a")
        self.queued(store, "c", 5.0)
        assert self.refused(store, "c") == "a"

    def test_nobody_waits_for_a_retry_that_died_before_it_began(self, store: Store) -> None:
        failed = self.queued(store, "a", 10.0)
        self.begin(store, failed)
        self.now(store, failed, FAILED, releases=True)
        store.claim(execution_id("a"), dead())
        self.queued(store, "b", 20.0)
        self.claim(store, "b")

    def test_two_that_began_in_spite_of_it_do_not_bar_each_other_for_ever(self, store: Store, clock: FakeClock) -> None:
        far = elsewhere()
        for name, at, owner in (("a", 10.0, dead()), ("b", 20.0, far)):  # created with an owner: nobody asks
            self.created(store, name, owner=owner, at=at, status=RUNNING, concurrency_key=KEY)
        assert self.refused(store, "a") == "b"  # it lives
        clock.advance(LEASE_SECONDS + 1)
        assert self.refused(store, "b") == "a"
        self.claim(store, "a")

    def test_one_that_is_to_be_ended_needs_no_turn(self, store: Store) -> None:
        first, second = self.queued(store, "a", 10.0), self.queued(store, "b", 20.0)
        self.queued(store, "c", 30.0)
        self.begin(store, first)
        second.lease = store.claim(execution_id("b"), living(), queues=False)
        with pytest.raises(OwnedElsewhereError):
            store.claim(execution_id("b"), living(), queues=False)
        self.now(store, second, CANCELLED, releases=True)
        assert self.ids(store, concurrency_key=KEY) == ["a", "c"]
        self.now(store, first, COMPLETED, releases=True)
        self.claim(store, "c")

    def test_a_refused_claim_changes_nothing(self, store: Store) -> None:
        self.queued(store, "a", 10.0)
        self.queued(store, "b", 20.0)
        before = store.find(Query())
        assert self.refused(store, "b") == "a"
        assert store.find(Query()) == before
        lease = self.claim(store, "a")
        store.release(lease)
        assert self.claim(store, "a").epoch == 3

    def test_of_many_claimants_one_begins(self, store: Store) -> None:
        names = [f"e{index}" for index in range(8)]
        for name in names:
            self.queued(store, name)
        won: list[str] = []
        at_once = threading.Barrier(len(names))

        def race(name: str) -> None:
            at_once.wait()
            try:
                self.claim(store, name)
                won.append(name)
            except ConcurrencyBusyError:
                pass

        threads = [threading.Thread(target=race, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == ["e0"]

    # -- who has it ------------------------------------------------------------------------------------------------

    def test_who_has_a_key_and_who_queues_the_oldest_first(self, store: Store) -> None:
        done = self.queued(store, "done", 1.0)
        self.begin(store, done)
        self.now(store, done, COMPLETED, releases=True)
        begun = self.queued(store, "begun", 20.0)
        self.begin(store, begun)
        for name, at in (("late", 40.0), ("early", 10.0), ("middle", 30.0)):
            self.queued(store, name, at)
        self.queued(store, "other", 15.0, key="another")
        self.queued(store, "free", 16.0, key=None)
        assert self.ids(store, concurrency_key=KEY) == ["early", "begun", "middle", "late"]
        assert self.ids(store, concurrency_key=KEY, limit=2) == ["early", "begun"]
        assert self.ids(store, concurrency_key=KEY, unowned=True) == ["early", "middle", "late"]
        assert self.ids(store, concurrency_key=KEY, statuses=frozenset({RUNNING})) == ["begun"]
        assert self.ids(store, concurrency_key="nobody's") == []

    def test_what_may_be_started_the_oldest_first(self, store: Store) -> None:
        for name, at, key in (
            ("b2", 22.0, "b"),
            ("free", 30.0, None),
            ("b1", 21.0, "b"),
            ("a1", 11.0, "a"),
            ("a0", 10.0, "a"),
            ("free too", 15.0, None),
        ):
            self.queued(store, name, at, key)
        self.created(store, "somebody's", status=PENDING, at=1.0)
        self.created(store, "running", status=RUNNING, at=2.0)
        assert self.ids(store, startable=True) == ["a0", "free too", "b1", "free"]
        assert self.ids(store, startable=True, limit=3) == ["a0", "free too", "b1"]
        assert self.ids(store, startable=True, concurrency_key="b") == ["b1"]
        self.claim(store, "a0")
        assert self.ids(store, startable=True) == ["free too", "b1", "free"]
        for name in self.ids(store, startable=True):
            self.claim(store, name)
        assert self.ids(store, startable=True) == []

    def test_what_waits_or_was_paused_keeps_its_queue_from_starting(self, store: Store) -> None:
        first = self.queued(store, "a", 10.0)
        self.queued(store, "b", 20.0)
        self.begin(store, first)
        self.now(store, first, PAUSED, next_due=math.inf, releases=True)
        assert self.ids(store, startable=True) == []
        first.lease = self.claim(store, "a")
        self.now(store, first, FAILED, releases=True)
        assert self.ids(store, startable=True) == ["b"]

    def test_what_may_be_claimed_without_anybody_else(self, store: Store) -> None:
        self.queued(store, "pending", 30.0, key=None)
        self.created(store, "held", at=20.0)
        self.created(store, "left", owner=dead(), at=10.0)
        assert self.ids(store, unowned=True) == ["pending"]
        assert self.ids(store, unowned=True, statuses=UNFINISHED) == ["pending"]
        assert self.ids(store, abandoned=True) == ["left"]
