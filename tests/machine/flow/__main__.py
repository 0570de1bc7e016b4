"""`python -m tests.machine.flow --examples 5000 --seed 1`: thousands of executions, and what was found.

Ends with exit code 1 where something was found: the smallest example of it is printed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.flow.machine import FlowMachine
from tests.machine.flow.tally import TALLY


def main(arguments: list[str]) -> int:
    """Try, and print what was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.flow", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="how many pipelines (1000)")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run (1)")
    parser.add_argument("--lives", type=int, default=6, help="how many lives at most before the last ones (6)")
    given = parser.parse_args(arguments)
    chosen = settings(
        max_examples=given.examples,
        stateful_step_count=given.lives,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    warnings.simplefilter("error")
    logging.disable()  # a life that is cut off complains of it
    started, found = time.monotonic(), 0
    try:
        run_state_machine_as_test(seed(given.seed)(FlowMachine), settings=chosen)
    except Exception as exc:  # noqa: BLE001 - shown: it is what was looked for
        found = 1
        print("".join(f"{line}\n" for line in (*getattr(exc, "__notes__", ()), f"{type(exc).__name__}: {exc}")))
    for line in TALLY.lines():
        print(line)
    print(f"{'FOUND SOMETHING' if found else 'nothing found'} in {time.monotonic() - started:.0f} s, seed {given.seed}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
