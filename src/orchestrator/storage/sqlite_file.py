"""The database file: made with care, opened with the settings that the promises rest on.

Write-ahead log, so that readers never wait for the writer nor the writer for them. `synchronous=FULL` makes every
commit reach the disk; with NORMAL the log is synced only before it is copied back, which survives the death of the
process but may lose the last commits with the power. SQLite's habit of copying back every thousand pages stays: a short
log that is written over again and again needs no new disk blocks, which makes each sync cheaper than a long one does.
Memory-mapped reading stays off: a disk error under it is a SIGBUS, which no handler can turn into a message.
`auto_vacuum` can only be chosen while the file is empty, hence now.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from itertools import takewhile
from pathlib import Path

import apsw

from orchestrator.errors import StoreError
from orchestrator.storage.sqlite_errors import explained
from orchestrator.storage.sqlite_mark import mark_path
from orchestrator.storage.sqlite_schema import Schema, bring_up_to_date, version_of

#: Bytes at which the log is cut back to after it was copied; what stays is written over without growing the file.
_LOG_BYTES = 16 * 1024 * 1024
_SETTINGS = {"cache_size": -8192, "temp_store": "MEMORY", "journal_size_limit": _LOG_BYTES, "trusted_schema": 0}
_INCREMENTAL = 2
_PAUSE_SECONDS = 0.01


def open_writer(path: Path, schema: Schema, busy_seconds: float, vfs: str | None = None) -> apsw.Connection:
    """A connection for writing; the file, its folder and its tables are made where they are missing.

    `vfs` names a file layer that SQLite knows (None: its default), such as one that counts syncs.
    """
    try:
        _make_folder(path)
        connection = _connect(path, vfs)
    except UnicodeEncodeError as exc:
        raise StoreError(f"{str(path)!a} is not UTF-8, as SQLite needs it; choose another place") from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be made: {exc.strerror}; choose another place with `--store`") from exc
    except apsw.Error as exc:
        raise explained(exc, path) from exc
    try:
        _prepare(connection, path, schema, busy_seconds)
    except apsw.Error as exc:
        connection.close()
        raise explained(exc, path, busy_seconds) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, busy_seconds: float, vfs: str | None = None) -> apsw.Connection:
    """A connection that cannot write."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
        connection.set_busy_timeout(int(busy_seconds * 1000))
        connection.pragma("cache_size", -4096)
        connection.pragma("trusted_schema", 0)
    except apsw.Error as exc:
        raise explained(exc, path, busy_seconds) from exc
    return connection


def sync_log(path: Path) -> None:
    """Bring the log to the disk. (No lock is lost by opening it: SQLite locks the other two files.)"""
    log = Path(f"{path}-wal")
    if log.exists():
        _sync(log, os.O_RDWR)


def _make_folder(path: Path) -> None:
    """The file's folder and those above it, for this user alone. What exists is left as it is."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it, such as {path / 'journal.db'}")
    missing = [*takewhile(lambda folder: not folder.exists(), path.parents)]
    for folder in reversed(missing):  # one by one: `parents=True` gives those above the rights that anybody gets
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent, os.O_RDONLY)


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    """Open the file, which is made where it is missing. What SQLite makes beside it later gets the same rights."""
    is_new = not path.exists()
    if is_new:
        with contextlib.suppress(OSError):
            mark_path(path).unlink()  # of one that was deleted
        _make_private(path)
    connection = apsw.Connection(str(path), vfs=vfs)
    if is_new:
        path.chmod(0o600)
        _sync(path.parent, os.O_RDONLY)
    return connection


def _make_private(path: Path) -> None:
    """An empty file for this user alone, from its first moment on: who has opened a file keeps it.

    It is made under another name: were it opened under its own, our closing it would drop the locks of a store that
    another thread has just opened on it. Where that is not possible, SQLite makes the file, or says why it cannot.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    with contextlib.suppress(OSError):
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            os.link(draft, path)
        finally:
            draft.unlink()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prepare(connection: apsw.Connection, path: Path, schema: Schema, busy_seconds: float) -> None:
    connection.set_busy_timeout(int(busy_seconds * 1000))
    if version_of(connection, schema, path) == 0:
        connection.pragma("auto_vacuum", _INCREMENTAL)
    connection.set_busy_timeout(0)
    _switch_to_log(connection, path, int(busy_seconds / _PAUSE_SECONDS))
    connection.set_busy_timeout(int(busy_seconds * 1000))
    for name, value in _SETTINGS.items():
        connection.pragma(name, value)
    bring_up_to_date(connection, schema, path)


def _switch_to_log(connection: apsw.Connection, path: Path, attempts: int) -> None:
    """Switch to write-ahead logging. Of two that do so at one moment SQLite refuses one, and does not always wait."""
    while (mode := _try_log(connection)) is None and attempts > 0:
        attempts -= 1
        time.sleep(_PAUSE_SECONDS)
    if mode is None:
        mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreError(f"{path} lies on a file system without shared memory for locks; choose a local disk")


def _try_log(connection: apsw.Connection) -> str | None:
    try:
        return str(connection.pragma("journal_mode", "wal"))
    except apsw.BusyError:
        return None
