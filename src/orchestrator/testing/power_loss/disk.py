"""A disk with one folder: plays a tape, and can lose power at any moment of it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TypeAlias

from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.sectors import FileOnDisk
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

#: The files that are there when the power comes back, by name.
Image: TypeAlias = Mapping[str, bytes]
#: A name reaches the disk in its last state this often, where its folder was not synced.
_LIKELY = 0.6


class Disk:
    """Files and their names, as far as they are certain and as far as they are not."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._files: dict[FileId, FileOnDisk] = {}
        #: What each name stood for since the folder was synced, the certain one first; None where there is no file.
        self._names: dict[str, list[FileId | None]] = {}

    def apply(self, operation: Operation) -> None:
        """Take in what is done to a file; what else is on a tape is no matter of a disk."""
        match operation:
            case Found(name=name, file=file, data=data):
                self._files[file] = FileOnDisk(bytearray(data))
                self._names[name] = [file]
            case Created(name=name, file=file):
                self._files[file] = FileOnDisk()
                self._names.setdefault(name, [None]).append(file)
            case Deleted(name=name, folder_synced=folder_synced):
                self._names[name].append(None)
                self._sync_folder(folder_synced)
            case Written(file=file) | Resized(file=file):
                self._files[file].unsynced.append(operation)
            case Synced(file=file, folder=folder):
                self._files[file].sync()
                self._sync_folder(folder)

    def _sync_folder(self, wanted: bool) -> None:
        if wanted:
            self._names = {name: files[-1:] for name, files in self._names.items()}

    def after_power_loss(self, chance: Random) -> Image:
        """What may be left."""
        found = {name: self._stands_for(name, chance) for name in self._names}
        return {
            name: self._files[file].after_power_loss(self._device, chance)
            for name, file in found.items()
            if file is not None
        }

    def _stands_for(self, name: str, chance: Random) -> FileId | None:
        files = self._names[name]
        return files[-1] if chance.random() < _LIKELY else chance.choice(files)
