"""What the tracker costs: how long its handlers take, and what the process uses."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class CallTimes:
    """How often a handler was called, and how long it took, in seconds. Written by one thread at a time."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0
    shortest: float = 0.0
    latest: float = 0.0

    def add(self, seconds: float) -> None:
        """Take in one call."""
        self.shortest = seconds if not self.count else min(self.shortest, seconds)
        self.longest = max(self.longest, seconds)
        self.total += seconds
        self.latest = seconds
        self.count += 1

    def shown(self) -> dict[str, float]:
        """As `get_performance_metrics` names them; all 0 before the first call."""
        return {
            "call_count": self.count,
            "avg_duration": self.total / self.count if self.count else 0.0,
            "max_duration": self.longest,
            "min_duration": self.shortest,
        }


def system_load() -> Mapping[str, float]:
    """The machine's load over a minute, and what this process has used: CPU in seconds, memory in bytes."""
    times = os.times()
    return {
        "load": os.getloadavg()[0],
        "process_cpu_seconds": times.user + times.system,
        "process_memory_bytes": _resident_bytes(),
    }


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):  # no such file system: the highest use so far is the next best
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
