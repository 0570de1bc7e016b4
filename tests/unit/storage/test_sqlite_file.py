"""The file: who may read it, where it may lie, what is said when it cannot be used."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest

from orchestrator.errors import SchemaError, StoreError
from orchestrator.journal.store import Query
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.storage.sqlite_schema import APPLICATION_ID
from orchestrator.testing.store_contract.blobs import hash_of
from orchestrator.testing.store_contract.given import Given, execution_id

ROOT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_file_and_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new" / "journal.db")
    Given().created(store)
    assert len(store.feed()) == 1
    assert mode(tmp_path / "new") == 0o700
    assert {path.name: mode(path) for path in (tmp_path / "new").iterdir()} == {
        "journal.db": 0o600,
        "journal.db-wal": 0o600,
        "journal.db-shm": 0o600,
        "journal.db-mark": 0o600,
    }
    store.close()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"journal.db", "journal.db-mark"}


def test_what_exists_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "journal.db").touch()
    (tmp_path / "journal.db").chmod(0o640)
    SqliteStore(tmp_path / "journal.db").close()
    assert (mode(tmp_path), mode(tmp_path / "journal.db")) == (0o755, 0o640)


def test_the_settings_that_the_promises_rest_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db")
    connection = store._writer._connection
    found = {name: connection.pragma(name) for name in ("journal_mode", "synchronous", "auto_vacuum", "application_id")}
    assert found == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "application_id": APPLICATION_ID}
    store.put_blobs([(hash_of(b"relaxed"), b"relaxed")])
    assert connection.pragma("synchronous") == 1
    Given().created(store)
    assert connection.pragma("synchronous") == 2
    store.close()
    unsynced = SqliteStore(tmp_path / "journal.db", synced=False)
    assert unsynced._writer._connection.pragma("synchronous") == 1
    unsynced.close()


def test_every_folder_that_is_not_there_is_made_for_this_user_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SqliteStore(tmp_path / "a" / "b" / "journal.db").close()
    assert [mode(tmp_path / name) for name in (".", "a", "a/b")] == [0o755, 0o700, 0o700]


@pytest.mark.parametrize("place", ["/proc/journal.db", "/proc/new/journal.db", "/dev/null/journal.db"])
def test_a_place_that_cannot_be_written_is_named(place: str) -> None:
    with pytest.raises(StoreError, match=place):
        SqliteStore(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=r"check the rights|check that its folder"):
        SqliteStore(tmp_path / "journal.db")
    tmp_path.chmod(0o700)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"{tmp_path} is a folder; name a file in it, such as {tmp_path}/journal.db"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize(
    "content", [b"pipeline: not a database\n" * 100, os.urandom(8192), b"SQLite format 3\0" + bytes(5000)]
)
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match="damaged, or is no SQLite database"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_damaged_page_is_reported_and_the_store_stays_usable(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    store = SqliteStore(path)
    script = Given().created(store)
    for _ in range(300):
        store.commit(script.append(b"x" * 500))
    store.close()
    (page,) = _query(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'journal_position'")
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    store = SqliteStore(path)
    with pytest.raises(SchemaError, match="damaged"):
        list(store.read(execution_id("x")))
    with pytest.raises(SchemaError, match="damaged"):
        store.commit(script.append()).wait()
    assert [s.execution_id for s in store.find(Query())] == ["x"]
    store.close()


def test_a_journal_with_a_hole_is_reported(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db")
    script = Given().created(store)
    for _ in range(4):
        store.commit(script.append()).wait()
    _query(tmp_path / "journal.db", "DELETE FROM journal WHERE position > 2")
    reader = store.read(execution_id("x"))
    assert [next(reader).position, next(reader).position] == [1, 2]
    with pytest.raises(SchemaError, match="no event 3 of 5"):
        next(reader)
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db")
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        Given().created(store)
    with pytest.raises(StoreError, match="is closed"):
        store.feed()


def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from orchestrator.storage import open_store\n"
        "from orchestrator.testing.store_contract.given import Given\n"
        "sys.stdin.readline()\n"
        "store = open_store(sys.argv[1]); Given().created(store, sys.argv[2]); store.close(); print('opened')"
    )
    outcomes: Counter[str] = Counter()
    for turn in range(2):
        path = tmp_path / f"folder{turn}" / "journal.db"
        children = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(path), f"e{number}"],
                stdin=-1,
                stdout=-1,
                stderr=-1,
                text=True,
                cwd=ROOT,
            )
            for number in range(5)
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            out, errors = child.communicate()
            outcomes[out.strip() or errors[-300:]] += 1
        assert _query(path, "SELECT count(*) FROM journal") == (5,)
    assert outcomes == {"opened": 10}


def _query(path: Path, sql: str) -> tuple[Any, ...]:
    connection = apsw.Connection(str(path))
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows[0] if rows else ()
