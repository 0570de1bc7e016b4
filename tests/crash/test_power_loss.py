"""Power loss at random moments. `python -m orchestrator.testing.power_loss --cuts 5000` does the same at length."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from orchestrator.testing.power_loss.check import Broken
from orchestrator.testing.power_loss.cuts import DEVICES, PowerCuts
from orchestrator.testing.power_loss.disk import Disk
from orchestrator.testing.power_loss.tape import Operation, Synced

CUTS = 120
#: A planted fault is found within a tenth of these.
CUTS_FOR_A_FAULT = 200
USUAL = [device for device in DEVICES if device.powersafe_overwrite]


class LyingDisk(Disk):
    """Says that it has synced, and has not."""

    def apply(self, operation: Operation) -> None:
        if not isinstance(operation, Synced):
            super().apply(operation)


def test_nothing_that_was_acknowledged_is_gone(tmp_path: Path) -> None:
    tally = PowerCuts(tmp_path, Random(20261123), places=16).make(CUTS)
    assert tally.cuts >= CUTS
    assert tally.lives >= 4, "few lives began on what a cut had left"
    assert tally.events > 10 * CUTS, tally
    assert {"writes", "syncs", "acknowledgements"} <= tally.before.keys(), tally
    assert not list(tmp_path.iterdir())


def test_a_disk_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"lost|damaged") as caught:
        PowerCuts(tmp_path, Random(1), disk_for=LyingDisk).make(CUTS_FOR_A_FAULT)
    assert (tmp_path / "kept").is_dir()
    assert str(tmp_path / "kept") in str(caught.value)


def test_commits_that_do_not_wait_for_the_disk_are_found_out(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="acknowledged and lost"):
        PowerCuts(tmp_path, Random(2), synced=False, devices=USUAL).make(CUTS_FOR_A_FAULT)


def test_commits_that_do_not_wait_for_the_disk_are_lost_from_the_end(tmp_path: Path) -> None:
    """What `durability="process"` keeps when the power goes: a sound database, from which everything goes on."""
    cuts = PowerCuts(tmp_path, Random(3), synced=False, acknowledged=False, devices=USUAL, places=8)
    assert cuts.make(40).cuts >= 40
