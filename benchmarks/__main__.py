"""Runs the cases in turn and writes `RESULTS.md`: medians, the least and the most."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import apsw

HERE = Path(__file__).parent
#: case -> (size, quick size, what the size counts)
SIZES = {"chain": (1000, 200, "steps"), "fan": (10_000, 1000, "items"), "carry": (50, 16, "MB")}
COLUMNS = {
    "us_per_step": "µs per step",
    "cpu_us_per_step": "CPU µs per step",
    "raw_commits_per_step": "raw commits per step",
    "commits_per_step": "transactions per step",
    "kb_on_disk": "KB on disk",
    "peak_mb": "peak MB",
    "growth": "ninth tenth / second tenth",
}


def one(case: str, size: int) -> dict[str, Any]:
    """One run of a case in a fresh process and an empty folder."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        command = [sys.executable, "-m", "benchmarks.cases", case, folder, "--size", str(size)]
        done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def spread(runs: list[dict[str, Any]], column: str) -> str:
    """Median (least-most)."""
    values = [run[column] for run in runs if run[column] is not None]
    if not values:
        return "–"
    return f"{statistics.median(values):,.3g} ({min(values):,.3g}–{max(values):,.3g})"


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The figures as a Markdown table."""
    head = "| case | " + " | ".join(COLUMNS.values()) + " |\n|---|" + "---|" * len(COLUMNS)
    rows = [
        f"| {case} ({runs[0]['size']:,} {SIZES[case][2]}) | " + " | ".join(spread(runs, c) for c in COLUMNS) + " |"
        for case, runs in results.items()
    ]
    return "\n".join([head, *rows])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, smaller, printed only")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {case: [] for case in SIZES}
    for _ in range(1 if options.quick else options.repeat):
        for case, (size, quick, _unit) in SIZES.items():
            results[case].append(one(case, quick if options.quick else size))
            print(case, f"{results[case][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    load = max(run["load"] for runs in results.values() for run in runs)
    text = TEXT.format(
        table=table(results),
        runs=len(results["chain"]),
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
        load=f"{load:.1f}",
        raw=spread([run for runs in results.values() for run in runs], "raw_commit_us"),
    )
    print(text)
    if not options.quick:
        (HERE / "RESULTS.md").write_text(text)


TEXT = """# Measured

Made by `make bench` (`python -m benchmarks`): {runs} runs of each case in turn, each in a fresh process and an empty
folder; median (least–most). Python {python}, SQLite {sqlite}, `durability=disk` (WAL, synchronous FULL), no-op async
handlers, highest load during the runs {load}. *raw commits per step* is the time of a step over the time of one raw
SQLite commit of a 100-byte row, measured just before and after: {raw} µs on this machine then.

{table}

- **chain**: each step needs the one before; results of about 100 bytes.
- **fan**: one step, a fan-out without limit, a join over all.
- **carry**: a nested, incompressible value through 20 steps that return it unchanged; each verifies its checksum.
"""

if __name__ == "__main__":
    main()
