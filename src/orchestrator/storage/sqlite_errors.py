"""SQLite's errors as ours: what happened, in which file, and what to do.

A lock that is held for half a minute has a holder, and on Linux `/proc/locks` knows it. The file's own locks are never
asked, as that means opening it, and closing any descriptor of a file drops all locks that the process has on it.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from orchestrator.errors import SchemaError, StoreBusyError, StoreError

#: The error class, and what to say about it.
_ADVICE: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "there is no room left on the disk; make room, then `orchestrator resume`"),
    (apsw.ReadOnlyError, "it may not be written; check the rights of the file and of its folder"),
    (apsw.PermissionsError, "it may not be opened; check the rights of the file and of its folder"),
    (apsw.CantOpenError, "it cannot be opened; check that its folder exists and may be written"),
    (apsw.TooBigError, "a value is larger than SQLite takes (1 GB); cut it, or write a file and return its path"),
    (apsw.IOError, "the disk could not be read or written; check the disk, then `orchestrator resume`"),
    (apsw.ConnectionClosedError, "the store is closed; open it again with `open_store`"),
)
_DAMAGED = (apsw.CorruptError, apsw.NotADBError)
#: The byte of the shared-memory file that stands for the right to write; part of SQLite's file format for WAL mode.
_WRITE_LOCK_BYTE = 120


def explained(error: apsw.Error, path: Path, busy_seconds: float = 0.0) -> StoreError:
    """The error that tells a person what to do; `busy_seconds` is how long SQLite has waited for a lock."""
    if isinstance(error, apsw.BusyError):
        return StoreBusyError(str(path), busy_seconds, lock_holders(path))
    if isinstance(error, _DAMAGED):
        return SchemaError(
            f"{path} is damaged, or is no SQLite database ({error}); put back a copy of it, or choose another file"
        )
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return StoreError(f"{path}: {advice} ({error})")
    return StoreError(f"{path}: SQLite reports {type(error).__name__} ({error}); try again, or choose another file")


def lock_holders(path: Path) -> list[str]:
    """The processes that have the right to write now, as `process 4711 (python)`; empty where that cannot be known."""
    try:
        inode = Path(f"{path}-shm").stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    locks = (line.split() for line in lines if "->" not in line)
    pids = {fields[4] for fields in locks if len(fields) == 8 and _is_write_lock(fields, inode)}
    return [f"process {pid}{_name_of(pid)}" for pid in sorted(pids)]


def _is_write_lock(fields: list[str], inode: int) -> bool:
    """Whether a line of `/proc/locks`, `1: POSIX ADVISORY WRITE pid device:inode start end`, is the write lock."""
    start, end = fields[6:8]
    return (
        fields[3] == "WRITE"
        and fields[5].endswith(f":{inode}")
        and int(start) <= _WRITE_LOCK_BYTE
        and (end == "EOF" or int(end) >= _WRITE_LOCK_BYTE)
    )


def _name_of(pid: str) -> str:
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()})"
    except OSError:
        return ""
