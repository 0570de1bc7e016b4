"""What a step of a durable function costs, beside the call of a plain function, the disk, and a declared pipeline.

python -m benchmarks.functions [--quick]

All forms are run in turn in one process, in every round: in memory, then on the disk, each just after the raw commits
of that disk that it is counted in. Start-up is that of processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import facts, raw_commit_seconds
from benchmarks.systems import functions as made
from orchestrator import Orchestrator
from orchestrator.status import ExecutionStatus

BENCHMARKS = Path(__file__).parent
COMMAND = "make functions"
#: Raw commits before each form on the disk, and calls of a function outside of pipelines.
COMMITS, CALLS = 50, 200_000

Found = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How many steps: of each form, of what is resumed and replayed, of what is weighed; calls outside of pipelines."""

    steps: int = 500
    resumed: int = 2_000
    weighed: int = 10_000
    calls: int = CALLS


FULL, QUICK = Sizes(), Sizes(200, 1_000, 1_000, 50_000)


@dataclass(frozen=True)
class Form:
    """A way to run steps. `declared` makes the pipeline of a size; `beside` names the form it is compared with."""

    key: str
    words: str
    function: Any = None
    declared: Callable[[int], Any] | None = None
    beside: str = ""

    def run(self, size: int) -> Callable[[Orchestrator], None]:
        """Runs it on a store; the pipeline is built, as a function is defined, before."""
        what = self.function if self.declared is None else self.declared(size)
        inputs = {"size": size} if self.declared is None else {}

        def run(orchestrator: Orchestrator) -> None:
            result = orchestrator.run(what, inputs).raise_for_status()
            assert result.outputs["result"] == size, result

        return run


FORMS = (
    Form("chain", "declared: a chain of `async def`", declared=made.declared_chain),
    Form("awaited", "`await` of an async step, again and again", made.awaited, beside="chain"),
    Form("in_place", "a `def` step called in place in an async function", made.in_place, beside="chain"),
    Form("plain_waits", "a `def` function, async steps by `.wait`", made.plain_waits, beside="chain"),
    Form("plain_chain", "declared: a chain of `def`, in threads", declared=made.declared_plain),
    Form("in_thread", "`await` of a `def` step's `.aio`, in a thread", made.in_thread, beside="plain_chain"),
    Form("plain", "a `def` function, `def` steps, in threads", made.plain, beside="plain_chain"),
    Form("fan", "declared: `for_each` of `async def`", declared=made.declared_fan),
    Form("gathered", "`gather` of async steps", made.gathered, beside="fan"),
    Form("mapped", "`map` of an async step", made.mapped, beside="fan"),
    Form("chains", "declared: `for_each` of a block of ten steps", declared=made.declared_side_by_side),
    Form("side_by_side", "`gather` of tasks of ten steps each", made.side_by_side, beside="chains"),
    Form("plain_fan", "declared: `for_each` of `def`, in threads", declared=made.declared_plain_fan),
    Form(
        "plain_mapped", "`map` of a `def` step in a `def` function, in threads", made.plain_mapped, beside="plain_fan"
    ),
    Form("calls", "declared: a pipeline of one step, again and again", declared=made.declared_children),
    Form("children", "`await` of a child function of one step, again and again", made.children, beside="calls"),
    Form("calls_fan", "declared: `for_each` of a pipeline of one step", declared=made.declared_children_fan),
    Form("gathered_children", "`gather` of child functions of one step", made.children_gathered, beside="calls_fan"),
)
STORES = ("none", "disk")
#: What is stopped by a signal after many steps, and goes on with one more.
STOPPED: Mapping[str, tuple[Any, Callable[[int], Any] | None]] = {
    "function": (made.stopped, None),
    "plain": (made.plain_stopped, None),
    "declared": (None, made.declared_stopped),
}

# ---------------------------------------------------------------- measuring


