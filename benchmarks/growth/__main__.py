"""Runs the series and writes `GROWTH.md` and the charts."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.growth.charts import write_charts
from benchmarks.growth.meters import Found
from benchmarks.growth.page import page
from benchmarks.growth.series import SERIES
from benchmarks.machine import facts

BENCHMARKS = Path(__file__).parents[1]


def one(series: str, size: int, folder: Path) -> Found:
    """One measurement: two fresh processes, an empty folder."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return _said("writing", series, place, str(size)) | _said("reading", series, place)


def _said(process: str, *arguments: str) -> Found:
    command = [sys.executable, "-m", f"benchmarks.growth.{process}", *arguments]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout)
    return found


def least(series: str, size: int, folder: Path, rounds: int) -> Found:
    """Of several measurements the least of each figure: what disturbs only adds."""
    started = time.perf_counter()
    made = [one(series, size, folder) for _ in range(rounds)]
    print(f"{series} {size:,}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    return {key: min(found[key] for found in made) for key in made[0]}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, once, printed only: a minute")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each size, of which the least counts")
    parser.add_argument("--only", choices=[*SERIES], action="append", help="this series, printed only; may be repeated")
    parser.add_argument("--folder", type=Path, default=BENCHMARKS, help="where the stores are made for the time being")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    results = {
        key: {
            size: least(key, size, options.folder, rounds) for size in (series.quick if options.quick else series.sizes)
        }
        for key, series in SERIES.items()
        if options.only is None or key in options.only
    }
    text = page(results, facts(options.folder), "make growth", rounds)
    print(text)
    if not options.quick and options.only is None:
        (BENCHMARKS / "GROWTH.md").write_text(text, encoding="utf-8")
        write_charts(results, BENCHMARKS / "charts")


if __name__ == "__main__":
    main()
