"""A store whose log was cut off or damaged says so, instead of ending earlier than it did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import Orchestrator, Pipeline, Step
from orchestrator.errors import SchemaError
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.storage.sqlite_mark import mark_path

DIES = """
import os, sys
from orchestrator import Orchestrator, Pipeline, Step
steps = [Step(id=f"s{i}", set_={f"x{i}": i}) for i in range(20)]
app = Orchestrator(sys.argv[1], durability=sys.argv[2])
app.run(Pipeline(pipeline="p", steps=steps), execution_id="x")
os._exit(0)  # the log stays as it is
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A store with everything in its log."""
    return leave(tmp_path, "disk")


def leave(folder: Path, durability: str) -> Path:
    path = folder / "journal.db"
    subprocess.run([sys.executable, "-c", DIES, str(path), durability], check=True, timeout=60)
    assert Path(f"{path}-wal").stat().st_size > 20_000
    return path


def test_a_whole_log_is_read(left: Path) -> None:
    with Orchestrator(left) as app:
        assert len(app.show("x").steps) == 20


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_log_that_ends_too_early_is_told(left: Path, how: str, place: float) -> None:
    log = Path(f"{left}-wal")
    offset = int(log.stat().st_size * place)
    with log.open("r+b") as file:
        if how == "cut":
            file.truncate(offset)
        else:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(SchemaError, match=r"ends before its last \d+ commits.*journal\.db-mark"):
        SqliteStore(left)
    mark_path(left).unlink()  # as the message says
    SqliteStore(left).close()


def test_an_older_copy_is_told_and_a_moved_store_is_not(left: Path, tmp_path: Path) -> None:
    with Orchestrator(left) as app:
        app.run(Pipeline(pipeline="p", steps=[Step(id="a", set_={"y": 1})]))
    copy = tmp_path / "elsewhere.db"
    shutil.copyfile(left, copy)
    SqliteStore(copy).close()
    with Orchestrator(left) as app:
        app.run(Pipeline(pipeline="p", steps=[Step(id="a", set_={"y": 1})]))
    shutil.copyfile(copy, left)
    with pytest.raises(SchemaError, match="an older copy"):
        SqliteStore(left)


def test_a_store_that_was_deleted_begins_anew(left: Path) -> None:
    for part in ("", "-wal", "-shm"):
        Path(f"{left}{part}").unlink()
    SqliteStore(left).close()
    assert not mark_path(left).exists()


def test_what_need_not_be_on_the_disk_is_not_noted(tmp_path: Path) -> None:
    assert not mark_path(leave(tmp_path, "process")).exists()


def test_a_mark_that_cannot_be_written_or_read_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    mark_path(path).mkdir()
    with pytest.raises(IsADirectoryError):
        os.open(mark_path(path), os.O_WRONLY)
    with Orchestrator(path) as app:
        app.run(Pipeline(pipeline="p", steps=[Step(id="a", set_={"y": 1})])).raise_for_status()
