"""A byte that says what a process was doing when it was killed.

It is written to a file: a write is in the page cache when it returns, so that a SIGKILL cannot lose it.
"""

from __future__ import annotations

import os
import time
from enum import IntEnum
from pathlib import Path

#: Names the phase that the harness aims at.
AIM = "ORCHESTRATOR_KILL_AIM"


class Phase(IntEnum):
    """What a process under the kill harness is doing."""

    STARTING = 0
    RECOVERY = 1
    BEFORE_HANDLER = 2
    IN_HANDLER = 3
    AFTER_HANDLER = 4
    IN_COMMIT = 5
    ENDED = 6


def linger(phase: Phase) -> None:
    """Stay in a phase that is over in microseconds for some milliseconds, where the harness aims at it."""
    if os.environ.get(AIM) == phase.name:
        time.sleep(0.004)


def mark(folder: Path, phase: Phase) -> None:
    """Store the phase; one write of one byte, which the kernel makes whole."""
    fd = os.open(folder / "phase", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, bytes([phase]), 0)
    finally:
        os.close(fd)


def marked(folder: Path) -> Phase:
    """The phase that was stored last."""
    try:
        data = (folder / "phase").read_bytes()
    except FileNotFoundError:
        return Phase.STARTING
    return Phase(data[0]) if data else Phase.STARTING
