"""Every scenario there is, by name."""

from __future__ import annotations

from orchestrator.testing.torture import clocks, disk, files, killed, locked, misbehaving, owners, pipes, shot, torn
from orchestrator.testing.torture.scenario import Scenario

_FAMILIES = (killed, owners, disk, locked, torn, clocks, misbehaving, shot, pipes, files)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for family in _FAMILIES for scenario in family.SCENARIOS}
