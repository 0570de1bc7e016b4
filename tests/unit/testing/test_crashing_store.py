"""The store that dies at a commit: what is written, what is not, and who has it afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.clock import Clock
from orchestrator.errors import OwnedElsewhereError
from orchestrator.journal.store import Note, Query, Store
from orchestrator.status import ExecutionStatus
from orchestrator.storage.memory import MemoryStore
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash, When
from orchestrator.testing.store_contract import StoreContract
from orchestrator.testing.store_contract.given import Given, Script, bodies, execution_id, living

X = execution_id("x")
given = Given()


class TestOneThatNeverCrashes(StoreContract):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        return CrashingStore(MemoryStore(clock))


@pytest.fixture(params=["memory", "sqlite"])
def below(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "journal.db")
    yield store
    store.close()


def live(store: Store, script: Script) -> None:
    """A life of six commits, the first of which creates."""
    for index in range(6):
        store.commit(script.append(b"%d" % index)).wait()


def test_commits_are_counted(below: Store) -> None:
    store = CrashingStore(below)
    live(store, given.script())
    assert store.commits == 6


@pytest.mark.parametrize(("when", "written"), [("before", -1), ("after", 0)])
@pytest.mark.parametrize("at", range(1, 7))
def test_the_nth_commit_is_the_last_that_is_tried(below: Store, at: int, when: When, written: int) -> None:
    store = CrashingStore(below, at=at, when=when)
    with pytest.raises(SimulatedCrash, match=f"{when} commit {at}"):
        live(store, given.script())
    assert store.commits == at
    assert bodies(below.read(X)) == [b"%d" % index for index in range(at + written)]


def test_the_dead_do_nothing(below: Store) -> None:
    store = CrashingStore(below, at=2)
    script = given.created(store)
    waiting = None
    with pytest.raises(SimulatedCrash):
        waiting = store.commit(script.append())
    assert waiting is None
    note = Note("s", 1, 0.0, "stdout", "last words")
    for deed in (
        lambda: store.commit(script.append()),
        store.flush,
        lambda: store.put_blobs([]),
        lambda: store.read(X),
        lambda: store.find(Query()),
        store.next_due,
        lambda: store.claim(X, living()),
        lambda: store.extend(script.lease.owner),
        lambda: store.release(script.lease),
        lambda: store.post(X, "signal", {}),
        lambda: store.note(X, [note]),
        store.sync,
        store.close,
        lambda: store.slow,
    ):
        with pytest.raises(SimulatedCrash):
            deed()
    assert below.notes(X) == []
    assert [summary.owner for summary in below.find(Query())] == [str(script.lease.owner)]


def test_what_was_queued_before_is_written_and_nobody_hears_of_it(below: Store) -> None:
    store = CrashingStore(below, at=4, when="after")
    script = given.created(store)
    told: list[str] = []
    commits = [store.commit(script.append(b"queued"), lambda _: told.append("told")) for _ in range(2)]
    with pytest.raises(SimulatedCrash):
        store.commit(script.append(b"last"))
    assert bodies(below.read(X)) == [b"created", b"queued", b"queued", b"last"]
    assert told == []
    with pytest.raises(SimulatedCrash):
        commits[0].wait()


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_next_life_takes_over_what_was_buried(below: Store, when: When) -> None:
    store = CrashingStore(below, at=3, when=when)
    owner = living()
    script, other = given.script(owner=owner), given.created(store, "other", owner=owner)
    with pytest.raises(SimulatedCrash):
        live(store, script)
    with pytest.raises(OwnedElsewhereError):
        below.claim(X, living())
    store.bury()
    assert [summary.abandoned for summary in below.find(Query())] == [True, True]
    for name in (X, other.lease.execution_id):
        lease = below.claim(name, living())
        assert lease.previous is not None
        assert lease.previous.token == owner.token
    with pytest.raises(OwnedElsewhereError):
        below.claim(X, living())


@pytest.mark.parametrize(("at", "when"), [(3, "before"), (2, "after")])
def test_what_was_given_back_is_nobodys_after_the_death(below: Store, at: int, when: When) -> None:
    """It waits for a message, and the message wakes it: it was not abandoned."""
    store = CrashingStore(below, at=at, when=when)
    script = given.created(store)
    waits = script.append(b"waits", status=ExecutionStatus.PAUSED, next_due=math.inf, releases=True)
    with pytest.raises(SimulatedCrash):
        for append in (waits, given.script("other").append()):
            store.commit(append).wait()
    store.bury()
    assert [summary.owner for summary in below.find(Query(execution_id="x"))] == [None]
    assert below.next_due() == math.inf
    below.post(X, "signal", {})
    assert below.next_due() != math.inf


def test_what_was_given_back_and_claimed_again_is_abandoned(below: Store) -> None:
    store = CrashingStore(below, at=3)
    script = given.created(store, releases=True)
    script.lease = store.claim(X, living())
    with pytest.raises(SimulatedCrash):
        for _ in range(2):
            store.commit(script.append()).wait()
    store.bury()
    assert [summary.abandoned for summary in below.find(Query(execution_id="x"))] == [True]


def test_burying_leaves_alone_what_others_have(below: Store) -> None:
    store = CrashingStore(below, at=3)
    script = given.created(store)
    store.release(script.lease)
    lease = below.claim(X, living())
    script.lease = lease
    store.bury()
    below.commit(script.append()).wait()
