"""Throws odd inputs at what reads text and bytes: `make fuzz`, or `make fuzz ARGS="codec --cases 1000000 --seed 7"`.

Each target begins with its committed inputs and those that earlier runs found (`.fuzz/<target>`), and is followed by a
line: cases, cases a second, what they reached, and the findings. A finding is a file; `--replay FILE` shows what it
does. Ends with exit code 1 where there are any. With `--plant` a bug is put in, and the exit code is 1 where it was not
found. `--keep` takes the best of the inputs found into the committed ones.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.planted import TOKEN
from tests.fuzz.target import MODULES, load

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".fuzz"
#: A single input that takes longer than this hangs.
HANG_SECONDS = 60
_EVERY_SECONDS = 30
_STATUS = re.compile(r"^#(\d+)\s+\w+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `findings` are files, `ended_early` is the end of the log where the process died."""

    cases: int
    seconds: float
    findings: Sequence[Path]
    ended_early: str

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.findings and not self.ended_early


def fuzz(name: str, cases: int, seed: int, work: Path, *, planted: bool) -> Outcome:
    """Run a target for so many cases."""
    target = load(name)
    corpus, findings = work / "corpus", work / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    before = time.time()
    dictionary = work / "words.dict"
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
    options = {
        "runs": cases,
        "seed": seed,
        "max_len": target.most_bytes,
        "timeout": HANG_SECONDS,
        "dict": dictionary,
        "artifact_prefix": f"{findings}/",
        "rss_limit_mb": 4096,
        "print_final_stats": 1,
    }
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(findings), "plant" if planted else ""]
    command += [*(f"-{option}={value}" for option, value in options.items()), str(corpus), str(target.corpus)]
    started = time.monotonic()
    log = work / "log.txt"
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with log.open("w") as stream, tempfile.TemporaryDirectory(dir=memory) as scratch:  # libFuzzer clears nothing away
        environment = {**os.environ, "TMPDIR": scratch}
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        code = _follow(running, name, log)
    seconds, text = time.monotonic() - started, log.read_text(errors="replace")
    written = (file for file in findings.iterdir() if file.stat().st_mtime >= before)
    found = sorted(file for file in written if file.suffix != ".txt")
    done = [int(match[1]) for line in text.splitlines() if (match := _STATUS.match(line))]
    ended_early = "" if code == 0 else "\n".join(text.splitlines()[-15:])
    return Outcome(max(done, default=0), seconds, found, ended_early)


def _follow(process: subprocess.Popen[bytes], name: str, log: Path) -> int:
    """Wait for the end, and tell now and then how far it is."""
    try:
        while True:
            try:
                return process.wait(_EVERY_SECONDS)
            except subprocess.TimeoutExpired:
                lines = [line for line in log.read_text(errors="replace").splitlines() if _STATUS.match(line)]
                print(f"  {name}: {' '.join(lines[-1].split()) if lines else 'loading'}", flush=True)
    finally:
        process.kill()
        process.wait()


def _escaped(word: str) -> str:
    """A word as libFuzzer's dictionaries have it. Characters up to U+00FF that stand for bytes are those bytes."""
    raw = word.encode("latin-1") if all(ord(char) < 256 for char in word) else word.encode()
    return "".join(f"\\x{byte:02X}" for byte in raw)


def reached(name: str, *folders: Path, keep: bool = False) -> Mapping[str, int]:
    """What the inputs of these folders reach of the modules under test."""
    command = [sys.executable, "-m", "tests.fuzz.reached", name, *(["--keep"] if keep else []), *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: Mapping[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def tell(name: str, outcome: Outcome, coverage: Mapping[str, int] | None) -> None:
    """The line of a target, and its findings."""
    rate = outcome.cases / outcome.seconds
    told = f"{name:<9} {outcome.cases:>9,} cases in {outcome.seconds:,.0f} s ({rate:,.0f}/s)"
    if coverage is not None:
        told += f", reached {_share(coverage, 'covered_lines', 'num_statements')} lines"
        told += (
            f" and {_share(coverage, 'covered_branches', 'num_branches')} branches with {coverage['inputs']:,} inputs"
        )
    print(f"{told}, {len(outcome.findings)} findings", flush=True)
    for file in outcome.findings:
        print(f"  {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}")
    if outcome.ended_early:
        print(f"  the run ended early:\n{outcome.ended_early}")


def _share(coverage: Mapping[str, int], part: str, whole: str) -> str:
    return f"{coverage[part]:,} of {coverage[whole]:,} ({100 * coverage[part] / max(1, coverage[whole]):.0f} %)"


def run(name: str, cases: int, seed: int) -> bool:
    """Fuzz a target and tell. Whether nothing was found."""
    outcome = fuzz(name, cases, seed, WORK / name, planted=False)
    tell(name, outcome, reached(name, load(name).corpus, WORK / name / "corpus"))
    return outcome.is_clean


def run_planted(name: str, cases: int, seed: int) -> bool:
    """Fuzz a target with a bug in it, from the committed inputs alone. Whether the bug was found."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(name, cases, seed, Path(folder), planted=True)
        found = any(TOKEN.encode() in file.read_bytes() for file in outcome.findings)
    rate = f"{outcome.cases:,} cases in {outcome.seconds:,.0f} s"
    print(f"{name:<9} the planted bug was {'found' if found else 'NOT found'} within {rate}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(MODULES)} (all of them)")
    parser.add_argument("--cases", type=int, help="for each target (20,000; with --plant 300,000)")
    parser.add_argument("--seed", type=int, default=1, help="1 or more; the same seed and inputs, the same run (1)")
    parser.add_argument("--plant", action="store_true", help="put a bug in; it must be found")
    parser.add_argument("--keep", action="store_true", help="take the best inputs found into the committed ones")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="show what one input does to the TARGET")
    given = parser.parse_args(arguments)
    names = given.targets or [*MODULES]
    if unknown := [name for name in names if name not in MODULES]:
        parser.error(f"there is no target {unknown[0]!r}; choose of {', '.join(MODULES)}")
    if given.replay:
        load(names[0]).check(given.replay.read_bytes())
        print(f"{given.replay}: nothing is wrong")
        return 0
    if given.keep:
        for name in names:
            print(name, reached(name, load(name).corpus, WORK / name / "corpus", keep=True))
        return 0
    if importlib.util.find_spec("atheris") is None:
        sys.exit("Atheris has no build for this machine; it has some for Python 3.11 to 3.14 on x86-64 Linux")
    one = run_planted if given.plant else run
    cases = given.cases or (300_000 if given.plant else 20_000)
    clean = [one(name, cases, given.seed) for name in names]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
