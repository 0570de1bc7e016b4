"""The command: `python -m orchestrator.testing.power_loss --cuts 2000 --seed 7`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.testing.power_loss.check import Broken
from orchestrator.testing.power_loss.cuts import PowerCuts


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut, and say what was tried. Exit code 1 where a promise was broken; the disk that shows it is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.testing.power_loss", description="Power loss, simulated below SQLite."
    )
    parser.add_argument("--cuts", type=int, default=1000, help="how many disks to draw at least (default 1000)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run; printed where not given")
    parser.add_argument(
        "--durability", choices=["disk", "process"], default="disk", help="process breaks the promise, and is found"
    )
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-power-loss-"))
    cuts = PowerCuts(folder, random.Random(seed), synced=options.durability == "disk")
    try:
        cuts.make(options.cuts, say=lambda line: print(line, end="\r", flush=True))
    except Broken as broken:
        print(f"\nBROKEN: {broken}")
        return 1
    print(f"{cuts.tally}\nnothing that was acknowledged is gone, nothing ran twice, every database is sound")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
