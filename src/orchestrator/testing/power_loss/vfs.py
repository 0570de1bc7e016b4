"""The file layer that records: real files below, a tape beside them.

It stands between SQLite and the layer for this system, which does the work, locks and shared memory included. Syncs are
written down and not made: the files below are the page cache of a machine that will lose it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import apsw

from orchestrator.clock import SystemClock, new_id
from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.tape import Created, Deleted, FileId, Found, Resized, Synced, Tape, Written

#: Files whose first sync through the handle that may make them syncs the folder too (`UNIXFILE_DIRSYNC` in os_unix.c).
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


class RecordingVfs(apsw.VFS):
    """A file layer under a name of its own, `name`, that writes down on `tape` what is done to the files of a folder.

    What is in the folder already counts as being on the disk.
    """

    def __init__(self, folder: Path, device: Device) -> None:
        self.name, self.device = f"recording-{new_id(SystemClock())}", device
        self.tape: Tape = []
        self._files: dict[str, FileId] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        for path in folder.resolve().iterdir():
            self.tape.append(Found(path.name, self._numbered(str(path)), path.read_bytes()))
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file; one without a name holds nothing that outlives its connection, and is not recorded."""
        if name is None:
            return apsw.VFSFile("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self._lock:
            file = _RecordedFile(self, name, flags)
            if path not in self._files:
                self.tape.append(Created(Path(path).name, self._numbered(path)))
            file.number = self._files[path]
        return file

    def _numbered(self, path: str) -> FileId:
        number = self._files[path] = FileId(next(self._numbers))
        return number

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file."""
        with self._lock:
            super().xDelete(filename, False)
            if self._files.pop(filename, None) is not None:
                self.tape.append(Deleted(Path(filename).name, syncdir))


class _RecordedFile(apsw.VFSFile):
    number: FileId

    def __init__(self, vfs: RecordingVfs, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._tape, self._device = vfs.tape, vfs.device
        self._syncs_folder = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _JOURNALS)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._tape.append(Written(self.number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._tape.append(Resized(self.number, newsize))

    def xSync(self, flags: int) -> None:
        self._tape.append(Synced(self.number, self._syncs_folder))
        self._syncs_folder = False

    def xSectorSize(self) -> int:
        return self._device.sector_bytes

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE if self._device.powersafe_overwrite else 0


@contextmanager
def recording(folder: Path, device: Device | None = None) -> Iterator[RecordingVfs]:
    """A recording file layer, known to SQLite in this block; all its connections must be closed when it ends."""
    vfs = RecordingVfs(folder, device or Device())
    try:
        yield vfs
    finally:
        vfs.unregister()
