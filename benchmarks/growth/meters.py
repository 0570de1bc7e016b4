"""What is read off a process: time, and the most memory it has had."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Found = dict[str, float]


@dataclass(slots=True)
class Meter:
    """Wall and CPU seconds, and the growth of the peak of memory, since it was made."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)
    peak: int = field(default_factory=lambda: peak_bytes())

    def found(self) -> Found:
        """As it stands now."""
        return {
            "seconds": time.perf_counter() - self.wall,
            "cpu_seconds": time.process_time() - self.cpu,
            "more_bytes": peak_bytes() - self.peak,
            "peak_bytes": peak_bytes(),
        }


def metered(name: str, work: Callable[[], T]) -> tuple[Found, T]:
    """What a piece of work cost, under names that begin with `name`, and what it gave."""
    meter = Meter()
    result = work()
    return {f"{name}_{key}": value for key, value in meter.found().items()}, result


def peak_bytes() -> int:
    """The most memory that this process has had; `ru_maxrss` would begin with that of its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM; measure on Linux")