def measure(folder: Path, sizes: Sizes, number: int = 0) -> Found:
    """All figures, once; what is held in memory only in the first round, since it does not change."""
    found = outside(sizes.calls)
    forms = FORMS if number % 2 == 0 else FORMS[::-1]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        found |= in_memory(forms, sizes.steps)
        found |= on_disk(forms, sizes.steps, Path(place))
        for key, (function, declared) in STOPPED.items():
            found |= resumed(key, function or (declared and declared(sizes.resumed)), sizes.resumed, Path(place))
        found |= start_up(Path(place))
        if number == 0:
            found["held_function"] = held(made.weighed, {"size": sizes.weighed}, sizes.weighed, Path(place))
            found["held_declared"] = held(made.declared_weighed(sizes.weighed), {}, sizes.weighed, Path(place))
    return found


def outside(calls: int) -> Found:
    """Calls where no pipeline runs: of the function, and of the step that was made of it."""

    def call(function: Callable[[int], int]) -> float:
        started = time.perf_counter()
        for number in range(calls):
            function(number)
        return (time.perf_counter() - started) / calls

    async def wait(function: Callable[[int], Any]) -> float:
        started = time.perf_counter()
        for number in range(calls):
            await function(number)
        return (time.perf_counter() - started) / calls

    return {
        "call_bare": call(made.bare),
        "call_step": call(made.add),
        "await_bare": asyncio.run(wait(made.bare_async)),
        "await_step": asyncio.run(wait(made.add_async)),
    }


def spent(work: Callable[[Orchestrator], None], orchestrator: Orchestrator, size: int) -> tuple[float, float]:
    """Seconds for each step: by the clock, and of CPU in all threads of this process."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work(orchestrator)
    cpu = time.process_time() - cpu
    return (time.perf_counter() - wall) / size, cpu / size


def in_memory(forms: Sequence[Form], size: int) -> Found:
    """Every form with durability `none`, on a store of its own; the plan is made by a run before."""
    found: Found = {}
    for form in forms:
        work = form.run(size)
        with Orchestrator("memory:") as orchestrator:
            work(orchestrator)
            found[f"{form.key}_none_wall"], found[f"{form.key}_none_cpu"] = spent(work, orchestrator, size)
    return found


def on_disk(forms: Sequence[Form], size: int, folder: Path) -> Found:
    """Every form with durability `disk`, each just after some raw commits of that disk; otherwise likewise."""
    found: Found = {}
    raw = []
    with Orchestrator(folder / "steps.db") as orchestrator:
        for form in forms:
            work = form.run(size)
            (work if form.declared else form.run(made.TEN))(orchestrator)
            raw.append(raw_commit_seconds(folder, COMMITS))
            wall, found[f"{form.key}_disk_cpu"] = spent(work, orchestrator, size)
            found[f"{form.key}_disk_wall"], found[f"{form.key}_commits"] = wall, wall / raw[-1]
    return found | {"raw_commit": statistics.median(raw)}


def resumed(key: str, what: Any, size: int, folder: Path) -> Found:
    """From opening the store of what has so many steps behind it until its next step begins; then a check of it."""
    inputs = {} if key == "declared" else {"size": size}
    file, id_ = folder / f"{key}.db", "e"
    with Orchestrator(file, durability="process") as orchestrator:
        assert orchestrator.run(what, inputs, execution_id=id_).status is ExecutionStatus.PAUSED
        orchestrator.signal(id_, "go")
    gc.collect()
    started = time.perf_counter()
    with Orchestrator(file) as orchestrator:
        orchestrator.resume(id_).raise_for_status()
        found = {f"resume_{key}": made.REACHED[-1] - started}
        if key != "declared":
            gc.collect()
            started = time.perf_counter()
            assert orchestrator.check_replay(id_).ok
            found[f"replay_{key}"] = (time.perf_counter() - started) / size
    return found


def held(what: Any, inputs: Mapping[str, Any], size: int, folder: Path) -> float:
    """Bytes of Python's memory that an execution under way holds for each step that it has behind it."""
    made.WEIGHED.clear()
    tracemalloc.start()
    try:
        with Orchestrator(folder / "held.db", durability="process") as orchestrator:
            orchestrator.run(what, inputs).raise_for_status()
    finally:
        tracemalloc.stop()
    before, after = made.WEIGHED
    return (after - before) / size


