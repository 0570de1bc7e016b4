"""The command: python -m orchestrator.testing.torture."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.testing.torture.catalog import SCENARIOS
from orchestrator.testing.torture.rounds import Rounds
from orchestrator.testing.torture.tally import Tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Torture; gives 1 where a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.testing.torture",
        description="Cause faults, one after another, and tell what was lost.",
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="how long; each kind is tried once at least")
    parser.add_argument("--seed", type=int, default=None, help="repeat a plan; chosen and printed where not given")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help="this kind; may be repeated")
    parser.add_argument("--list", action="store_true", help="say which kinds there are")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{name:16}{scenario.sentence}" for name, scenario in SCENARIOS.items()))
        return 0
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    return _torture(options.only or list(SCENARIOS), seed, options.minutes * 60)


def _torture(names: Sequence[str], seed: int, seconds: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-torture-"))
    rounds = Rounds(folder, [SCENARIOS[name] for name in names], seed)
    started = time.monotonic()
    rounds.run(lambda: time.monotonic() - started < seconds, _progress())
    for line in rounds.tally.lines():
        print(line)
    return _verdict(rounds.tally, folder)


def _verdict(tally: Tally, folder: Path) -> int:
    for text in tally.broken:
        print(f"BROKEN {text}")
    if tally.broken:
        print(f"what was broken is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _progress() -> Callable[[str], None]:
    """Says on a terminal what is tried now."""
    if not sys.stderr.isatty():
        return lambda _line: None
    return lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
