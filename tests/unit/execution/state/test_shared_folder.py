"""Many managers and processes, each with its own format, in one folder: nothing is lost, and no load fails."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StateFileError
from orchestrator.execution.state import ExecutionContext, FileStateManager, PersistenceFormat
from orchestrator.execution.state.locks import FolderLocks, _held

JSON, MSGPACK = PersistenceFormat.JSON, PersistenceFormat.MSGPACK


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def at_once(*jobs: Callable[[], object]) -> None:
    """Run them in threads, all begun together; raise the first fault."""
    faults: list[BaseException] = []
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        barrier.wait()
        try:
            job()
        except BaseException as exc:  # noqa: BLE001 - raised below
            faults.append(exc)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


class Meanwhile(FileStateManager):
    """Calls what it was given each time just after, or in the midst of, having looked for the files of a state."""

    def __init__(self, state_dir: Path, *calls: Callable[[], object], blind: bool = False) -> None:
        super().__init__(state_dir)
        self.calls, self.blind = list(calls), blind

    def _files(self, stem: str) -> list[Path]:
        found = super()._files(stem)
        if self.calls:
            self.calls.pop(0)()
            return [] if self.blind else found
        return found


def test_managers_of_two_formats_save_at_once(tmp_path: Path) -> None:
    context = ExecutionContext("run", "p")
    managers = [FileStateManager(tmp_path, kind) for kind in (JSON, MSGPACK)]
    managers[0].save_state(context)
    ended = threading.Event()

    def save(manager: FileStateManager) -> None:
        for _ in range(60):
            assert manager.save_state(context) is True
            assert manager.load_state("run") is not None
        ended.set()

    def look() -> None:
        while not ended.is_set():
            assert managers[0].load_state("run") is not None
            assert managers[1].list_states() == ["run"]

    at_once(lambda: save(managers[0]), lambda: save(managers[1]), look)
    assert len(files(tmp_path)) == 1
    assert managers[0].load_state("run") is not None


SAVE = """
import sys
from orchestrator.execution.state import ExecutionContext, FileStateManager, PersistenceFormat
manager = FileStateManager(sys.argv[1], PersistenceFormat(sys.argv[2]))
context = ExecutionContext("run", "p")
print("ready", flush=True)
input()
for _ in range(60):
    assert manager.save_state(context) is True
    assert manager.load_state("run") is not None
"""


def test_processes_of_two_formats_save_at_once(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVE, str(tmp_path), kind], stdin=pipe, stdout=pipe, stderr=pipe)
        for kind in (JSON, MSGPACK)
    ]
    for saver in savers:
        assert saver.stdout is not None
        assert saver.stdout.readline() == b"ready\n"
    for saver in savers:
        assert saver.stdin is not None
        saver.stdin.write(b"\n")
        saver.stdin.flush()
    said = [saver.communicate()[1] for saver in savers]
    assert said == [b"", b""]
    assert len(files(tmp_path)) == 1
    assert FileStateManager(tmp_path).load_state("run") is not None


def is_locked(folder: Path, stem: str) -> bool:
    """Whether somebody else would have to wait."""
    with FolderLocks(folder)._path(stem).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_state_is_exported_under_the_lock(tmp_path: Path) -> None:
    """So that of two saves of one context at once the later never holds less."""
    locked: list[bool] = []

    class Watched(ExecutionContext):
        def export_state(self) -> dict[str, Any]:
            locked.append(is_locked(tmp_path, "run"))
            return super().export_state()

    FileStateManager(tmp_path).save_state(Watched("run", "p"))
    assert locked == [True]
    assert not is_locked(tmp_path, "run")


def test_a_file_that_vanishes_while_it_is_loaded_was_replaced(tmp_path: Path) -> None:
    context = ExecutionContext("run", "p")
    first, second = FileStateManager(tmp_path), FileStateManager(tmp_path, MSGPACK)
    first.save_state(context)
    loaded = Meanwhile(tmp_path, lambda: second.save_state(context), lambda: first.save_state(context)).load_state(
        "run"
    )
    assert loaded is not None
    gone = Meanwhile(tmp_path, lambda: first.delete_state("run"))
    assert gone.load_state("run") is None


def test_a_load_that_finds_nothing_makes_sure(tmp_path: Path) -> None:
    """Looking for six names is no single moment: a state may change its name in between."""
    context = ExecutionContext("run", "p")
    FileStateManager(tmp_path).save_state(context)
    switch = FileStateManager(tmp_path, MSGPACK)
    assert Meanwhile(tmp_path, lambda: switch.save_state(context), blind=True).load_state("run") is not None


@pytest.mark.parametrize("newest", [JSON, MSGPACK])
def test_the_newest_of_several_files_counts(tmp_path: Path, newest: PersistenceFormat) -> None:
    for kind in (JSON, MSGPACK):
        context = ExecutionContext("run", kind)
        FileStateManager(tmp_path / kind, kind).save_state(context)
        (path,) = (path for path in (tmp_path / kind).iterdir() if path.is_file())
        os.utime(path, (2, 2) if kind is newest else (1, 1))
        path.rename(tmp_path / path.name)
    loaded = FileStateManager(tmp_path).load_state("run")
    assert loaded is not None
    assert loaded.pipeline_id == newest


def test_a_clean_up_looks_again_under_the_lock(tmp_path: Path) -> None:
    """A file that seemed old may be being saved by somebody else."""
    locked: list[bool] = []

    class Watched(FileStateManager):
        def _delete_ended(self, path: Path, limit: float) -> None:
            locked.append(is_locked(tmp_path, "old"))
            os.utime(path, (4e9, 4e9))
            super()._delete_ended(path, limit)

    old = ExecutionContext("old", "p")
    old.cancel_execution()
    FileStateManager(tmp_path).save_state(old)
    os.utime(tmp_path / "old.state.json", (0, 0))
    Watched(tmp_path).save_state(ExecutionContext("new", "p"))
    assert locked == [True]
    assert files(tmp_path) == ["new.state.json", "old.state.json"]


# -- the locks ---------------------------------------------------------------------------------------------------------


def test_a_lock_is_let_go_of_although_a_forked_process_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    forked, other = os.dup(descriptor), os.open(path, os.O_RDWR)
    try:
        with _held(path, descriptor, fcntl.LOCK_EX), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(forked)
        os.close(other)


def test_a_lock_is_let_go_of_where_the_block_fails(tmp_path: Path) -> None:
    locks = FolderLocks(tmp_path)
    with pytest.raises(ValueError, match="no"), locks.writing("run"):
        raise ValueError("no")
    with locks.writing("run"):
        pass


def test_readers_share_and_need_no_lock_where_nobody_has_written(tmp_path: Path) -> None:
    locks = FolderLocks(tmp_path)
    with locks.reading("run"), locks.reading_all():
        assert list(tmp_path.iterdir()) == []
    with locks.writing("run"):
        pass
    with locks.reading("run"), locks.reading_all(), locks.reading("run"):
        pass


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path / "states")
    (tmp_path / "states").rmdir()
    assert manager.load_state("run") is None
    assert manager.delete_state("run") is False
    with pytest.raises(StateFileError, match="cannot be made"):
        manager.save_state(ExecutionContext("run", "p"))
