"""What a corpus reaches, measured by coverage.py: `python -m tests.fuzz.reached TARGET FOLDER…`, called by `make fuzz`.

In a process of its own, since the modules under test must be loaded after the measurement began, and without Atheris.
Prints one line of JSON. With `--keep FOLDER`, the few inputs that together reach the most are copied there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import coverage
from tests.fuzz.target import PACKAGES, load

#: Inputs that are kept, and the most bytes that one of them may have.
MOST_KEPT, MOST_BYTES = 40, 1_024


def inputs(folders: Sequence[Path]) -> list[Path]:
    """The inputs of these folders, small ones first."""
    files = (file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.suffix != ".txt")
    return sorted(files, key=lambda file: (file.stat().st_size, file.name))


def measure(name: str, files: Sequence[Path], *, each: bool) -> coverage.Coverage:
    """Replay the inputs, findings included. With `each`, what each of them reached can be told apart."""
    measured = coverage.Coverage(branch=True, source_pkgs=[*PACKAGES[name]], data_file=None, config_file=False)
    measured.start()
    target = load(name)
    for file in files:
        if each:
            measured.switch_context(file.name)
        with contextlib.suppress(Exception):
            target.check(file.read_bytes())
    measured.stop()
    return measured


def totals(measured: coverage.Coverage) -> Mapping[str, int]:
    """Lines and branches: reached, and in all."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        report = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(report))
        found = json.loads(report.read_text())["totals"]
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    return {name: found[name] for name in names}


def best(measured: coverage.Coverage, files: Sequence[Path]) -> list[Path]:
    """The inputs that together take the most branches, each time the one that adds most; small ones first."""
    data = measured.get_data()
    taken: dict[Path, set[tuple[str, int, int]]] = {}
    for file in files:
        if file.stat().st_size <= MOST_BYTES:
            data.set_query_context(file.name)
            taken[file] = {(module, *arc) for module in data.measured_files() for arc in data.arcs(module) or ()}
    data.set_query_contexts(None)
    chosen: list[Path] = []
    reached: set[tuple[str, int, int]] = set()
    while len(chosen) < MOST_KEPT and taken:
        file = max(taken, key=lambda file: len(taken[file] - reached))
        if not taken[file] - reached:
            break
        chosen.append(file)
        reached |= taken.pop(file)
    return chosen


def keep(files: Sequence[Path], folder: Path) -> None:
    """Put these inputs into the folder, in the place of what is there; what was a finding stays."""
    with tempfile.TemporaryDirectory() as aside:
        copies = [Path(shutil.copy(file, Path(aside) / f"{number:02}")) for number, file in enumerate(files)]
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("found-"):
                old.unlink()
        for copy in copies:
            shutil.copy(copy, folder / copy.name)


def main(name: str, *arguments: str) -> None:
    """Measure; keep where that is asked for."""
    asked = arguments[:1] == ("--keep",)
    folders = [Path(folder) for folder in arguments[asked:]]
    files = inputs(folders)
    measured = measure(name, files, each=asked)
    print(json.dumps({**totals(measured), "inputs": len(files)}))
    if asked:
        keep(best(measured, files), load(name).corpus)


if __name__ == "__main__":
    main(*sys.argv[1:])
