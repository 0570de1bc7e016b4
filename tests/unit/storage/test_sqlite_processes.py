"""Several processes on one file: locks that are held, and deaths in the middle of a commit."""

from __future__ import annotations

import random
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import LeaseLostError, OwnedElsewhereError, StoreBusyError
from orchestrator.journal.store import Query
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.store_contract.given import Given, dead, elsewhere, execution_id, living

ROOT = Path(__file__).parents[3]
X = execution_id("x")

HOLDER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""

VICTIM = """
import os, sys
from orchestrator.storage import open_store
from orchestrator.testing.store_contract.given import Given, Script
from orchestrator.testing.store_contract.blobs import hash_of
store = open_store(sys.argv[1])
script = Given().created(store)
for index in range(10**9):
    blobs = ()
    if index % 7 == 0:
        data = os.urandom(3_000_000)
        store.put_blobs([(hash_of(data), data)])
        blobs = (hash_of(data),)
    commits = [store.commit(script.append(b"%d" % index, blobs=blobs)) for _ in range(index % 4 + 1)]
    for commit in commits:
        commit.wait()
        os.write(1, b"%d\\n" % (commit.append.expected_position + 1))
"""

CLAIMANT = """
import os, sys
from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError
from orchestrator.storage import open_store
from orchestrator.testing.store_contract.given import execution_id, living
store, owner = open_store(sys.argv[1]), living()
print("ready", flush=True)
sys.stdin.readline()
for index in range(40):
    try:
        print(f"e{index}", store.claim(execution_id(f"e{index}"), owner).epoch, flush=True)
    except OwnedElsewhereError:
        pass
sys.stdin.readline()
"""

#: Takes what may be started until there is nothing more; a file that is there already tells that two were under way.
WORKER = """
import os, sys
from pathlib import Path
from orchestrator.errors import ConcurrencyBusyError, OwnedElsewhereError
from orchestrator.journal.store import Query
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage import open_store
from orchestrator.testing.store_contract.given import Script, living
store, owner = open_store(sys.argv[1]), living()
witness = Path(sys.argv[1]).with_name("under-way")
print("ready", flush=True)
sys.stdin.readline()
while unfinished := store.find(Query(statuses=UNFINISHED)):
    for summary in reversed(unfinished):
        try:
            lease = store.claim(summary.execution_id, owner)
        except (ConcurrencyBusyError, OwnedElsewhereError):
            continue
        if summary.execution_id not in [found.execution_id for found in store.find(Query(statuses=UNFINISHED))]:
            store.release(lease)  # it has ended meanwhile
            continue
        witness.touch(exist_ok=False)
        script = Script(lease, summary.created_at, position=1)
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.RUNNING):
            store.commit(script.append(b"works", status=status, concurrency_key="k")).wait()
        witness.unlink()
        ended = {"status": ExecutionStatus.COMPLETED, "concurrency_key": "k", "releases": True}
        store.commit(script.append(b"ends", **ended)).wait()
        print(summary.execution_id, flush=True)
"""


