"""What the SQLite store adds to the contract: cost, failing disks, compression, damage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import DecodeError, StoreError
from orchestrator.journal.store import Note
from orchestrator.storage.note_buffer import WAIT_SECONDS
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.storage.sqlite_blobs import PART_BYTES, TRANSACTION_BYTES, batches
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.blobs import hash_of, noise
from orchestrator.testing.store_contract.given import Given, bodies, dead, execution_id, living
from orchestrator.types import BlobHash

X = execution_id("x")
given = Given()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(jumping=False)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "journal.db", clock)
    yield store
    store.close()


def look(store: SqliteStore, sql: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(store._path))
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def traced(store: SqliteStore) -> list[str]:
    """The first word of every statement that the writing connection performs from now on."""
    statements: list[str] = []
    store._writer._connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: statements.append(event["sql"].split()[0]))
    return statements


# -- cost ------------------------------------------------------------------------------------------------------------


def test_a_commit_is_one_update_one_row_one_transaction(store: SqliteStore) -> None:
    script = given.created(store)
    connection, statements = store._writer._connection, traced(store)
    changed, transactions = connection.total_changes(), store.transactions
    store.commit(script.append()).wait()
    assert statements == ["BEGIN", "UPDATE", "INSERT", "COMMIT"]
    assert (connection.total_changes() - changed, store.transactions - transactions) == (2, 1)


def test_a_commit_writes_three_pages(store: SqliteStore) -> None:
    """The leaf of the execution's row, of the journal, and of the journal's index."""
    script = given.created(store)
    for _ in range(3):
        before = (store._path.parent / "journal.db-wal").stat().st_size
        store.commit(script.append(b"small")).wait()
        assert (store._path.parent / "journal.db-wal").stat().st_size - before == 3 * (4096 + 24)


def test_threads_share_transactions(store: SqliteStore) -> None:
    def write(name: str) -> None:
        script = given.created(store, name)
        for _ in range(50):
            store.commit(script.append()).wait()

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.transactions < 16 * 51 / 2


def test_notes_ride_in_a_commit_and_cost_none_of_their_own(store: SqliteStore, clock: FakeClock) -> None:
    script = given.created(store)
    before = look(store, "SELECT count(*) FROM note"), store._writer._connection.total_changes()
    store.note(X, [Note("s", 1, 0.0, "stdout", "waits")])
    store.flush()
    assert (look(store, "SELECT count(*) FROM note"), store._writer._connection.total_changes()) == before
    store.commit(script.append()).wait()
    assert look(store, "SELECT text FROM note") == [("waits",)]
    store.note(X, [Note("s", 1, 0.0, "stdout", "goes alone")])
    clock.advance(WAIT_SECONDS)
    store.flush()
    assert look(store, "SELECT text FROM note ORDER BY line") == [("waits",), ("goes alone",)]


def test_the_table_of_notes_is_bounded(store: SqliteStore) -> None:
    script = given.created(store)
    for _ in range(30):
        store.note(X, [Note("s", 1, 0.0, "stdout", "line") for _ in range(100)])
        store.commit(script.append()).wait()
    assert look(store, "SELECT count(*), min(line), max(line) FROM note") == [(1000, 2001, 3000)]


def test_slow_is_told_by_the_median_of_commits(store: SqliteStore, clock: FakeClock) -> None:
    script = given.created(store)
    watched = store._writer._commit_seconds
    watched.clear()
    watched.extend([0.001] * 20 + [1.0] * 12)
    assert not store.slow
    watched.extend([0.003] * 10)
    assert store.slow
    for _ in range(32):
        store.commit(script.append()).wait()
    assert not store.slow  # no time passes on this clock


def test_owners_that_nothing_points_at_are_forgotten(store: SqliteStore) -> None:
    gone = dead()
    scripts = [given.created(store, name, owner=gone) for name in "ab"]
    lease = store.claim(execution_id("a"), living())
    assert len(look(store, "SELECT token FROM owner")) == 2
    store.claim(execution_id("b"), living())
    assert gone.token not in {token for (token,) in look(store, "SELECT token FROM owner")}
    store.release(lease)
    store.release(scripts[0].lease)
    assert len(look(store, "SELECT token FROM owner")) == 1


# -- failing ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_the_group_and_leaves_the_store_usable(store: SqliteStore) -> None:
    script = given.created(store)
    connection = store._writer._connection
    connection.pragma("max_page_count", connection.pragma("page_count") + 2)
    commits = [store.commit(script.append(bytes(200_000))) for _ in range(3)]
    store.flush()
    assert [isinstance(commit.error, StoreError) for commit in commits] == [True] * 3
    assert "no room left on the disk" in str(commits[0].error)
    assert bodies(store.read(X)) == [b"created"]
    with pytest.raises(StoreError, match="no room left"):
        store.put_blobs([(hash_of(noise(10**6)), noise(10**6))])
    connection.pragma("max_page_count", 10**6)
    store.commit(commits[0].append).wait()
    assert len(list(store.read(X))) == 2


def test_one_that_cannot_be_written_fails_alone_with_a_reason(store: SqliteStore) -> None:
    script, other = given.created(store), given.created(store, "y")
    wrong = script.append()
    commits = [
        store.commit(replace(wrong, summary=replace(wrong.summary, steps_done=2**70))),
        store.commit(other.append()),
        store.commit(replace(other.append(), count=0)),
    ]
    store.flush()
    assert "cannot be written as it is" in str(commits[0].error)
    assert commits[1].error is None
    assert "cannot be written as it is" in str(commits[2].error)
    store.commit(wrong).wait()


# -- blobs -----------------------------------------------------------------------------------------------------------


def test_parts_are_compressed_only_where_that_helps(store: SqliteStore) -> None:
    data = noise(PART_BYTES) + bytes(PART_BYTES) + noise(10)
    store.put_blobs([(hash_of(data), data)])
    assert look(store, "SELECT compressed FROM blob_part ORDER BY part") == [(0,), (1,), (0,)]
    assert look(store, "SELECT sum(length(bytes)) < 1100000 FROM blob_part") == [(1,)]


def test_transactions_are_bounded() -> None:
    data = noise(2 * TRANSACTION_BYTES + 5)
    small = [(hash_of(noise(70_000, n)), noise(70_000, n)) for n in range(300)]
    sizes = [sum(len(part.stored) for part in batch) for batch in batches([(hash_of(data), data), *small])]
    assert len(sizes) == 4
    assert max(sizes) < TRANSACTION_BYTES + PART_BYTES


def test_an_unchanged_value_is_kept_once(store: SqliteStore) -> None:
    data = noise(300_000)
    store.put_blobs([(hash_of(data), data)])
    statements = traced(store)
    store.put_blobs([(hash_of(data), data)] * 2)
    assert statements == []
    assert look(store, "SELECT count(*) FROM blob_part") == [(1,)]


def test_a_blob_that_was_left_half_written_does_not_count_until_it_is_whole(store: SqliteStore) -> None:
    data = noise(3 * PART_BYTES)
    name = hash_of(data)
    store.put_blobs([(name, data)])
    look(store, "UPDATE blob SET complete = 0")
    look(store, "DELETE FROM blob_part WHERE part > 0")
    assert store.has_blobs([name]) == set()
    with pytest.raises(StoreError, match="does not hold"):
        given.created(store, blobs=(name,))
    store.put_blobs([(name, data)])
    assert store.get_blob(name) == data
    given.created(store, blobs=(name,))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blob_part SET bytes = zeroblob(length(bytes)) WHERE part = 1",
        "UPDATE blob_part SET compressed = 1",
        "DELETE FROM blob_part WHERE part = 0",
    ],
)
def test_damage_is_reported_and_never_handed_out(store: SqliteStore, damage: str) -> None:
    data = noise(2 * PART_BYTES)
    name: BlobHash = hash_of(data)
    store.put_blobs([(name, data)])
    look(store, damage)
    with pytest.raises(DecodeError, match=f"blob {name.hex()[:16]}… is damaged"):
        store.get_blob(name)
    given.created(store)


# -- reading ---------------------------------------------------------------------------------------------------------


def test_a_paused_reader_does_not_keep_the_log_from_being_copied_back(store: SqliteStore) -> None:
    script = given.created(store)
    for _ in range(300):
        store.commit(script.append(bytes(500)))
    store.flush()
    reader = store.read(X)
    next(reader)
    for _ in range(100):
        store.commit(script.append(bytes(500))).wait()
    copied = apsw.Connection(str(store._path))
    copied.execute("SELECT 1 FROM journal LIMIT 1").fetchall()
    in_log, done = copied.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    copied.close()
    assert (in_log, done) == (0, 0)
    assert len(list(reader)) == 300


def test_threads_that_read_share_a_few_connections(store: SqliteStore) -> None:
    given.created(store)
    threads = [threading.Thread(target=lambda: [store.feed() for _ in range(50)]) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(store._readers._idle) <= 4


def test_a_reader_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="may not be written"), store._readers.one() as connection:
        connection.execute("DELETE FROM journal")
