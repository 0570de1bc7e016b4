"""Two stores that are given the same calls, in any order, give the same answers: every listing, lease and refusal."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.errors import OrchestratorError
from orchestrator.journal.store import Append, Lease, Message, Query, Store, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage.memory import MemoryStore
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import dead, elsewhere, execution_id, living
from orchestrator.types import ExecutionId

NAMES = [execution_id(name) for name in "abcde"]
OWNERS = {"here": living(), "here too": living(), "dead": dead(), "far": elsewhere(), "far too": elsewhere()}
START = 1_000_000.0
DUES = st.sampled_from([None, START - 5, START + 20, START + 50, math.inf])
KEYS = st.sampled_from([None, None, "", "k", "l"])
LIMITS = st.sampled_from([None, 0, 1, 2, 50])
STATUSES = st.none() | st.frozensets(st.sampled_from(ExecutionStatus)) | st.just(UNFINISHED)


class StoresAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock(START, jumping=False)
        path = Path(self.folder.name) / "journal.db"
        self.stores: tuple[Store, Store] = (MemoryStore(self.clock), SqliteStore(path, self.clock, synced=False))
        self.leases: dict[str, Lease] = {}
        self.positions: dict[str, int] = {}

    def both(self, call: Callable[[Store], Any]) -> Any:
        """What both answer; a refusal is an answer too."""
        ours, theirs = (_answer(call, store) for store in self.stores)
        assert ours == theirs
        return ours

    def write(self, name: str, **changes: Any) -> None:
        parts = {part: changes.pop(part) for part in ("releases", "seen", "taken")}
        position = self.positions.get(name, 0)
        summary = Summary(execution_id(name), "p", created_at=changes.pop("at"), updated_at=1.0, **changes)
        append = Append(self.leases[name], position, 1, b"event", summary, **parts)
        if self.both(lambda store: store.commit(append).wait()) is None:
            self.positions[name] = position + 1

    @rule(
        name=st.sampled_from(NAMES),
        owner=st.sampled_from([*OWNERS]),
        status=st.sampled_from(ExecutionStatus),
        due=DUES,
        key=KEYS,
        at=st.integers(1, 3),
        releases=st.booleans(),
        seen=st.integers(0, 9),
        taken=st.lists(st.integers(1, 9), max_size=2),
    )
    def append(self, name: str, owner: str, due: float | None, key: str | None, at: int, **rest: Any) -> None:
        if name not in self.leases:
            self.leases[name] = Lease(execution_id(name), OWNERS[owner], 1)
        known = self.stores[0].find(Query(execution_id=name))
        created_at = known[0].created_at if known else float(at)
        rest["taken"] = tuple(rest["taken"])
        self.write(name, at=created_at, next_due=due, concurrency_key=key, **rest)

    @rule(name=st.sampled_from(NAMES), owner=st.sampled_from([*OWNERS]), queues=st.booleans())
    def claim(self, name: str, owner: str, queues: bool) -> None:
        lease = self.both(lambda store: store.claim(execution_id(name), OWNERS[owner], queues=queues))
        if isinstance(lease, Lease):
            self.leases[name] = lease

    @rule(name=st.sampled_from(NAMES), epoch=st.integers(0, 1))
    def release(self, name: str, epoch: int) -> None:
        if name in self.leases:
            lease = self.leases[name]
            self.both(lambda store: store.release(replace(lease, epoch=lease.epoch - epoch)))

    @rule(name=st.sampled_from(NAMES))
    def post(self, name: str) -> None:
        self.both(lambda store: store.post(execution_id(name), "signal", {}))

    @rule(owner=st.sampled_from([*OWNERS]))
    def extend(self, owner: str) -> None:
        self.both(lambda store: store.extend(OWNERS[owner]))

    @rule(seconds=st.sampled_from([1.0, 20.0, 40.0]))
    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        statuses=STATUSES,
        name=st.none() | st.sampled_from(NAMES),
        due_before=st.none() | st.sampled_from([START, START + 50, math.inf]),
        unowned=st.booleans(),
        abandoned=st.booleans(),
        startable=st.booleans(),
        key=KEYS,
        limit=LIMITS,
    )
    def find(self, name: str | None, key: str | None, **query: Any) -> None:
        self.both(lambda store: store.find(Query(execution_id=name, concurrency_key=key, **query)))

    @invariant()
    def listings_agree(self) -> None:
        self.both(lambda store: store.next_due())
        self.both(lambda store: store.posted_since(0))
        for query in (
            Query(),
            Query(due_before=math.inf),
            Query(due_before=math.inf, unowned=True),
            Query(abandoned=True),
            Query(startable=True),
            Query(concurrency_key="k"),
        ):
            self.both(partial(_find, query))
        for name in NAMES:
            self.both(partial(_inbox, name))

    @invariant()
    def of_each_key_one_may_be_started(self) -> None:
        pending = Query(statuses=frozenset({ExecutionStatus.PENDING}), unowned=True)
        startable = self.stores[0].find(Query(startable=True))
        assert {s.execution_id for s in startable} <= {s.execution_id for s in self.stores[0].find(pending)}
        keys = [summary.concurrency_key for summary in startable if summary.concurrency_key is not None]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()


def _find(query: Query, store: Store) -> list[Summary]:
    return store.find(query)


def _inbox(name: ExecutionId, store: Store) -> list[Message]:
    return store.inbox(name)


def _answer(call: Callable[[Store], Any], store: Store) -> Any:
    try:
        return call(store)
    except OrchestratorError as refused:
        return type(refused), str(refused).replace(store.location, "STORE")


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
