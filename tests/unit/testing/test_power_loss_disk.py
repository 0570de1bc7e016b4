"""The model of a disk: what it may do to files, and what it may not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw
import pytest

from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.disk import Disk, Image
from orchestrator.testing.power_loss.tape import (
    Created,
    Deleted,
    FileId,
    Found,
    Operation,
    Resized,
    Synced,
    Written,
)
from orchestrator.testing.power_loss.vfs import recording

ONE, TWO = FileId(1), FileId(2)
SECTOR = 512
OLD, NEW = b"o" * SECTOR, b"n" * SECTOR


def images(*operations: Operation, powersafe: bool = True, draws: int = 300) -> list[Image]:
    disk = Disk(Device(SECTOR, powersafe))
    for operation in operations:
        disk.apply(operation)
    return [disk.after_power_loss(Random(seed)) for seed in range(draws)]


def contents(*operations: Operation, powersafe: bool = True) -> set[bytes]:
    return {image["f"] for image in images(Found("f", ONE, OLD + OLD), *operations, powersafe=powersafe)}


def test_what_was_synced_is_there() -> None:
    assert contents(Written(ONE, 0, NEW), Synced(ONE, False)) == {NEW + OLD}


def test_any_subset_of_the_rest_survives() -> None:
    found = contents(Written(ONE, 0, NEW), Written(ONE, SECTOR, NEW))
    assert {OLD + OLD, NEW + OLD, OLD + NEW, NEW + NEW} <= found


def test_a_sector_holds_what_it_held_at_some_moment() -> None:
    found = contents(Written(ONE, 0, b"1" * SECTOR), Written(ONE, 0, b"2" * SECTOR))
    assert {content[:SECTOR] for content in found} >= {OLD, b"1" * SECTOR, b"2" * SECTOR}
    assert {content[SECTOR:] for content in found} == {OLD}


def test_a_sector_is_torn() -> None:
    found = contents(Written(ONE, 0, NEW))
    torn = [content for content in found if content[:1] == b"n" and content[SECTOR - 1 : SECTOR] == b"o"]
    assert torn
    assert all(set(content) <= set(b"no") for content in torn)
    assert any(not set(content) <= set(b"no") for content in found), "no garbage"


def test_bytes_that_nobody_writes_survive_where_the_disk_says_so() -> None:
    write = Written(ONE, 100, b"n" * 10)
    beside = {content[:100] + content[110:] for content in contents(write)}
    assert beside == {OLD[:100] + OLD[110:] + OLD}
    beside = {content[:100] + content[110:SECTOR] for content in contents(write, powersafe=False)}
    assert len(beside) > 1
    assert {content[SECTOR:] for content in contents(write, powersafe=False)} == {OLD}


def test_a_size_is_that_of_some_moment() -> None:
    found = contents(Resized(ONE, 0), Written(ONE, 0, NEW))
    assert {len(content) for content in found} == {0, SECTOR, 2 * SECTOR}
    grown = contents(Written(ONE, 4 * SECTOR, NEW))
    assert {len(content) for content in grown} == {2 * SECTOR, 5 * SECTOR}
    holes = {content[2 * SECTOR : 4 * SECTOR] for content in grown if len(content) > 2 * SECTOR}
    assert bytes(2 * SECTOR) in holes
    assert len(holes) > 1, "what the disk held by accident is never seen"


def test_a_name_is_certain_once_its_folder_was_synced() -> None:
    made = Created("f", ONE), Written(ONE, 0, NEW), Synced(ONE, False)
    assert {tuple(image) for image in images(*made)} == {(), ("f",)}
    assert {image.get("f") for image in images(*made)} == {None, NEW}
    assert {tuple(image) for image in images(*made, Created("g", TWO), Synced(TWO, True))} == {("f", "g")}


@pytest.mark.parametrize("folder_synced", [True, False])
def test_a_deleted_file_may_come_back(folder_synced: bool) -> None:
    found = images(Found("f", ONE, OLD), Deleted("f", folder_synced))
    assert {tuple(image) for image in found} == ({()} if folder_synced else {(), ("f",)})


def test_another_file_of_the_same_name_is_another_file() -> None:
    found = images(
        Found("f", ONE, OLD), Deleted("f", False), Created("f", TWO), Written(TWO, 0, NEW), Synced(TWO, False)
    )
    assert {image.get("f") for image in found} == {None, OLD, NEW}


def test_the_tape_plays_back_to_the_files(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OLD)
    with recording(tmp_path) as vfs:
        connection = apsw.Connection(str(tmp_path / "a.db"), vfs=vfs.name)
        connection.pragma("journal_mode", "wal")
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(9000))")
        reader = apsw.Connection(str(tmp_path / "a.db"), vfs=vfs.name)
        assert reader.execute("SELECT length(x) FROM t").get == 9000
        disk = Disk(vfs.device)
        for operation in vfs.tape:
            disk.apply(operation)
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}
        reader.close()
        connection.close()
    assert vfs.name not in apsw.vfs_names()
    for file in {operation.file for operation in vfs.tape if isinstance(operation, Created)}:
        disk.apply(Synced(file, True))
    assert disk.after_power_loss(Random(0)) == files
