"""Where a step's time goes: the same chain and fan-out with and without the disk, the collector, and what is around.

python -m benchmarks.profile [--size 1000]

Prints CPU microseconds per step (the least of several runs in one process), then, for the chain on the disk, the share
of each package in the time of its own functions, by cProfile. That slows down small functions most: the shares are a
map, the first table is the measure.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.systems.orchestrator import chain_of, fan_of
from orchestrator import Orchestrator, Pipeline

_RUNS = 3
HERE = Path(__file__).parent


def cpu_per_step(orchestrator: Orchestrator, pipeline: Pipeline, size: int) -> float:
    """The least CPU time of a step, in microseconds, over some runs; the plan is made before."""
    orchestrator.run(pipeline).raise_for_status()
    least = float("inf")
    for _ in range(_RUNS):
        began = time.process_time()
        orchestrator.run(pipeline)
        least = min(least, time.process_time() - began)
    return least / size * 1e6


def without_collector(measure: Callable[[], float]) -> float:
    """The same with the garbage collector off."""
    gc.disable()
    try:
        return measure()
    finally:
        gc.enable()
        gc.collect()


def by_package(orchestrator: Orchestrator, pipeline: Pipeline) -> Counter[str]:
    """Seconds in functions of their own, by package."""
    profile = cProfile.Profile()
    profile.enable()
    orchestrator.run(pipeline)
    profile.disable()
    seconds: Counter[str] = Counter()
    for (file, _line, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        seconds[_package(file, name)] += own
    return seconds


def _package(file: str, name: str) -> str:
    if "apsw" in name:
        return "SQLite, the disk included"
    if "/orchestrator/" in file and "/benchmarks/" not in file:
        parts = file.rpartition("/orchestrator/")[2].split("/")
        return "orchestrator." + ".".join(parts[:2] if parts[0] == "execution" else parts[:1]).removesuffix(".py")
    return "asyncio" if "asyncio" in file or "select" in name else "Python and others"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    size = parser.parse_args().size
    print(f"CPU µs per step, {size:,} steps      chain  without gc     fan  without gc")
    for durability in ("none", "process", "disk"):
        with tempfile.TemporaryDirectory(dir=HERE) as folder:
            place = None if durability == "none" else Path(folder) / "journal.db"
            with Orchestrator(place, durability=durability) as orchestrator:
                row = []
                for pipeline in (chain_of(size), fan_of(size)):
                    row.append(cpu_per_step(orchestrator, pipeline, size))
                    row.append(without_collector(lambda p=pipeline: cpu_per_step(orchestrator, p, size)))  # type: ignore[misc]
                print(f"durability {durability:12}" + "".join(f"{value:12.0f}" for value in row))
                if durability == "disk":
                    seconds = by_package(orchestrator, chain_of(size))
    print("\nown time of the chain on the disk, by package")
    for name, own in seconds.most_common(14):
        print(f"{own / seconds.total():6.1%}  {name}")


if __name__ == "__main__":
    main()
