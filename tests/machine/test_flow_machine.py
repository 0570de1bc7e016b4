"""Random pipelines of all kinds against the engine, cut and restarted at random: see `tests.machine.flow`.

What is found here is shown as it is; `python -m tests.machine.flow` makes it small, and tries thousands.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from tests.machine.flow.machine import FlowMachine

TestFlow = FlowMachine.TestCase
TestFlow.settings = settings(
    max_examples=120,
    stateful_step_count=5,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
