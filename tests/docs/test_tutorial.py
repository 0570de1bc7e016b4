"""The tutorial: its code is that of the examples, and its commands print what it says, in their order."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PROGRAMS = ROOT / "examples" / "tutorial"

#: Seconds per letter, where a program is killed while it writes one, and where it is not.
SLOW, QUICK = "0.4", "0.01"
_NUMBER = re.compile(r"\d+\.\d s")


def test_the_code_is_that_of_the_programs() -> None:
    text, shown = "", set()
    for name, block in re.findall(r"^`(\w+\.py)`:$|^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if name:
            text = (PROGRAMS / name).read_text(encoding="utf-8")
            shown.add(name)
        else:
            assert block in text
    assert shown == {file.name for file in PROGRAMS.glob("*.py")}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page, and the lines that it is said to print."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def printed_until(process: subprocess.Popen[str], lines: list[str]) -> list[str]:
    """Kill the process when it has printed these lines; what it printed."""
    assert process.stdout is not None
    found = [process.stdout.readline().rstrip("\n") for _ in lines]
    process.kill()
    assert process.wait() == -signal.SIGKILL
    return found


def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    folder = shutil.copytree(PROGRAMS, tmp_path / "tutorial", ignore=shutil.ignore_patterns("__pycache__", ".orch*"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    env.pop("ORCHESTRATOR_STORE", None)
    ran = 0
    for command, lines in commands():
        if command == "cd examples/tutorial":
            continue
        dies = lines[-1:] == ["Killed"]
        with subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=folder,
            env={**env, "PACE": SLOW if dies else QUICK},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            if dies:
                assert printed_until(process, lines[:-1]) == lines[:-1]
            else:
                told, _ = process.communicate(timeout=30)
                check(command, lines, told)
        ran += 1
    assert ran > 10


def check(command: str, lines: list[str], told: str) -> None:
    """What a program of the tutorial prints is all on the page; of the command there are the lines that matter."""
    printed = [_NUMBER.sub("0.0 s", line.rstrip()) for line in told.splitlines()]
    wanted = [_NUMBER.sub("0.0 s", line) for line in lines]
    if not command.startswith("orchestrator"):
        assert printed == wanted, f"{command}\n{told}"
        return
    left = iter(printed)
    for line in wanted:
        assert any(found.startswith(line) for found in left), f"{command}: {line!r} was not printed\n{told}"