#: What is started: a key, and what Python is told.
STARTED = {
    "start_python": ["-c", "pass"],
    "start_package": ["-c", "import orchestrator"],
    "start_names": ["-c", "from orchestrator import step, pipeline"],
    "start_function": ["-m", "orchestrator", "run", "-q", "trivial:greet"],
    "start_declared": ["-m", "orchestrator", "run", "-q", "trivial.yaml"],
}
#: The files that they are started with.
FILES = {
    "bare.py": 'async def hello() -> str:\n    return "hello"\n',
    "trivial.py": """from bare import hello

from orchestrator import pipeline, step

said = step(hello)


@pipeline
async def greet() -> str:
    return await said()
""",
    "trivial.yaml": "pipeline: greet\nsteps:\n  - {id: said, call: 'bare:hello'}\noutputs: {result: '${said}'}\n",
}


def start_up(folder: Path) -> Found:
    """How long processes take, from their start to their end."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    found = {}
    for key, arguments in STARTED.items():
        for _ in range(2):  # the first one finds nothing compiled, and makes the store
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            found[key] = time.perf_counter() - started
    return found


# ---------------------------------------------------------------- the page

HOW = """# Durable functions

What a step of a durable function costs: beside the call of a plain function, the disk, and the same as a declared
pipeline. Made by `{command}`, {rounds}; load average of the machine {load}, which other programs used
as well. {processor}, {cores} cores, {system}, {filesystem}, Python {python}, SQLite {sqlite}. Every step adds 1 to a
number.

## A step outside of pipelines

What the decorator costs where no pipeline runs: the call of the function, and of the step that was made of it.

| | the function | the step | ratio | more |
|---|---:|---:|---:|---:|
{outside}

## A step in a pipeline

Medians, in µs for each step (in brackets the least of all rounds), executions of {steps:,} steps. *In memory* is
durability `none`, *on the disk* is durability `disk`: every result is synced before the next step begins. *CPU* is that
of all threads of the process. One *raw commit* of this disk took {commit} ms, measured anew before each form. The
*ratio* is to the declared pipeline above it, in the same round, by the clock.

| | in memory | CPU | ratio | on the disk | CPU | raw commits | ratio |
|---|---:|---:|---:|---:|---:|---:|---:|
{forms}

A child function or pipeline counts as one, with the one step in it: it has two results to record, its step's and its
own. What waits in threads pays for waking them twice: how much, the load of the machine decides.

## Going on, and what is kept

| | |
|---|---:|
{rest}

