"""One file on a disk: what is certain of it, and what may be left of the rest.

The disk writes sectors of the page cache when it likes, so that after a power cut each sector holds what the cache held
of it at some moment since the last sync. `Survivor` follows the cache and keeps those moments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.tape import Resized, Written

#: How many of the unsynced sectors reach the disk in their last state, from none to all: each is drawn for some file.
_LUCK = (0.0, 0.2, 0.8, 0.97, 1.0)
_TORN, _GARBAGE, _STALE = 0.3, 0.3, 0.3

Change: TypeAlias = Written | Resized


def perform(change: Change, content: bytearray) -> None:
    """Do to the content of a file what was done to the file."""
    match change:
        case Written(offset=offset, data=data):
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
        case Resized(size=size):
            del content[size:]
            content.extend(bytes(size - len(content)))


@dataclass(slots=True)
class FileOnDisk:
    """A file: what its last sync made certain, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is certain now."""
        for change in self.unsynced:
            perform(change, self.durable)
        self.unsynced.clear()

    def after_power_loss(self, device: Device, chance: Random) -> bytes:
        """What may be left of it."""
        survivor = Survivor(self.durable, device, chance)
        for change in self.unsynced:
            survivor.follow(change)
        return survivor.draw()


class Survivor:
    """The states in which each sector was since the last sync, and a draw among them."""

    def __init__(self, durable: bytearray, device: Device, chance: Random) -> None:
        self._durable, self._device, self._chance = durable, device, chance
        self._now = bytearray(durable)
        self._sizes = [len(durable)]
        self._states: dict[int, list[bytes]] = {}
        self._written: dict[int, list[slice]] = {}

    def follow(self, change: Change) -> None:
        """Take down what a change does to each sector."""
        size = self._device.sector_bytes
        begin, end = _span(change, len(self._now))
        sectors = range(begin // size, -(-end // size))
        for sector in sectors:
            self._states.setdefault(sector, [self._sector(self._now, sector)])
        perform(change, self._now)
        for sector in sectors:
            self._states[sector].append(self._sector(self._now, sector))
            within = slice(max(0, begin - sector * size), min(size, end - sector * size))
            self._written.setdefault(sector, []).append(within)
        self._sizes.append(len(self._now))

    def _sector(self, content: bytearray, sector: int) -> bytes:
        size = self._device.sector_bytes
        return bytes(content[sector * size : (sector + 1) * size]).ljust(size, b"\0")

    def draw(self) -> bytes:
        """A content that the file may have after a power cut now."""
        luck = self._chance.choice(_LUCK)
        size = self._sizes[-1] if self._lucky(luck) else self._chance.choice(self._sizes)
        content = bytearray(self._durable[:size]).ljust(size, b"\0")
        sector_bytes = self._device.sector_bytes
        never_synced = range(len(self._durable) // sector_bytes, -(-size // sector_bytes))
        for sector in sorted({*self._states, *never_synced}):
            content[sector * sector_bytes : (sector + 1) * sector_bytes] = self._left_of(sector, luck)
        return bytes(content[:size])

    def _lucky(self, luck: float) -> bool:
        return self._chance.random() < luck

    def _left_of(self, sector: int, luck: float) -> bytes:
        states = self._states.get(sector) or [self._sector(self._durable, sector)]
        if self._lucky(luck):
            return states[-1]
        moment = self._chance.randrange(len(states))
        left = states[moment] if moment else self._first(sector, states[0])
        return self._torn(sector, left, states[moment:]) if self._lucky(_TORN) else left

    def _first(self, sector: int, state: bytes) -> bytes:
        """What was there before anything was written: where the file did not reach, what the disk held by accident."""
        reaches = sector * self._device.sector_bytes < len(self._durable)
        return state if reaches or not self._lucky(_STALE) else self._chance.randbytes(len(state))

    def _torn(self, sector: int, left: bytes, later: list[bytes]) -> bytes:
        """A sector whose writing was broken off."""
        if sector in self._written and self._lucky(_GARBAGE):
            whole = slice(0, len(left))
            spoilt = self._chance.choice(self._written[sector]) if self._device.powersafe_overwrite else whole
            torn = bytearray(left)
            torn[spoilt] = self._chance.randbytes(spoilt.stop - spoilt.start)
            return bytes(torn)
        upto = self._chance.randrange(len(left))
        return self._chance.choice(later)[:upto] + left[upto:]


def _span(change: Change, size: int) -> tuple[int, int]:
    """The bytes of a file of this size that a change may alter."""
    match change:
        case Written(offset=offset, data=data):
            return min(offset, size), offset + len(data)
        case Resized(size=new):
            return min(size, new), max(size, new)
