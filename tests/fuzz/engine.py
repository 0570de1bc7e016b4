"""One run of the fuzzer, in a process of its own: `python -m tests.fuzz.engine TARGET …`, called by the command.

Atheris watches the branches that the modules under test take, and libFuzzer changes inputs that took new ones. An input
that fails a check is written down and the run goes on, so that one finding does not hide the next; each way of failing
(type of the error, and where it was raised) is written once. What ends the process (a crash of C code, a hang) ends the
run, and libFuzzer writes its input.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import atheris
from tests.fuzz import planted
from tests.fuzz.target import PACKAGES, load

#: A run with more ways of failing than this has made its point.
MOST_FINDINGS = 30


class Findings:
    """The inputs that failed, one file for each way of failing, with its traceback beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()

    def add(self, data: bytes, error: Exception) -> None:
        """Write the input down, where it is the first that failed so."""
        way = self._way(error)
        if way in self._seen:
            return
        self._seen.add(way)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{type(error).__name__}-{way}"
        (self._folder / name).write_bytes(data)
        (self._folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)), errors="backslashreplace")
        print(f"FOUND {name}", flush=True)
        if len(self._seen) >= MOST_FINDINGS:
            print(f"{MOST_FINDINGS} ways of failing are enough", flush=True)
            os._exit(1)

    @staticmethod
    def _way(error: Exception) -> str:
        """The same for errors of one type from one line, called from one line of the target."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "orchestrator" in frame.filename or "tests/fuzz" in frame.filename]
        shown = [type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in (*ours[-2:], *frames[-1:]))]
        return hashlib.sha256("\n".join(shown).encode()).hexdigest()[:8]


def main(name: str, findings: str, with_bug: str, *libfuzzer: str) -> None:
    """Fuzz a target; does not return. `with_bug` is a word or empty; the rest goes to libFuzzer."""
    with atheris.instrument_imports(include=[*PACKAGES[name]]):
        _run(
            name, Findings(Path(findings)), bool(with_bug), libfuzzer
        )  # within: some modules are loaded when first used


def _run(name: str, findings: Findings, with_bug: bool, libfuzzer: Sequence[str]) -> None:
    from tests.fuzz.watch import check_within_bounds

    target = load(name)
    if with_bug:
        atheris.instrument_func(planted.rare)
        target.plant.apply()

    cases = itertools.count(1)

    @atheris.instrument_func
    def one(data: bytes) -> None:
        case = next(cases)
        try:
            check_within_bounds(target, data)
        except Exception as error:  # noqa: BLE001 - written down
            findings.add(data, error)
            if with_bug and planted.TOKEN.encode() in data:
                print(f"#{case} PLANTED", flush=True)
                os._exit(0)  # libFuzzer knows no other end than a crash or the last case

    atheris.Setup([sys.argv[0], *libfuzzer], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