*Going on* is from opening the store, where the execution waits for a signal that has come, until the next step begins;
a function runs from its first line then. *Memory* is what Python's own counter (tracemalloc) says in a step at the end
of {weighed:,} steps, less what it said in one before them. *Processes* are counted from their start to their end; what
they import is compiled, and the store is there.
"""


def page(found: Sequence[Found], sizes: Sizes, load: str, machine: Mapping[str, str]) -> str:
    """The whole page: medians over the rounds."""
    rounds = "once" if len(found) == 1 else f"medians of {len(found)} rounds"
    return HOW.format(
        command=COMMAND,
        rounds=rounds,
        load=load,
        outside="\n".join(_outside_rows(found)),
        steps=sizes.steps,
        commit=_number(_median(found, "raw_commit") * 1e3),
        forms="\n".join(_form_rows(found)),
        rest="\n".join(_other_rows(found, sizes)),
        weighed=sizes.weighed,
        **machine,
    )


def _outside_rows(found: Sequence[Found]) -> list[str]:
    rows = []
    for words, verb in (("`def`, called", "call"), ("`async def`, awaited", "await")):
        bare, made_of = _median(found, f"{verb}_bare"), _median(found, f"{verb}_step")
        ratio, more = _ratio(found, f"{verb}_step", f"{verb}_bare"), _number((made_of - bare) * 1e9)
        rows.append(f"| {words} | {_number(bare * 1e9)} ns | {_number(made_of * 1e9)} ns | {ratio} | {more} ns |")
    return rows


def _form_rows(found: Sequence[Found]) -> list[str]:
    rows = []
    for form in FORMS:
        cells = [form.words]
        for store in STORES:
            key = f"{form.key}_{store}"
            cells += [_with_least(found, f"{key}_wall"), _with_least(found, f"{key}_cpu")]
            cells += [_number(_median(found, f"{form.key}_commits"))] if store == "disk" else []
            cells.append(_ratio(found, f"{key}_wall", f"{form.beside}_{store}_wall") if form.beside else "")
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _other_rows(found: Sequence[Found], sizes: Sizes) -> list[str]:
    each = 1e-6 * sizes.resumed
    rows = (
        (f"going on after {sizes.resumed:,} steps: an async function", "resume_function", 1e-3, "ms"),
        ("of that for each step", "resume_function", each, "µs"),
        ("a `def` function", "resume_plain", 1e-3, "ms"),
        ("of that for each step", "resume_plain", each, "µs"),
        ("a declared pipeline", "resume_declared", 1e-3, "ms"),
        ("of that for each step", "resume_declared", each, "µs"),
        ("`check-replay`, for each step: an async function", "replay_function", 1e-6, "µs"),
        ("a `def` function", "replay_plain", 1e-6, "µs"),
        ("memory for each step that is behind: an async function", "held_function", 1, "bytes"),
        ("a declared pipeline", "held_declared", 1, "bytes"),
        ("a process: bare Python", "start_python", 1e-3, "ms"),
        ("`import orchestrator`", "start_package", 1e-3, "ms"),
        ("`from orchestrator import step, pipeline`", "start_names", 1e-3, "ms"),
        ("`orchestrator run module:function`, of one step", "start_function", 1e-3, "ms"),
        ("`orchestrator run pipeline.yaml`, of one step", "start_declared", 1e-3, "ms"),
    )
    return [f"| {words} | {_number(_median(found, key) / scale)} {unit} |" for words, key, scale, unit in rows]


def _median(found: Sequence[Found], key: str) -> float:
    return statistics.median(one[key] for one in found if key in one)


def _ratio(found: Sequence[Found], key: str, to: str) -> str:
    """Of two figures of one round: the median of the rounds."""
    return f"{statistics.median(one[key] / one[to] for one in found):.2f}"


def _with_least(found: Sequence[Found], key: str) -> str:
    """In microseconds."""
    return f"{_number(_median(found, key) * 1e6)} ({_number(min(one[key] for one in found) * 1e6)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, two rounds, printed only: a minute")
    parser.add_argument("--rounds", type=int, default=7, help="of which the medians count")
    parser.add_argument("--folder", type=Path, default=BENCHMARKS, help="where the stores are made for the time being")
    options = parser.parse_args()
    report(QUICK if options.quick else FULL, options)


def report(sizes: Sizes, options: argparse.Namespace) -> None:
    """Measure, print, and write the page where all of it was measured."""
    machine, loads, rounds, text = facts(options.folder), [], [], ""
    for number in range(2 if options.quick else options.rounds):
        started = time.perf_counter()
        loads.append(os.getloadavg()[0])
        rounds.append(measure(options.folder, sizes, number))
        loads.append(os.getloadavg()[0])
        print(f"a round took {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        text = page(rounds, sizes, f"{min(loads):.1f} to {max(loads):.1f}", machine)
        if not options.quick:
            (BENCHMARKS / "FUNCTIONS.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


if __name__ == "__main__":
    main()
