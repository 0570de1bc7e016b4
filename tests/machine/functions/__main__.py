"""`python -m tests.machine.functions --examples 5000 --seed 1`: thousands of executions, and what was found.

Ends with exit code 1 where something was found: of each kind of fault a small case is printed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings

from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.machine.functions.cases import CASES, Case, kind_of, smaller
from tests.machine.functions.tally import TALLY


def main(arguments: list[str]) -> int:
    """Try, and print what was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.functions", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="how many programs (1000)")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run (1)")
    parser.add_argument("--shrink", type=float, default=20.0, help="seconds for making each kind of fault small (20)")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("error")
    logging.disable()  # a life that is cut off complains of it
    started = time.monotonic()
    found: dict[str, tuple[Case, str, int]] = {}

    @seed(chosen.seed)
    @settings(
        max_examples=chosen.examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(CASES)
    def each(case: Case) -> None:
        fault = case.fault()
        if fault is not None:
            kind = kind_of(fault)
            known = found.get(kind)
            if known is None:
                print(f"{fault[:400]}\n  {case.shown()}", flush=True)
            found[kind] = (known[0] if known else case, fault, known[2] + 1 if known else 1)

    each()
    tried = [*TALLY.lines()]
    for case, fault, count in sorted(found.values(), key=lambda one: -one[2]):
        small = smaller(case, kind_of(fault), chosen.shrink)
        print(f"\n{count} times: {fault}\nsmaller: {small.fault()}\n{small.shown()}\n", flush=True)
    print(*tried, sep="\n")
    word = f"{len(found)} KINDS OF FAULTS" if found else "nothing found"
    print(f"{word} in {time.monotonic() - started:.0f} s, seed {chosen.seed}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
