"""Several processes on one file: locks that are held, and deaths in the middle of a commit."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import LeaseLostError, OwnedElsewhereError, StoreBusyError
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.store_contract.given import Given, execution_id, living

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
