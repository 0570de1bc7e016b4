"""Breaks the code on purpose, one way at a time, and sees whether the tests notice: `make mutants`.

`mutants.toml` says which text of which file becomes which, and which tests must fail then. Each mutant lives in a copy
of the sources that comes first on the import path. A mutant that survives is a fault of the tests; the command ends
with exit code 1 and names it. `python -m tests.mutants WORD` takes those whose file or reason holds the word.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants.toml")
#: A mutant that makes the tests hang is noticed as well, by then.
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way in which the code is broken: `old` becomes `new` in `file`, seen from the package's folder."""

    why: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, package: Path) -> None:
        """Break a copy of the package. Raises ValueError unless the text stands there just once."""
        path = package / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: the text of mutant {self.why!r} stands there {text.count(self.old)} times")
        path.write_text(text.replace(self.old, self.new))


def mutants() -> list[Mutant]:
    """Every way, in the order of the list."""
    found = tomllib.loads(LIST.read_text())["mutant"]
    return [Mutant(m["why"], m["file"], m["old"], m["new"], tuple(m["tests"])) for m in found]


def is_noticed(mutant: Mutant) -> bool:
    """Whether the tests fail for this mutant."""
    return not passes(mutant.tests, mutant)


def passes(tests: Iterable[str], mutant: Mutant | None = None) -> bool:
    """Whether these tests pass, with the code broken or as it is."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            mutant.apply(copy / "orchestrator")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1, 2):  # neither passed, nor failed, nor broke off at import
            raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


def main(words: list[str]) -> int:
    """Try every mutant that the words name, and say what became of each."""
    chosen = [m for m in mutants() if not words or any(word in m.file or word in m.why for word in words)]
    started = time.monotonic()
    if not passes(sorted({test for mutant in chosen for test in mutant.tests})):
        print("the tests fail with the code as it is; mend that first")
        return 2
    survived = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for mutant, noticed in zip(chosen, pool.map(is_noticed, chosen), strict=True):
            print(f"{'noticed ' if noticed else 'SURVIVED'}  {mutant.file}: {mutant.why}", flush=True)
            if not noticed:
                survived.append(mutant)
    seconds = time.monotonic() - started
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants noticed in {seconds:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