@contextmanager
def child(code: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=-1, stdout=-1, cwd=ROOT, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the right to write until it is told to give it back."""
    with child(HOLDER, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def give_back(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def test_a_flush_that_must_not_wait_does_not(store: SqliteStore, path: Path) -> None:
    script = Given().created(store)
    with holder(path) as process:
        commits = [store.commit(script.append()) for _ in range(3)]
        assert not store.flush(blocking=False)
        assert [commit.done for commit in commits] == [False] * 3
        patient = threading.Thread(target=store.flush)
        patient.start()
        give_back(process)
        patient.join()
    assert [(commit.done, commit.error) for commit in commits] == [(True, None)] * 3


def test_a_file_that_another_process_is_just_making_is_waited_for(path: Path) -> None:
    opened: list[SqliteStore] = []
    with holder(path) as process:
        with pytest.raises(StoreBusyError):
            SqliteStore(path, busy_seconds=0.05)
        patient = threading.Thread(target=lambda: opened.append(SqliteStore(path)))
        patient.start()
        give_back(process)
        patient.join()
    Given().created(opened[0])
    opened[0].close()


def test_readers_do_not_wait_for_a_writer(store: SqliteStore, path: Path) -> None:
    Given().created(store)
    with holder(path):
        assert len(list(store.read(X))) == 1
        assert len(store.feed()) == 1


def test_who_holds_the_file_for_too_long_is_named(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=0.05)
    script = Given().created(store)
    with holder(path) as process:
        commit = store.commit(script.append())
        with pytest.raises(StoreBusyError) as refused:
            commit.wait()
        with pytest.raises(StoreBusyError):
            store.post(X, "signal", {})
        if Path("/proc/locks").exists():
            assert refused.value.holders
            assert refused.value.holders[0].startswith(f"process {process.pid} (")
        assert "locked by" in str(refused.value)
        give_back(process)
        process.wait()
    store.commit(commit.append).wait()  # the connection is as good as before
    store.close()


def test_notes_that_are_due_wait_for_nobody(path: Path) -> None:
    from orchestrator.journal.store import Note
    from orchestrator.testing.clock import FakeClock

    clock = FakeClock(jumping=False)
    store = SqliteStore(path, clock)
    Given().created(store)
    with holder(path) as process:
        store.note(X, [Note("s", 1, 0.0, "stdout", "first")])
        clock.advance(5)
        store.note(X, [Note("s", 1, 0.0, "stdout", "second")])  # returns although nothing can be written
        give_back(process)
        process.wait()
    assert [note.text for note in store.notes(X)] == ["first", "second"]
    store.close()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_acknowledged_outlives_a_kill_in_the_middle(path: Path, seed: int) -> None:
    acknowledged = 0
    with child(VICTIM, path) as process:
        assert process.stdout is not None
        for _ in range(random.Random(seed).randint(3, 60)):
            acknowledged = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().splitlines()
        process.wait()
    acknowledged = int(rest[-1]) if rest else acknowledged
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    assert connection.execute("SELECT count(*) FROM blob WHERE complete").get >= 1
    connection.close()
    store = SqliteStore(path)
    batches = list(store.read(X))
    assert [batch.position for batch in batches] == list(range(1, len(batches) + 1))
    assert len(batches) >= acknowledged
    lease = store.claim(X, living())
    assert lease.previous is not None
    assert (lease.epoch, lease.previous.pid) == (2, process.pid)
    store.close()


def test_a_living_process_keeps_what_it_has_and_a_dead_one_does_not(store: SqliteStore, path: Path) -> None:
    with child(VICTIM, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(OwnedElsewhereError, match=str(process.pid)):
            store.claim(X, living())
        process.kill()
        process.stdout.read()
        process.wait()
    first = store.claim(X, living())
    store.release(first)
    script = Given().script()
    script.lease, script.position = first, len(list(store.read(X)))
    with pytest.raises(LeaseLostError):
        store.commit(script.append()).wait()


@contextmanager
def children(code: str, path: Path, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """As many processes, all of which are ready to begin at a word."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(code, path)) for _ in range(number)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            give_back(process)
        yield processes


def test_of_several_processes_that_take_over_at_once_one_wins(store: SqliteStore, path: Path) -> None:
    silent = elsewhere()
    for index in range(40):
        store.commit(Given().script(f"e{index}", owner=silent if index % 2 else dead()).append())
    store.flush()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE owner SET heartbeat = heartbeat - 1000").fetchall()
    connection.close()
    with children(CLAIMANT, path, 3) as processes:
        won: list[bytes] = []
        while len(won) < 40:
            ready, _, _ = select.select([process.stdout for process in processes if process.stdout], [], [], 60)
            assert ready, f"nobody claims what is left; claimed so far: {won}"
            won += [file.readline() for file in ready]
        assert sorted(won) == sorted(b"e%d 2\n" % index for index in range(40))
        for process in processes:
            give_back(process)
            assert process.stdout is not None
            assert process.stdout.read() == b""


def test_of_one_concurrency_key_several_processes_have_one_execution_at_a_time_in_order(
    store: SqliteStore, path: Path
) -> None:
    for index in range(20):
        script = Given().script(f"e{index:02}", at=float(index))
        store.commit(script.append(status=ExecutionStatus.PENDING, concurrency_key="k", releases=True))
    store.flush()
    with children(WORKER, path, 3) as processes:
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        ended = [line for process in processes for line in process.stdout or ()]
    assert sorted(ended) == [b"e%02d\n" % index for index in range(20)]
    begun = [batch.execution_id for batch in store.feed(limit=1000) if batch.body == b"ends"]
    assert begun == [f"e{index:02}" for index in range(20)]
    assert store.find(Query(statuses=UNFINISHED)) == []
