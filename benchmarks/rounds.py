"""The rounds: each contender on each workload, one process at a time, in turn, so that a slow minute meets them all.

A workload's contenders follow one another, in the opposite order every other round. What failed twice is not tried
again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine, process, syncs
from benchmarks.contenders import Contender
from benchmarks.process import SampleFailedError
from benchmarks.results import Sample
from benchmarks.workloads import COLD, Workload


@dataclass
class Rounds:
    """`folder` is an empty one on a disk; it is left as it is when the rounds are over."""

    folder: Path
    quick: bool = False
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _started: set[str] = field(default_factory=set)

    def samples(self, contenders: Sequence[Contender], workloads: Sequence[Workload], count: int) -> Iterator[Sample]:
        """All samples, as they come."""
        for number in range(count):
            order = contenders if number % 2 == 0 else contenders[::-1]
            for workload in workloads:
                for contender in order:
                    if self._is_due(contender, workload, number):
                        yield self._sample(contender, workload, number)

    def _is_due(self, contender: Contender, workload: Workload, number: int) -> bool:
        if self._failed[contender.name, workload.key] >= 2 or (workload.once and number):
            return False
        return workload.key in (contender.cold if workload.key in COLD else contender.runs)

    def _sample(self, contender: Contender, workload: Workload, number: int) -> Sample:
        size = contender.sizes.get(workload.key, (workload.size, workload.quick))[self.quick]
        try:
            measured, reason = self._measured(contender, workload, size), ""
        except SampleFailedError as error:
            measured, reason = {}, error.what
            self._failed[contender.name, workload.key] += 1
        return Sample(contender.name, workload.key, number, size, measured, reason)

    def _measured(self, contender: Contender, workload: Workload, size: int) -> dict[str, float]:
        match workload.key:
            case "import" | "use" | "console":
                return self._cold(contender, workload)
            case "resume":
                return self._resumed(contender, size)
            case "syncs":
                return syncs.per_step(contender, contender.runs["syncs"], self.folder / "case", size)
            case _:
                return self._run(contender, workload, size)

    def _run(self, contender: Contender, workload: Workload, size: int) -> dict[str, float]:
        case = self._emptied("case")
        case.mkdir()
        return self._between_commits(case, lambda: process.sample(contender, contender.runs[workload.key], case, size))

    def _resumed(self, contender: Contender, size: int) -> dict[str, float]:
        """Each sample resumes its own copy of what one kill has left."""
        killed = self.folder / "killed" / contender.name.replace(" ", "-")
        case = self._emptied("case")
        if not killed.exists():
            case.mkdir()
            process.sample(contender, "kill", case, size, kill_at=size - 1)
            shutil.copytree(case, killed)
            shutil.rmtree(case)
        shutil.copytree(killed, case)
        os.sync()
        return self._between_commits(case, lambda: process.sample(contender, "resume", case, size))

    def _cold(self, contender: Contender, workload: Workload) -> dict[str, float]:
        """A cold start, and the start of bare Python beside it, the caches being warm."""
        words = contender.cold[workload.key]
        program, *options = words.split()
        command = [contender.bin / program, *options] if workload.key == "console" else [contender.python, "-c", words]
        if words not in self._started:
            process.start_seconds(command)
            self._started.add(words)
        bare, load = process.start_seconds([contender.python, "-c", "pass"]), os.getloadavg()[0]
        return {"bare_seconds": bare, "seconds": process.start_seconds(command), "load": load}

    def _between_commits(self, case: Path, run: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What was measured, with the cost of a raw commit just before and just after, and what is on the disk."""
        before, load = machine.raw_commit_seconds(self.folder), os.getloadavg()[0]
        measured = run()
        after = machine.raw_commit_seconds(self.folder)
        return {**measured, **machine.stored(case), "raw_commit_seconds": (before + after) / 2, "load": load}

    def _emptied(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder
