"""Cuts at random places of recorded lives, and of the lives that follow upon a cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from orchestrator.testing.power_loss.check import Broken, check
from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.disk import Disk, Image
from orchestrator.testing.power_loss.life import Life, record_life
from orchestrator.testing.power_loss.tally import Tally
from orchestrator.testing.power_loss.tape import Acknowledged, Found, Posted, Tape, Witnessed, Written, shown
from orchestrator.testing.power_loss.work import Work, make_work

DEVICES = tuple(Device(sector_bytes, powersafe) for powersafe in (True, False) for sector_bytes in (512, 4096))
#: Places per recorded life, and disks drawn at each.
PLACES, DISKS = 40, 2


@dataclass(frozen=True, slots=True)
class Left:
    """What a cut left: the files, and what was promised until then."""

    image: Image
    witnessed: Sequence[Witnessed] = ()


@dataclass(slots=True)
class PowerCuts:
    """Makes cuts; `folder` is for what they need, and keeps a disk that breaks a promise.

    With `synced` False commits do not wait for the disk. `acknowledged` False asks only for what holds even then: the
    database is sound, and its executions go on to the same end. `disk_for` gives the disk that plays a tape; one that
    is not what SQLite was told plants a fault.
    """

    folder: Path
    chance: Random
    synced: bool = True
    acknowledged: bool = True
    devices: Sequence[Device] = DEVICES
    disk_for: Callable[[Device], Disk] = Disk
    places: int = PLACES
    tally: Tally = field(default_factory=Tally)

    def make(self, cuts: int, say: Callable[[str], object] = lambda _line: None) -> Tally:
        """At least so many. Raises Broken where a promise was broken."""
        while self.tally.cuts < cuts:
            device, work = self.chance.choice(self.devices), make_work(self.chance)
            left = Left({})
            for _ in range(device.lives):
                left = self._cut_a_life(left, work, device)
                say(str(self.tally))
        return self.tally

    def _cut_a_life(self, earlier: Left, work: Work, device: Device) -> Left:
        """Record a life upon what an earlier one left, and cut it. Gives what one of the cuts left."""
        tape, life = self._record(earlier.image, work, device)
        disk = self.disk_for(device)
        places = _places(tape, self.places, self.chance)
        followed, next_begins_with = self.chance.choice(places), earlier
        for begin, place in pairwise((0, *places)):
            for operation in tape[begin:place]:
                disk.apply(operation)
            witnessed = [*earlier.witnessed, *(op for op in tape[:place] if isinstance(op, Acknowledged | Posted))]
            lefts = [Left(disk.after_power_loss(self.chance), witnessed) for _ in range(DISKS)]
            for left in lefts:
                self._check(left, work, life, tape, place)
            if place == followed:
                next_begins_with = lefts[0]
        return next_begins_with

    def _record(self, image: Image, work: Work, device: Device) -> tuple[Tape, Life]:
        folder = self._lay_out(image, "life")
        tape, life = record_life(folder, work, device, self.chance, synced=self.synced)
        shutil.rmtree(folder)
        self.tally.lives += 1
        return tape, life

    def _check(self, left: Left, work: Work, life: Life, tape: Tape, place: int) -> None:
        folder = self._lay_out(left.image, "cut")
        try:
            events = check(folder, work, left.witnessed if self.acknowledged else (), life.outputs)
        except Broken as broken:
            kept = self._lay_out(left.image, "kept")
            (kept / "tape.txt").write_text("".join(f"{shown(operation)}\n" for operation in tape[:place]))
            raise Broken(f"cut {self.tally.cuts + 1}: {broken}; the disk, and what led to it, is in {kept}") from broken
        finally:
            shutil.rmtree(folder)
        self.tally.count(tape[place], events)

    def _lay_out(self, image: Image, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        for file_name, content in image.items():
            (folder / file_name).write_bytes(content)
        return folder


def _places(tape: Tape, number: int, chance: Random) -> Sequence[int]:
    """Some of the places between two operations, in order. Most operations are writes: half of the places are not."""
    begin = sum(isinstance(operation, Found) for operation in tape)
    rare = [place for place in range(begin, len(tape)) if not isinstance(tape[place], Written)]
    return sorted({*_some(rare, number // 2, chance), *_some(range(begin, len(tape)), number // 2, chance)})


def _some(places: Sequence[int], number: int, chance: Random) -> Sequence[int]:
    return chance.sample(places, min(number, len(places)))
