"""No query walks a whole table, whatever the number of executions; each has a name, a sentence and a user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import apsw
import pytest

from orchestrator.storage import queries
from orchestrator.storage.queries import SQL_FOLDER, load_queries
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.store_contract.given import Given

SQL: Mapping[str, str] = load_queries()
#: These walk an index from its new end and stop at their limit.
NEWEST_FIRST = {"find_newest", "recent_ids"}
#: These count what is there, for a person who asks for it: each row once, in the order of an index or of the table.
COUNTS = {"journal_bytes", "note_bytes", "all_blob_bytes"}
#: These look at every process that has something: few, whatever the number of executions.
OWNERS = {"owners"}
#: Walks that are no table of ours: the statuses that were asked for, a row of constants, keys that were just looked up.
HARMLESS = re.compile(r"SCAN (json_each|CONSTANT ROW|value|queue|wanted)")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    path = tmp_path_factory.mktemp("plans") / "journal.db"
    store = SqliteStore(path)
    for index in range(20):
        Given().created(store, f"e{index}")
    store.close()
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


def plan(database: apsw.Connection, sql: str) -> list[str]:
    bindings = dict.fromkeys(re.findall(r":(\w+)", sql)) or (None,) * sql.count("?")
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]


@pytest.mark.parametrize("name", sorted(SQL))
def test_no_query_walks_a_table(database: apsw.Connection, name: str) -> None:
    steps = [step for step in plan(database, SQL[name]) if not HARMLESS.match(step)]
    scans = [step for step in steps if step.startswith("SCAN")]
    if name in NEWEST_FIRST:
        assert all("USING" in scan and "INDEX execution_newest" in scan for scan in scans)
        assert not any("TEMP B-TREE" in step for step in steps)
    elif name in COUNTS:
        assert len(scans) == 1
        assert not any("TEMP B-TREE" in step for step in steps)
    else:
        assert scans == (["SCAN owner"] if name in OWNERS else [])


@pytest.mark.parametrize(
    "name",
    [
        "advance",
        "journal_page",
        "feed",
        "find_one",
        "inbox",
        "posted_since",
        "find_due",
        "find_waiting",
        "next_due",
        "find_queue",
        "queue_head",
        "find_begun",
        "wake",
    ],
)
def test_the_hot_ones_do_not_sort(database: apsw.Connection, name: str) -> None:
    assert not any("TEMP B-TREE" in step for step in plan(database, SQL[name]))


def test_listings_use_the_index_that_tells_most(database: apsw.Connection) -> None:
    for name, index in (
        ("find_due", "execution_due"),
        ("find_unfinished", "execution_unfinished"),
        ("find_one", "execution_id=?"),
        ("find_waiting", "execution_waiting"),
        ("next_due", "execution_waiting"),
        ("find_queue", "execution_queue"),
        ("queue_head", "execution_queue"),
        ("find_begun", "execution_begun"),
        ("find_heads", "execution_queue"),
        ("find_heads", "execution_begun"),
        ("find_owned", "execution_owner"),
        ("wake", "message_execution"),
        ("forget_owner", "execution_owner"),
    ):
        assert any(index in step for step in plan(database, SQL[name])), name


def test_advancing_touches_no_index(database: apsw.Connection) -> None:
    """Each index that it changed would cost every commit a page."""
    changed = set(re.findall(r"(\w+) = ", SQL["advance"].partition("SET")[2].partition("WHERE")[0]))
    indexed = {
        column
        for (index,) in database.execute("SELECT name FROM pragma_index_list('execution')")
        for (column,) in database.execute("SELECT name FROM pragma_index_info(?)", (index,))
    }
    assert changed & indexed == set()
    assert "position" in changed


def test_every_query_has_a_sentence_and_a_user() -> None:
    sources = "".join(file.read_text() for file in Path(queries.__file__).parent.glob("*.py"))
    for file in SQL_FOLDER.glob("*.sql"):
        for name, sentence in re.findall(r"^-- name: (\w+)\n-- ([^\n]+)", file.read_text(), re.MULTILINE):
            assert f'"{name}"' in sources, f"nobody uses {name}"
            assert sentence[0].isupper(), name
    assert all(re.search(rf"-- name: {name}\n-- \w", _all_sql()) for name in SQL)


def _all_sql() -> str:
    return "".join(file.read_text() for file in SQL_FOLDER.glob("*.sql"))
