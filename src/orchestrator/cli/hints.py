"""What to type next: commands that work as they stand, from where the person stands."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


def program() -> str:
    """How this program was called, in a form that can be typed again from the working folder.

    The bare name where the shell finds this very file by it, else the path to it.
    """
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m orchestrator"
    if not called.is_file():  # somebody's own launcher
        return called.name or "orchestrator"
    found = shutil.which(called.name)
    if found and os.path.samefile(found, called):  # noqa: PTH121
        return called.name
    here = os.path.relpath(called)
    if here.startswith(os.pardir):
        return str(called)
    return here if os.sep in here else os.path.join(os.curdir, here)  # noqa: PTH118 - a Path drops the dot


@dataclass(frozen=True, slots=True)
class Hints:
    """Builds commands; `store` is what was given as `--store`, None where it need not be repeated."""

    program: str
    store: str | None = None

    def command(self, verb: str, *words: str) -> str:
        """A command to type."""
        store = ["--store", self.store] if self.store else []
        return f"{self.program} {shlex.join([verb, *words, *store])}"
