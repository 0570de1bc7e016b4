"""Random durable functions against the engine, cut and restarted at random: see `tests.machine.functions`.

What is found here is shown as it is; `python -m tests.machine.functions` makes it small, and tries thousands.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from tests.machine.functions.cases import CASES, Case


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(CASES)
def test_random_functions(case: Case) -> None:
    case.try_()
