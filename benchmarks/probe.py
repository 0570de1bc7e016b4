"""What a measured process needs: the case, its clock, and the body that every step runs.

It is imported beside each peer, in that peer's environment, so it takes nothing but the standard library.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGE_BYTES = 5_000_000


@dataclass
class Case:
    """One sample: an empty folder on a real disk, a size, and what the system's variant is called."""

    folder: Path
    size: int
    variant: str = ""
    cost: dict[str, float] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The file that a system which keeps one keeps."""
        return self.folder / "store.db"

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Measure the block: wall time, processor time of all threads, bytes given to the disk."""
        gc.collect()
        written, cpu, started = _written_bytes(), time.process_time(), time.perf_counter()
        yield
        self.cost["seconds"] = time.perf_counter() - started
        self.cost["cpu_seconds"] = time.process_time() - cpu
        self.cost["written_bytes"] = _written_bytes() - written

    @contextmanager
    def memory(self) -> Iterator[None]:
        """Measure by how many bytes of resident memory the process grew in the block, for each of `size`."""
        gc.collect()
        before = _resident_bytes()
        yield
        gc.collect()
        self.cost["bytes_each"] = (_resident_bytes() - before) / self.size


class Bodies:
    """The bodies of steps: counted, and one of them ends the process if the environment says so."""

    def __init__(self) -> None:
        self.ran = 0
        self._lock = threading.Lock()
        self._kill_at = int(os.environ.get("BENCH_KILL_AT", "-1"))

    def run(self, number: int) -> dict[str, Any]:
        """A step that does nothing and returns about 100 bytes."""
        with self._lock:
            self.ran += 1
        if number == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"n": number, "ok": True, "name": f"step-{number:05d}", "data": "x" * 44}


#: The steps of every system are functions of modules, so what they share can only be one too.
BODIES = Bodies()


def large_text(size: int = LARGE_BYTES) -> str:
    """Random hexadecimal digits, the same in each process; a compressor makes half of it."""
    return random.Random(7).randbytes(size // 2).hex()


def _written_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
