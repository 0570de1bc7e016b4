"""Ids, names and filters are data of a query and never a part of it."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from orchestrator.journal.store import Note, Query
from orchestrator.status import ExecutionStatus
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.storage.sqlite_file import open_reader
from orchestrator.testing.store_contract.given import Given
from orchestrator.types import ExecutionId

NAMES = [
    "x' OR '1'='1",
    "x'; DROP TABLE execution; --",
    'x"; DELETE FROM event; --',
    "x') UNION SELECT * FROM execution --",
    "%",
    "_",
    "*",
    "[a-z]*",
    "x\\",
    ":execution_id",
    "?1",
    "x/*",
    "x\x00y",
    "../../etc/passwd",
    "NULL",
    "",
]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "journal.db", synced=False)


def test_each_name_finds_what_it_names_and_nothing_else(store: SqliteStore) -> None:
    given = Given()
    for name in (*NAMES, "x", "plain"):
        given.created(store, name, pipeline_id=f"p{name}")
        store.note(ExecutionId(name), [Note(name, 1, 1.0, "stdout", name)])
        store.post(ExecutionId(name), "answer", {"step": name})
    for name in NAMES:
        (found,) = store.find(Query(execution_id=ExecutionId(name)))
        assert (found.execution_id, found.pipeline_id) == (name, f"p{name}")
        assert [s.execution_id for s in store.find(Query(pipeline_id=f"p{name}"))] == [name]
        assert [note.text for note in store.notes(ExecutionId(name))] == [name]
        assert [note.text for note in store.notes(ExecutionId(name), name)] == [name]
        assert [message.payload["step"] for message in store.inbox(ExecutionId(name))] == [name]
        assert [batch.execution_id for batch in store.read(ExecutionId(name))] == [name]
        assert not store.find(Query(execution_id=ExecutionId(f"{name}' --")))
    running = frozenset({ExecutionStatus.RUNNING})
    assert len(store.find(Query(statuses=running))) == len(NAMES) + 2
    store.close()


def test_a_view_in_a_store_calls_no_function(store: SqliteStore) -> None:
    """A file that somebody else made may bring views; a function that a program adds is not theirs to call."""
    path, called = Path(store.location), list[str]()
    maker = apsw.Connection(str(path))
    maker.create_scalar_function("deed", called.append)
    maker.execute("CREATE VIEW evil AS SELECT deed('done')")
    maker.execute("SELECT * FROM evil").fetchall()
    assert called == ["done"]
    maker.close()
    for connection in (reader := open_reader(path, 1.0), store._writer._connection):
        connection.create_scalar_function("deed", called.append)
        with pytest.raises(apsw.SQLError, match="unsafe use of deed"):
            connection.execute("SELECT * FROM evil").fetchall()
    assert called == ["done"]
    reader.close()
    store.close()


def test_no_statement_is_put_together_of_values() -> None:
    storage = Path(__file__).parents[2] / "src" / "orchestrator" / "storage"
    faults = [
        f"{file.name}: {line.strip()}"
        for file in storage.glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if any(verb in line for verb in ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")) and ("{" in line or "%s" in line)
    ]
    assert faults == []
