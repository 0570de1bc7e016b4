"""Real processes, real SIGKILL. `python -m orchestrator.testing.kill --cuts 1000` does the same at length."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.testing.kill import torture

CUTS = 12


@pytest.mark.skipif(sys.platform != "linux", reason="the harness finds children through /proc")
@pytest.mark.timeout(240)
def test_nothing_is_lost_nothing_runs_twice_no_child_lives_on(tmp_path: Path) -> None:
    tally = torture(CUTS, seed=20261121, keep=tmp_path)
    assert sum(tally.kills.values()) >= CUTS
    assert not tally.missed(), tally
