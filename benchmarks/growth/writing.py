"""The process that writes a store, and says as one line of JSON what that cost.

python -m benchmarks.growth.writing chain FOLDER SIZE

Where steps grow it ends itself as if it were killed when the last but one is recorded, so that something is left to be
resumed.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks.growth.meters import Found, Meter, peak_bytes
from benchmarks.growth.pipelines import chain, fan, value
from orchestrator import Orchestrator, Pipeline, Step
from orchestrator.clock import SystemClock
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Entry
from orchestrator.journal.records import encode_body
from orchestrator.journal.store import Append, Lease, Store, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.storage import open_store, this_owner
from orchestrator.types import ExecutionId, StepKey

#: The execution that is looked at afterwards: the first that was made.
FIRST = ExecutionId("first")
#: Executions that are under way at once, where many are made.
AT_ONCE = 32
#: Appends of one execution, where rows are made without an engine.
ROWS_EACH = 1000


def opened(folder: Path, on_event: Callable[[Entry], None] | None = None) -> Orchestrator:
    """An orchestrator on the folder's store that has run something already."""
    made = Orchestrator(folder / "journal.db", durability="process", on_event=[on_event] if on_event else [])
    made.run(Pipeline(pipeline="warm", steps=[Step(id="a", set_={"x": 1})]), execution_id="warm")
    return made


def write_steps(make: Callable[[int], Pipeline], folder: Path, size: int) -> None:
    """Run until so many steps are recorded, then end as if killed. Memory counts with the pipeline, time without."""
    ended: list[float] = []
    marks: list[Found] = []

    def on_event(entry: Entry) -> None:
        if not isinstance(entry.event, ev.StepSucceeded):
            return
        ended.append(time.perf_counter())
        if len(ended) in (2, size + 1):  # the warming up had one
            marks.append(meter.found())
        if len(ended) == size + 1:
            say(
                _spent(marks[0], marks[-1], size, peak_before)
                | {"early_us": _pace(ended[51:151]), "late_us": _pace(ended[-1000:])}
            )
            os._exit(0)

    meter = Meter()
    with opened(folder, on_event) as orchestrator:
        peak_before = peak_bytes()
        pipeline = make(size)
        meter = Meter()
        orchestrator.run(pipeline, execution_id=FIRST)
    raise AssertionError("the last step was not reached")


def _spent(first: Found, last: Found, size: int, peak_before: int) -> Found:
    """Up to the first step (checking and planning), from there on per step, and both."""
    return {
        "plan_cpu_seconds": first["cpu_seconds"],
        "each_seconds": (last["seconds"] - first["seconds"]) / (size - 1),
        "each_cpu_seconds": (last["cpu_seconds"] - first["cpu_seconds"]) / (size - 1),
        "all_seconds": last["seconds"],
        "all_cpu_seconds": last["cpu_seconds"],
        "write_more_bytes": last["peak_bytes"] - peak_before,
    }


def _pace(ended: list[float]) -> float:
    """The median time between two ends, in microseconds."""
    return statistics.median([after - before for before, after in pairwise(ended)] or [0.0]) * 1e6


def write_executions(folder: Path, size: int) -> None:
    """Executions of three steps, some at once."""
    pipeline = chain(2)
    with opened(folder) as orchestrator:
        orchestrator.run(pipeline, execution_id=FIRST).raise_for_status()
        meter = Meter()
        asyncio.run(_many(orchestrator, pipeline, max(1, size - 1)))
        say(_each(meter.found(), max(1, size - 1)))


async def _many(orchestrator: Orchestrator, pipeline: Pipeline, count: int) -> None:
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            (await orchestrator.arun(pipeline)).raise_for_status()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def write_rows(folder: Path, size: int) -> None:
    """Rows by the store's own append, a start and a success in each, a thousand to an execution; no engine."""
    clock = SystemClock()
    store, owner = open_store(str(folder / "journal.db"), durability="process", clock=clock), this_owner(clock)
    meter = Meter()
    for number, begin in enumerate(range(0, size, ROWS_EACH)):
        lease = Lease(ExecutionId(f"e{number}") if number else FIRST, owner, 1)
        _append_rows(store, lease, min(ROWS_EACH, size - begin), float(number))
    say(_each(meter.found(), size))
    store.sync()
    store.close()


def _append_rows(store: Store, lease: Lease, rows: int, at: float) -> None:
    model, result = Encoded(pack({"pipeline": "rows", "steps": []})), Encoded(pack({"text": "x" * 80, "ok": True}))
    summary = Summary(lease.execution_id, "rows", ExecutionStatus.RUNNING, at, at, steps_total=rows)
    body = encode_body([(at, ev.ExecutionCreated(lease.execution_id, "rows", model, "", (), ""))])
    position, count = 0, 1
    for row in range(rows):
        store.commit(Append(lease, position, count, body, replace(summary, steps_done=row), releases=row == rows - 1))
        position, count = position + count, 2
        key = StepKey(f"s{row}")
        body = encode_body([(at, ev.StepStarted(key, 1, 1)), (at, ev.StepSucceeded(key, 1, 1, result))])
    store.flush()


def write_value(folder: Path, size: int) -> None:
    """One step makes it, the next has it."""
    with opened(folder) as orchestrator:
        orchestrator.run(value(1)).raise_for_status()
        meter = Meter()
        result = orchestrator.run(value(size), execution_id=FIRST).raise_for_status()
        say(_each(meter.found(), size))
    assert result.outputs["length"] == size


def _each(found: Found, size: int) -> Found:
    return {
        "each_seconds": found["seconds"] / size,
        "each_cpu_seconds": found["cpu_seconds"] / size,
        "write_more_bytes": found["more_bytes"],
        "write_peak_bytes": found["peak_bytes"],
    }


def say(found: Found) -> None:
    """The line of JSON."""
    print(json.dumps(found), flush=True)


WRITE: Mapping[str, Callable[[Path, int], None]] = {
    "chain": lambda folder, size: write_steps(chain, folder, size),
    "fan": lambda folder, size: write_steps(fan, folder, size),
    "executions": write_executions,
    "rows": write_rows,
    "value": write_value,
}

if __name__ == "__main__":
    WRITE[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
