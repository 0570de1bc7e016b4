"""Random pipelines of all kinds against the engine, cut and restarted at random: see `tests.machine.flow`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from tests.machine.flow.machine import FlowMachine

TestFlow = FlowMachine.TestCase
TestFlow.settings = settings(
    max_examples=250, stateful_step_count=5, deadline=None, suppress_health_check=list(HealthCheck)
)
