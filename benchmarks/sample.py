"""One sample: a workload of one system in a process of its own; what it cost goes to a file as JSON.

python -m benchmarks.sample SYSTEM WORKLOAD FOLDER --size 500 --result FILE [--variant WORD]

A system is a module of `benchmarks.systems` with one function per workload. Each warms up first, then opens the case's
clock, and returns how many steps were done within it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from importlib import import_module
from pathlib import Path

from benchmarks.probe import BODIES, Case


def measure(system: str, workload: str, case: Case) -> dict[str, float]:
    """Run the workload and say what it cost."""
    steps: int = getattr(import_module(f"benchmarks.systems.{system}"), workload)(case)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"steps": steps, "bodies": BODIES.ran, "peak_mb": peak_kib / 1024, **case.cost}


def main() -> None:
    """The command. It leaves without waiting for threads that a system has left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample", description=__doc__)
    parser.add_argument("system")
    parser.add_argument("workload")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    found = measure(options.system, options.workload, Case(options.folder, options.size, options.variant))
    options.result.write_text(json.dumps(found))
    os._exit(0)


if __name__ == "__main__":
    main()
