"""A store is brought to the disk also while another process copies the log back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.storage.sqlite import SqliteStore

#: Takes the lock of whoever copies the log back: byte 121 of the shared-memory file, by SQLite's file format.
HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 121)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SQLite's locks are POSIX locks here")
def test_sync_while_another_process_copies_the_log_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db", busy_seconds=0.1)
    shared = str(tmp_path / "journal.db-shm")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, shared], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        store.sync()
    store.close()
