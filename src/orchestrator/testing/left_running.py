"""Processes that outlived the run they belong to.

They are looked for in three ways, none of which is the product's own: by the environment that the harness gave them, by
a working folder below that of the run, and by what a handler wrote into `pids` of a child that has neither.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.testing.harm import Broken, Harm

#: Names the folder of the run, for handlers and for whoever looks for them.
FOLDER = "ORCHESTRATOR_KILL_FOLDER"
#: What belongs to an engine that has ended has this long to be gone.
GRACE_SECONDS = 5.0


def require_none_left(folder: Path, grace_seconds: float = GRACE_SECONDS) -> None:
    """Raise Broken where something of this run is alive after the time of grace."""
    deadline = time.monotonic() + grace_seconds
    while left := list(left_running(folder)):
        if time.monotonic() > deadline:
            raise Broken(Harm.LEFT, f"{folder}: these live on: {left}")
        time.sleep(0.01)


def left_running(folder: Path) -> Iterator[str]:
    """Each living process of this run but the present one, as `pid command`."""
    told = set((folder / "pids").read_text().split()) if (folder / "pids").exists() else set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if _belongs(entry, folder, told):
                    yield f"{entry.name} {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
            except OSError:  # it has gone
                continue


def _belongs(entry: Path, folder: Path, told: set[str]) -> bool:
    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
    if state in "ZX":
        return False
    needle = f"{FOLDER}={folder}\0".encode()
    inside = (entry / "cwd").readlink().is_relative_to(folder)
    return entry.name in told or inside or needle in (entry / "environ").read_bytes() + b"\0"
