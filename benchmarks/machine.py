"""The machine: how fast its disk commits just now, what it is, what a folder holds."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import apsw

_NOT_DISKS = {"tmpfs", "ramfs"}


class NotOnDiskError(Exception):
    """The folder of the measurement is held in memory, where a sync costs nothing."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        super().__init__(f"{folder} is on {kind}, where syncing is free; give a folder on a disk with --folder")


def raw_commit_seconds(folder: Path, commits: int = 100) -> float:
    """The mean time of one commit of a row of 100 bytes, now: WAL, synchronous FULL, nothing else."""
    file = folder / "raw.db"
    connection = apsw.Connection(str(file))
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", "create table t(a integer primary key, b)"):
        connection.execute(statement).fetchall()
    body = b"x" * 100
    started = time.perf_counter()
    for number in range(commits):
        connection.execute("insert into t values(?, ?)", (number, body))
    seconds = (time.perf_counter() - started) / commits
    connection.close()
    file.unlink()
    return seconds


def stored(folder: Path) -> dict[str, float]:
    """Bytes of all files in a folder, and rows of all tables of the SQLite files among them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    databases = [path for path in files if _is_sqlite(path)]  # opening one removes files beside it
    return {"disk_bytes": size, "rows": sum(map(_rows, databases))}


def facts(folder: Path) -> dict[str, str]:
    """What a reader must know of the machine."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(folder),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
    }


def filesystem(folder: Path) -> str:
    """The kind of file system that holds a folder. Raises NotOnDiskError for one in memory."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    kind = max(holding)[1]
    if kind in _NOT_DISKS:
        raise NotOnDiskError(folder, kind)
    return kind


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def _rows(path: Path) -> int:
    connection = apsw.Connection(str(path))
    try:
        names = connection.execute("select name from sqlite_master where type='table' and name not like 'sqlite_%'")
        return sum(connection.execute(f'select count(*) from "{name}"').get for (name,) in names.fetchall())
    finally:
        connection.close()
