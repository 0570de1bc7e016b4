"""Versions: new files, old files, newer files, other people's files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import ConcurrencyBusyError, SchemaError, StoreError
from orchestrator.journal.store import Note, Query
from orchestrator.status import ExecutionStatus
from orchestrator.storage.queries import SQL_FOLDER, load_queries
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.storage.sqlite_schema import APPLICATION_ID, Schema, load_schema, version_of
from orchestrator.testing.store_contract.blobs import hash_of, noise
from orchestrator.testing.store_contract.given import Given, bodies, dead, execution_id, living

NOW = load_schema()
#: The tables of the first version, as they were made then.
FIRST = Schema((Path(__file__).parent / "schema_v1.sql").read_text(encoding="utf-8"), {})
NEXT = Schema(
    NOW.sql + "ALTER TABLE execution ADD COLUMN colour TEXT; ALTER TABLE owner ADD COLUMN name TEXT;",
    {
        **NOW.migrations,
        NOW.version + 1: "-- a comment; and a statement\nALTER TABLE execution ADD COLUMN colour TEXT;",
        NOW.version + 2: "ALTER TABLE owner ADD COLUMN name TEXT;",
    },
)
BROKEN = Schema(NOW.sql, {NOW.version + 1: "ALTER TABLE execution ADD COLUMN colour TEXT; CREATE TABLE journal (a);"})


def tables(path: Path) -> list[tuple[str, str]]:
    """Every table, index and view with its columns."""
    connection = apsw.Connection(str(path))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name")]
    found = [
        (name, str(connection.execute(f"SELECT name, type FROM pragma_table_xinfo('{name}')").fetchall()))
        for name in names
    ]
    connection.close()
    return found


def version(path: Path) -> int:
    connection = apsw.Connection(str(path))
    found = connection.pragma("user_version")
    connection.close()
    return int(found)


def test_a_new_file_has_the_newest_version(tmp_path: Path) -> None:
    for name, schema in (("now", NOW), ("next", NEXT)):
        SqliteStore(tmp_path / name, schema=schema).close()
    assert (version(tmp_path / "now"), version(tmp_path / "next")) == (NOW.version, NOW.version + 2)


def test_an_older_file_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path) -> None:
    old = SqliteStore(tmp_path / "old")
    script = Given().created(old)
    old.close()
    store = SqliteStore(tmp_path / "old", schema=NEXT)
    store.commit(script.append(b"after")).wait()
    assert bodies(store.read(execution_id("x"))) == [b"created", b"after"]
    store.close()
    SqliteStore(tmp_path / "new", schema=NEXT).close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")
    assert version(tmp_path / "old") == NEXT.version


def test_a_file_of_the_first_version_reads_the_same_and_does_what_it_could_not(tmp_path: Path) -> None:
    old = SqliteStore(tmp_path / "old", schema=FIRST)
    data = noise(300_000)
    old.put_blobs([(hash_of(data), data)])
    given = Given()
    script = given.created(old, "x", concurrency_key="k", message="one", blobs=(hash_of(data),))
    old.commit(script.append(b"second", count=3, concurrency_key="k")).wait()
    for name, due in (("later", 70.0), ("sooner", 60.0)):
        given.created(old, name, status=ExecutionStatus.PAUSED, next_due=due, releases=True)
    given.created(old, "queued", status=ExecutionStatus.PENDING, concurrency_key="k", releases=True)
    given.created(old, "left", owner=dead())
    old.note(execution_id("x"), [Note("load", 1, 1.0, "stdout", "a line")])
    before = _all_of(old)
    old.close()
    assert version(tmp_path / "old") == 1

    store = SqliteStore(tmp_path / "old")
    assert version(tmp_path / "old") == NOW.version
    assert _all_of(store) == before
    assert store.get_blob(hash_of(data)) == data
    assert store.next_due() == 60.0
    assert [s.execution_id for s in store.find(Query(due_before=99.0, unowned=True))] == ["sooner", "later"]
    assert [s.execution_id for s in store.find(Query(concurrency_key="k"))] == ["x", "queued"]
    assert [s.execution_id for s in store.find(Query(abandoned=True))] == ["left"]
    with pytest.raises(ConcurrencyBusyError):
        store.claim(execution_id("queued"), living())
    store.commit(script.append(b"third")).wait()
    store.close()
    SqliteStore(tmp_path / "new").close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def _all_of(store: SqliteStore) -> list[object]:
    """What a store says of itself."""
    summaries = store.find(Query(limit=None))
    notes = [store.notes(summary.execution_id) for summary in summaries]
    return [summaries, store.feed(), notes, [list(store.read(summary.execution_id)) for summary in summaries]]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "old").close()
    before = tables(tmp_path / "old")
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "old", schema=BROKEN)
    assert (tables(tmp_path / "old"), version(tmp_path / "old")) == (before, NOW.version)
    SqliteStore(tmp_path / "old").close()


def test_an_open_store_goes_on_while_another_process_migrates(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "old")
    script = Given().created(store)
    SqliteStore(tmp_path / "old", schema=NEXT).close()
    store.commit(script.append(b"after")).wait()
    assert bodies(store.read(execution_id("x"))) == [b"created", b"after"]
    store.close()


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "newer", schema=NEXT).close()
    before = (tmp_path / "newer").read_bytes()
    with pytest.raises(SchemaError, match=f"newer Orchestrator .schema {NEXT.version}, this one knows {NOW.version}"):
        SqliteStore(tmp_path / "newer")
    assert (tmp_path / "newer").read_bytes() == before


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE theirs (a)",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 7",
        f"CREATE TABLE theirs (a); PRAGMA application_id = {APPLICATION_ID}",
    ],
)
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, made: str) -> None:
    connection = apsw.Connection(str(tmp_path / "theirs"))
    connection.execute(made).fetchall()
    connection.close()
    before = (tmp_path / "theirs").read_bytes()
    with pytest.raises(SchemaError, match="database of another program"):
        SqliteStore(tmp_path / "theirs")
    assert (tmp_path / "theirs").read_bytes() == before


def test_migrations_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (SQL_FOLDER / "migrations").glob("*.sql"))
    assert sorted(NOW.migrations) == list(range(2, NOW.version + 1)), names


def test_a_name_stands_for_one_query(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- A page.\n\n-- name: one\n-- A sentence.\nSELECT 1;\n\n-- name: two\n-- Another.\nSELECT 2;\n"
    )
    assert load_queries(tmp_path) == {"one": "SELECT 1;", "two": "SELECT 2;"}
    (tmp_path / "b.sql").write_text("-- name: one\n-- A sentence.\nSELECT 3;\n")
    with pytest.raises(ValueError, match=r"b\.sql gives the query 'one' a second time"):
        load_queries(tmp_path)


def test_a_file_that_another_process_makes_at_this_moment_is_no_other_programs(tmp_path: Path) -> None:
    """The facts that tell whose a file is are read as of one moment: in between, somebody else may make the tables."""
    path = tmp_path / "journal.db"
    connection = apsw.Connection(str(path))
    meanwhile: list[str] = []

    def interfere(_cursor: object, sql: str, _bindings: object) -> bool:
        if "sqlite_schema" in sql and not meanwhile:
            meanwhile.append(sql)
            with suppress(StoreError):  # it may have to wait for us
                SqliteStore(path, busy_seconds=0.05).close()
        return True

    connection.exec_trace = interfere
    assert version_of(connection, NOW, path) == 0
    assert meanwhile
    connection.close()
    SqliteStore(path).close()
    assert version(path) == NOW.version
