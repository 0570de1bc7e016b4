"""The cases, each a function that runs in a process of its own and prints what it measured as one line of JSON.

python -m benchmarks.cases chain FOLDER --size 1000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from orchestrator import Orchestrator, Pipeline, Step
from orchestrator.journal.events import Entry, StepSucceeded


def raw_commit_seconds(folder: Path, commits: int = 200) -> float:
    """The time of one raw commit now: WAL, synchronous FULL, one row of 100 bytes."""
    connection = apsw.Connection(str(folder / "raw.db"))
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", "create table if not exists t(a, b)"):
        list(connection.execute(statement))
    body = b"x" * 100
    started = time.perf_counter()
    for number in range(commits):
        connection.execute("insert into t values(?, ?)", (number, body))
    seconds = (time.perf_counter() - started) / commits
    connection.close()
    return seconds


def chain(size: int) -> Pipeline:
    """Each step needs the one before."""
    steps = [Step(id="s0", call="handlers:count", with_={"value": 0})]
    steps += [Step(id=f"s{i}", call="handlers:count", with_={"value": f"${{s{i - 1}.n}}"}) for i in range(1, size)]
    return Pipeline(pipeline="chain", steps=steps, outputs={"n": f"${{s{size - 1}.n}}"})


def fan(size: int) -> Pipeline:
    """One, many, one."""
    return Pipeline(
        pipeline="fan",
        steps=[
            Step(id="one", call="handlers:item", with_={"value": size}),
            Step(id="many", for_each="${range(one.n)}", as_="i", call="handlers:item", with_={"value": "${i}"}),
            Step(id="join", call="handlers:total", with_={"parts": "${many}"}),
        ],
        outputs={"total": "${join}"},
    )


def carry(megabytes: int) -> Pipeline:
    """A large value through 20 steps that do not change it."""
    steps = [Step(id="s0", call="handlers:make_large", with_={"megabytes": megabytes})]
    steps += [Step(id=f"s{i}", call="handlers:verify_large", with_={"value": f"${{s{i - 1}}}"}) for i in range(1, 21)]
    return Pipeline(pipeline="carry", steps=steps, outputs={"checksum": "${s20.checksum}"})


CASES: dict[str, Callable[[int], Pipeline]] = {"chain": chain, "fan": fan, "carry": carry}


def measure(case: str, folder: Path, size: int) -> dict[str, Any]:
    """Run one case in `folder` and say what it cost."""
    pipeline = Pipeline.from_canonical(CASES[case](size).canonical(), Path(__file__).parent)
    ended: list[float] = []

    def on_event(entry: Entry) -> None:
        if isinstance(entry.event, StepSucceeded):
            ended.append(time.perf_counter())

    before = raw_commit_seconds(folder)
    with Orchestrator(folder / "journal.db", on_event=[on_event]) as orchestrator:
        orchestrator.run(Pipeline(pipeline="warm", steps=[Step(id="a", set_={"x": 1})]))
        commits = orchestrator.store.transactions  # type: ignore[attr-defined]  # the sqlite store counts them
        cpu, started = time.process_time(), time.perf_counter()
        result = orchestrator.run(pipeline).raise_for_status()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        commits = orchestrator.store.transactions - commits  # type: ignore[attr-defined]
    raw = (before + raw_commit_seconds(folder)) / 2
    steps, tenth = len(ended), max(1, len(ended) // 10)
    return {
        "case": case,
        "size": size,
        "steps": steps,
        "seconds": seconds,
        "us_per_step": seconds / steps * 1e6,
        "cpu_us_per_step": cpu_seconds / steps * 1e6,
        "raw_commit_us": raw * 1e6,
        "raw_commits_per_step": seconds / steps / raw,
        "commits_per_step": commits / steps,
        "kb_on_disk": sum(f.stat().st_size for f in folder.glob("journal.db*")) / 1024,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        # The ninth tenth of the steps against the second: 1 means that a step costs the same near the end. The first
        # holds the warming up, the last the join.
        "growth": (ended[9 * tenth - 1] - ended[8 * tenth]) / (ended[2 * tenth - 1] - ended[tenth])
        if steps > 100
        else None,
        "outputs": {name: str(value)[:80] for name, value in result.outputs.items()},
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=[*CASES])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    print(json.dumps(measure(options.case, options.folder, options.size)))
