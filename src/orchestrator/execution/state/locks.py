"""Locks of a folder of states, between threads, managers and processes alike.

A lock is an `flock` on a small file in the folder: the system lets go of it where a process dies. Names share sixteen
such files, so that changes of one execution wait for each other and those of others seldom do, and nothing has to be
tidied up after an execution: a lock file that is deleted while it is held locks nobody out any more.

Every change makes the lock file first. Where there is none, nothing is being changed and a reader needs no lock: a
folder that is read-only can be read.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.errors import StateFileError

#: The folder of the lock files, beside the states.
LOCKS_FOLDER = ".locks"
_LOCKS = 16


class FolderLocks:
    """The locks of one folder. Thread-safe. A thread that holds one must not ask for another one to write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / LOCKS_FOLDER

    @contextmanager
    def writing(self, stem: str) -> Iterator[None]:
        """Alone with the files of this name. Raises StateFileError where the folder cannot be written or locked."""
        path = self._path(stem)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StateFileError(path, f"it cannot be made, to lock a state: {exc}") from exc
        with _held(path, descriptor, fcntl.LOCK_EX):
            yield

    @contextmanager
    def reading(self, stem: str) -> Iterator[None]:
        """While nobody changes the files of this name. Raises StateFileError where the folder cannot be locked."""
        with self._shared(self._path(stem)):
            yield

    @contextmanager
    def reading_all(self) -> Iterator[None]:
        """While nobody changes any file. Who writes holds one lock at a time, so that none waits in a circle."""
        with ExitStack() as stack:
            for number in range(_LOCKS):
                stack.enter_context(self._shared(self._numbered(number)))
            yield

    def _path(self, stem: str) -> Path:
        return self._numbered(zlib.crc32(stem.encode()) % _LOCKS)

    def _numbered(self, number: int) -> Path:
        return self._folder / f"{number:x}"

    @contextmanager
    def _shared(self, path: Path) -> Iterator[None]:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            yield
            return
        except OSError as exc:
            raise StateFileError(path, f"it cannot be opened, to lock a state: {exc}") from exc
        with _held(path, descriptor, fcntl.LOCK_SH):
            yield


@contextmanager
def _held(path: Path, descriptor: int, kind: int) -> Iterator[None]:
    """Lock an open file, and close it. It is unlocked first: a process forked meanwhile has it open as well."""
    try:
        _flock(path, descriptor, kind)
        try:
            yield
        finally:
            _flock(path, descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _flock(path: Path, descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind)
    except OSError as exc:
        raise StateFileError(path, f"it cannot be locked: {exc}", "keep states on a file system that locks") from exc
