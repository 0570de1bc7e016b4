"""What these tests share: a child program, the commands that look, and all that can be read of a store afterwards."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from orchestrator.app import Orchestrator
from orchestrator.cli import main
from orchestrator.cli.exits import ExitCode
from orchestrator.journal.codec import Encoded

_ROOT = str(Path(__file__).parents[2])

#: What a terminal would obey, but for the end of a line.
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Screen(io.StringIO):
    """A terminal with colours, as far as the commands ask."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def program(code: str, *arguments: object, umask: int = -1, **env: str) -> str:
    """Run Python code in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([_ROOT, os.environ.get("PYTHONPATH", "")]), **env},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: object, screen: type[io.StringIO] = io.StringIO) -> str:
    """Run a command that looks, in this process; what it wrote to both streams. It may be refused, not fail."""
    shown = screen()
    with redirect_stdout(shown), redirect_stderr(shown):
        code = main([*map(str, arguments)])
    assert code != ExitCode.BUG, shown.getvalue()
    return shown.getvalue()


def looks(execution_id: str, *steps: str) -> Iterator[tuple[str, ...]]:
    """The commands that show an execution, and each of these steps, to a person and to a program."""
    for words in (("list",), ("show", execution_id), ("history", execution_id), ("logs", execution_id)):
        yield words
        yield (*words, "--json")
    for step in steps:
        yield "show", execution_id, step
        yield "show", execution_id, step, "--json"


def everything(store: Path, execution_id: str, *steps: str) -> Mapping[str, str]:
    """All that can be read of an execution, by where it was read: files, events, notes, and each command."""
    found = {path.name: path.read_bytes().decode("latin-1") for path in store.parent.iterdir() if path.is_file()}
    with Orchestrator(store) as orchestrator:
        for entry in orchestrator.history(execution_id):
            values = [getattr(entry.event, name, None) for name in ("inputs", "output", "outputs", "writes")]
            decoded = [orchestrator.value(value) for value in _encoded(values)]
            found[f"event {entry.position}"] = f"{entry!r} {decoded!r}"
        found["notes"] = repr(orchestrator.logs(execution_id))
        found["summaries"] = repr(orchestrator.list())
    for words in looks(execution_id, *steps):
        found[" ".join(words)] = command(*words, "--store", store)
    return found


def _encoded(value: object) -> Iterator[Encoded]:
    if isinstance(value, Encoded):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _encoded(part)
