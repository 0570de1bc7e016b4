"""What kind of disk it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """What SQLite is told of the disk, and what the model then takes as given.

    A sector is what is written as a whole, or is torn. With `powersafe_overwrite`, which SQLite takes for granted on
    every disk unless it is told otherwise, the bytes of a sector that are not being written survive a power cut.
    """

    sector_bytes: int = 4096
    powersafe_overwrite: bool = True

    @property
    def lives(self) -> int:
        """How many lives may follow upon each other on it.

        Without powersafe overwrite SQLite pads what it commits to whole sectors, and a log that it took over after a
        cut ends within one all the same: what is written next may then spoil what was synced last. Only one life of
        such a disk is promised anything.
        """
        return 3 if self.powersafe_overwrite else 1
