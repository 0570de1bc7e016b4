"""`orchestrator du`: where the bytes are, of a store and of one execution."""

from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.cli_session import as_json, orchestrator, write_pipeline

from orchestrator.storage import open_store
from orchestrator.types import BlobHash

#: Of bytes that do not compress, so that they take in the store what they are.
LARGE = 300_000
HANDLERS = f"""
import random

def large(seed): return random.Random(seed).randbytes({LARGE})
def give(value): return value
def loud(value):
    print("x" * 1000)
    return value
"""
#: A large value that a second step hands on, a loop, a variable that is written twice.
STEPS = (
    "{id: make, call: 'handlers:large', with: {seed: '${seed}'}}",
    "{id: hand_on, call: 'handlers:give', with: {value: '${make}'}}",
    "{id: many, for_each: '${range(50)}', as: i, call: 'handlers:give', with: {value: '${i}'}}",
    "{id: first, set: {text: aaaaaaaaaaaaaaaaaaaa}, needs: [many]}",
    "{id: second, set: {text: bbbbbbbbbbbbbbbbbbbb}, needs: [first]}",
    "{id: talk, call: 'handlers:loud', with: {value: 1}}",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` and `two` made the same large value, `three` another one."""
    folder = tmp_path_factory.mktemp("du")
    write_pipeline(folder, *STEPS, rest="inputs: {seed: {type: integer}}\n")
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    for name, seed in (("one", 1), ("two", 1), ("three", 3)):
        orchestrator(folder, "run", "pipeline.yaml", "--id", name, "-i", f"seed={seed}", "--quiet")
    return folder


def by(name: str, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row[name]: row for row in rows}


def test_executions_and_what_they_share(shop: Path) -> None:
    found = as_json(shop, "du")
    rows = by("execution_id", found["executions"])
    assert set(rows) == {"one", "two", "three"}
    assert {name: row["value_bytes"] // LARGE for name, row in rows.items()} == dict.fromkeys(rows, 1)
    assert [rows[name]["shared_bytes"] == rows[name]["value_bytes"] for name in ("one", "two", "three")] == [1, 1, 0]
    assert rows["three"]["shared_bytes"] == 0
    assert found["value_bytes"] == rows["one"]["value_bytes"] + rows["three"]["value_bytes"]
    assert found["unused_bytes"] == 0
    assert found["file_bytes"] + found["log_bytes"] > found["journal_bytes"] + found["value_bytes"]


def test_steps_add_up_to_the_journal_and_largest_come_first(shop: Path) -> None:
    found = as_json(shop, "du", "three", "--limit", 100)
    steps = by("step", found["steps"])
    assert set(steps) == {None, "make", "hand_on", "many", "first", "second", "talk"}
    assert sum(step["journal_bytes"] for step in found["steps"]) == found["journal_bytes"]
    for rows in (found["steps"], found["variables"]):
        assert [row["total_bytes"] for row in rows] == sorted((row["total_bytes"] for row in rows), reverse=True)
    assert steps["many"]["events"] >= 51
    assert steps["talk"]["note_bytes"] == found["note_bytes"] >= 1000
    (whole,) = (row for row in as_json(shop, "du")["executions"] if row["execution_id"] == "three")
    assert whole == {name: found[name] for name in whole}


def test_a_value_that_two_steps_have_is_shared_and_counts_once_in_the_whole(shop: Path) -> None:
    found = as_json(shop, "du", "three")
    for rows in (by("step", found["steps"]), by("variable", found["variables"])):
        for name in ("make", "hand_on"):
            assert rows[name]["value_bytes"] == rows[name]["shared_bytes"] == found["value_bytes"] >= LARGE
    assert found["shared_bytes"] == 0
    assert as_json(shop, "du", "one")["shared_bytes"] == found["value_bytes"]


def test_variables_with_their_versions(shop: Path) -> None:
    variables = by("variable", as_json(shop, "du", "one", "--limit", 100)["variables"])
    assert variables["text"]["versions"] == 2
    assert variables["many"]["versions"] == 50
    assert variables["seed"]["versions"] == 1


def test_for_a_person(shop: Path) -> None:
    lines = orchestrator(shop, "du", "--limit", 1).stdout.splitlines()
    assert lines[0].split()[:4] == ["EXECUTION", "APPENDS", "JOURNAL", "VALUES"]
    assert lines[2] == "… and 2 smaller ones; `--limit` shows more"
    assert lines[-1].startswith("3 executions · journals ")
    assert "values 600 kB" in lines[-1]
    lines = orchestrator(shop, "du", "one").stdout.splitlines()
    assert lines[0].startswith("one · ")
    assert "values 300 kB (300 kB shared with other executions)" in lines[0]
    assert lines[2].split()[0] == "STEP"
    assert "(no step)" in "\n".join(lines)


def test_values_that_nobody_refers_to_are_told(shop: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "j.db"))
    store.put_blobs([(BlobHash(bytes(32)), b"x" * 100)])
    store.close()
    assert as_json(tmp_path, "du", "--store", "j.db")["unused_bytes"] > 0


def test_an_id_that_is_not_there_is_the_error_of_show(shop: Path) -> None:
    told = [orchestrator(shop, command, "onne", exits=2) for command in ("show", "du")]
    assert told[0].stderr == told[1].stderr != ""
    assert [done.stdout for done in told] == ["", ""]


def test_looking_where_nothing_is_leaves_nothing(tmp_path: Path) -> None:
    assert "no executions yet" in orchestrator(tmp_path, "du").stdout
    assert as_json(tmp_path, "du")["executions"] == []
    assert "no execution 'x'" in orchestrator(tmp_path, "du", "x", exits=2).stderr
    assert list(tmp_path.iterdir()) == []
