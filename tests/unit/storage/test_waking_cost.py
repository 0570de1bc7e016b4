"""What it costs to find what is due among thousands that wait, or queue: what is given, not what is there.

Counted in steps of SQLite's machine, not in time. The same work among a hundred and among thousands may differ by
what a deeper tree costs, and by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from orchestrator.errors import ConcurrencyBusyError
from orchestrator.journal.store import Query, Store
from orchestrator.status import ExecutionStatus
from orchestrator.storage.memory import MemoryStore
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, dead, execution_id, living

PENDING, RUNNING, PAUSED = ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED
COMPLETED = ExecutionStatus.COMPLETED
FEW, MANY = 100, 3_000
NOW = 1_800_000_000.0


def fill(store: Store, number: int) -> None:
    """So many that wait for a time, for a message, that queue behind a key, that have ended; and five of interest."""
    given = Given()

    def put(name: str, **changes: Any) -> None:
        at = changes.pop("at", 100.0)
        script = given.script(name, owner=changes.pop("owner", None), at=at)
        store.commit(script.append(**{"releases": True, **changes}))

    for index in range(number):
        put(f"timer{index}", status=PAUSED, next_due=NOW + 10 + index)
        put(f"signal{index}", status=PAUSED, next_due=math.inf)
        put(f"queued{index}", status=PENDING, concurrency_key="crowded", at=200.0 + index)
        put(f"done{index}", status=COMPLETED, concurrency_key="crowded")
    for index in range(5):
        put(f"due{index}", status=PAUSED, next_due=NOW - index)
    put("left", status=RUNNING, owner=dead(), releases=False)
    put("free", status=PENDING)
    store.flush()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder, paths = tmp_path_factory.mktemp("many"), {}
    for number in (FEW, MANY):
        paths[number] = folder / f"{number}.db"
        store = SqliteStore(paths[number], FakeClock(NOW, jumping=False), synced=False)
        fill(store, number)
        store.close()
    return paths


def steps_of(path: Path, do: Callable[[SqliteStore], object]) -> int:
    """The steps that SQLite takes for it."""
    steps = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal steps
        steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def watch(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)

    apsw.connection_hooks.append(watch)
    try:
        store = SqliteStore(path, FakeClock(NOW, jumping=False), synced=False)
        store.find(Query(execution_id="free"))  # opens a reader
        steps = 0
        do(store)
        found = steps
        store.close()
    finally:
        apsw.connection_hooks.remove(watch)
    assert found > 0
    return found


def ids(store: Store, **query: Any) -> list[str]:
    return [summary.execution_id for summary in store.find(Query(**query))]


def look(store: Store) -> None:
    """All that a scheduler asks when it wakes."""
    assert store.next_due() == NOW - 4
    assert ids(store, due_before=NOW, unowned=True, statuses=frozenset({PAUSED})) == [
        f"due{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert ids(store, due_before=math.inf, unowned=True, limit=6)[4:] == ["due0", "timer0"]
    assert ids(store, abandoned=True) == ["left"]
    assert ids(store, statuses=frozenset({RUNNING})) == ["left"]
    assert ids(store, startable=True) == ["free", "queued0"]
    assert ids(store, concurrency_key="crowded", limit=2) == ["queued0", "queued1"]


def post_and_claim(store: Store) -> None:
    """A message, its wake-up, and a claim out of a long queue."""
    store.post(execution_id("signal7"), "signal", {})
    assert ids(store, due_before=NOW, unowned=True)[4:] == ["signal7", "due0"]  # of one moment the older one first
    store.claim(execution_id("signal7"), living())
    with pytest.raises(ConcurrencyBusyError):
        store.claim(execution_id("queued70"), living())
    store.release(store.claim(execution_id("queued0"), living()))


@pytest.mark.parametrize("do", [look, post_and_claim])
def test_what_is_given_is_paid_for_not_what_is_there(stores: dict[int, Path], do: Callable[[Store], object]) -> None:
    few, many = (steps_of(stores[number], do) for number in (FEW, MANY))
    assert many <= 1.2 * few


class Looked(list[Any]):
    """A list of executions that counts how many were looked at."""

    times = 0

    def __getitem__(self, place: Any) -> Any:
        self.times += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("do", [look, post_and_claim])
def test_the_memory_store_gives_the_same_and_looks_up_no_more(do: Callable[[Store], object]) -> None:
    looked: dict[int, int] = {}
    for number in (FEW, MANY):
        store = MemoryStore(FakeClock(NOW, jumping=False))
        fill(store, number)
        store._numbered = executions = Looked(store._numbered)
        do(store)
        looked[number] = executions.times
    assert looked[MANY] == looked[FEW] < FEW
