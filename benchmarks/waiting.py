"""What ten thousand executions cost that wait for a timer or a signal, and how late they are woken.

python -m benchmarks.waiting [--quick]

One process makes the executions and ends. A second one is the scheduler: it says in lines of JSON when it took an
execution in hand and when that had completed, durably. The first one posts signals and compares. So what is measured is
the way over the store's file, as between processes of any kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from benchmarks.machine import facts, raw_commit_seconds
from orchestrator import Orchestrator, Pipeline
from orchestrator.scheduling import Scheduler, Turn
from orchestrator.status import ExecutionStatus

BENCHMARKS = Path(__file__).parent
COMMAND = "make waiting"
#: Executions that are made at once, woken once before anything is measured, and of which signals are posted one by one.
AT_ONCE, WARM, ONE_BY_ONE = 32, 64, 100
#: How long nothing happens, and over how long timers are spread.
IDLE_SECONDS, SPREAD_SECONDS = 10.0, 10.0
#: Nothing that is awaited takes longer.
PATIENCE_SECONDS = 120.0

Found = dict[str, float]

TIMER = "pipeline: timer\ninputs: {at: {type: string}}\nsteps:\n  - {id: w, wait: '${at}'}\noutputs: {at: '${w}'}"
SIGNAL = "pipeline: signalled\nsteps:\n  - {id: s, signal: go}\noutputs: {got: '${s}'}"

# ---------------------------------------------------------------- the process that makes them


async def make(file: Path, prefix: str, count: int, first: float, last: float) -> None:
    """So many: timers that are due from `first` to `last` (epoch seconds), or signals where these are 0."""
    pipeline = Pipeline.loads(TIMER if last else SIGNAL)
    numbers = iter(range(count))
    with Orchestrator(file, patience_seconds=0) as app:

        async def some() -> None:
            for number in numbers:
                due = first + (last - first) * number / max(1, count - 1)
                inputs = {"at": _moment(due)} if last else {}
                result = await app.arun(pipeline, inputs, execution_id=f"{prefix}{number}")
                assert result.status is ExecutionStatus.PAUSED, result

        async with app.staying_open():
            await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f"{at % 1:.6f}"[1:] + "+00:00"


# ---------------------------------------------------------------- the scheduler


async def serve(file: Path) -> None:
    """Schedule until stdin ends; each line there asks for a line about this process."""
    statements = 0

    def count(_event: Mapping[str, Any]) -> None:
        nonlocal statements
        statements += 1

    apsw.connection_hooks.append(lambda connection: connection.trace_v2(apsw.SQLITE_TRACE_STMT, count))
    stop, loop, begun = asyncio.Event(), asyncio.get_running_loop(), {}

    def tell(turn: Turn) -> None:
        if not turn.is_over:
            begun[turn.execution_id] = time.time()
        else:
            well = turn.result is not None and turn.result.status is ExecutionStatus.COMPLETED
            say({"id": turn.execution_id, "begun": begun.pop(turn.execution_id), "ended": time.time(), "well": well})

    def mark(word: str) -> None:
        rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        say({"mark": word, "rss": rss, "statements": statements, "cpu": time.process_time(), "at": time.time()})

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(mark, line.strip())
        loop.call_soon_threadsafe(stop.set)

    with Orchestrator(file) as app:
        threading.Thread(target=listen, daemon=True).start()
        await Scheduler(app, on_event=tell).run(stop)


def say(found: Mapping[str, Any]) -> None:
    """A line of JSON."""
    print(json.dumps(found), flush=True)


# ---------------------------------------------------------------- the one that compares


@dataclass
class Serving:
    """The scheduler's process, seen from outside."""

    process: subprocess.Popen[str]
    ended: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    marks: list[Mapping[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        """In a thread: take what it says."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = json.loads(line)
            if "mark" in found:
                self.marks.append(found)
            else:
                self.ended[found["id"]] = found

    def mark(self, word: str) -> Mapping[str, Any]:
        """What it says of itself now."""
        assert self.process.stdin is not None
        number = len(self.marks) + 1
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.wait_until(lambda: len(self.marks) >= number)
        return self.marks[-1]

    def wait_for(self, ids: Sequence[str]) -> None:
        """Until all of these have completed."""
        self.wait_until(lambda: all(id_ in self.ended for id_ in ids))
        assert all(self.ended[id_]["well"] for id_ in ids)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Look again and again; raises TimeoutError where it takes too long, or the process has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"the scheduler does not come to an end (it has said {len(self.ended)} things)")
            time.sleep(0.02)


@contextmanager
def serving(file: Path) -> Iterator[Serving]:
    """A scheduler on a store that has woken some already."""
    child("make", file, "warm", WARM, 0, 0)
    with Orchestrator(file) as app:
        for number in range(WARM):
            app.signal(f"warm{number}", "go")
    command = [sys.executable, "-m", "benchmarks.waiting", "--serve", str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=BENCHMARKS.parent, stdin=pipe, stdout=pipe, text=True) as process:
        found = Serving(process)
        reader = threading.Thread(target=found.read)
        reader.start()
        try:
            found.wait_for([f"warm{number}" for number in range(WARM)])
            yield found
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        finally:
            process.kill()
            reader.join()


def child(verb: str, *arguments: object) -> float:
    """How long a process takes that does this."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.waiting", f"--{verb}", *map(str, arguments)]
    subprocess.run(command, cwd=BENCHMARKS.parent, check=True)
    return time.perf_counter() - started


def measure(folder: Path, number: int) -> Found:
    """All figures, once."""
    found: Found = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        found["raw_commit"] = raw_commit_seconds(Path(place))
        empty = Path(place) / "empty.db"
        with serving(empty) as scheduler:
            found["rss_without"] = scheduler.mark("warm")["rss"]
        file = Path(place) / "many.db"
        far = time.time() + 30 * 86_400
        started = child("make", Path(place) / "start.db", "x", 1, far, far)
        before = 0 if not file.exists() else file.stat().st_size
        seconds = child("make", file, "timer", number // 2, far, far + 86_400) - started
        seconds += child("make", file, "signal", number - number // 2, 0, 0) - started
        found["make_seconds"], found["file_bytes"] = seconds / number, (file.stat().st_size - before) / number
        with serving(file) as scheduler:
            found |= idle(scheduler)
            found |= spread(scheduler, file, number // 10)
            found |= signals(scheduler, file, number // 10)
            found["rss_after"] = scheduler.mark("after")["rss"]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        found |= at_once(Path(place) / "due.db", number)
    return found


def idle(scheduler: Serving) -> Found:
    """Nothing happens: what the scheduler does and holds."""
    first = scheduler.mark("idle")
    time.sleep(IDLE_SECONDS)
    last = scheduler.mark("idle")
    polls = (last["at"] - first["at"]) / 0.5
    return {
        "rss_with": last["rss"],
        "statements": (last["statements"] - first["statements"]) / polls,
        "idle_cpu": (last["cpu"] - first["cpu"]) / (last["at"] - first["at"]),
    }


def spread(scheduler: Serving, file: Path, number: int) -> Found:
    """Timers that are due one after the other over some seconds."""
    first = time.time() + 10 + number / 150  # they are made by then
    last = first + SPREAD_SECONDS
    child("make", file, "spread", number, first, last)
    ids = [f"spread{n}" for n in range(number)]
    scheduler.wait_for(ids)
    due = {id_: first + (last - first) * n / max(1, number - 1) for n, id_ in enumerate(ids)}
    return late("timer", scheduler, due)


def signals(scheduler: Serving, file: Path, number: int) -> Found:
    """Signals at moments of chance, each awaited by one execution; then many at once."""
    chance, posted, burst = random.Random(7), {}, {}
    with Orchestrator(file) as app:
        for n in range(ONE_BY_ONE):
            time.sleep(chance.uniform(0.05, 0.25))
            posted[f"signal{n}"] = time.time()
            app.signal(f"signal{n}", "go", n)
        scheduler.wait_for([*posted])
        started = time.time()
        for n in range(ONE_BY_ONE, ONE_BY_ONE + number):
            burst[f"signal{n}"] = time.time()
            app.signal(f"signal{n}", "go", n)
        posting = time.time() - started
    scheduler.wait_for([*burst])
    ended = max(scheduler.ended[id_]["ended"] for id_ in burst)
    found = late("signal", scheduler, posted) | late("burst", scheduler, burst)
    return found | {"post_seconds": posting / number, "burst_seconds": ended - started}


def at_once(file: Path, number: int) -> Found:
    """All are due when the scheduler comes."""
    due = time.time() + 15 + number / 150  # they are made by then
    child("make", file, "due", number, due, due)
    time.sleep(max(0.0, due - time.time()))
    with serving(file) as scheduler:
        ids = [f"due{n}" for n in range(number)]
        scheduler.wait_for(ids)
        last = scheduler.mark("ended")
    turns = [scheduler.ended[id_] for id_ in ids]
    seconds = max(turn["ended"] for turn in turns) - min(turn["begun"] for turn in turns)
    return {"wake_each": seconds / number, "wake_rss": last["rss"]}


def late(name: str, scheduler: Serving, due: Mapping[str, float]) -> Found:
    """How long after their time they were in hand, and had completed."""
    begun = sorted(scheduler.ended[id_]["begun"] - at for id_, at in due.items())
    ended = sorted(scheduler.ended[id_]["ended"] - at for id_, at in due.items())
    return {
        f"{name}_begun": statistics.median(begun),
        f"{name}_begun_p99": begun[int(0.99 * (len(begun) - 1))],
        f"{name}_ended": statistics.median(ended),
        f"{name}_ended_p99": ended[int(0.99 * (len(ended) - 1))],
    }


# ---------------------------------------------------------------- the page

#: What is shown: the words, the key, by what it is divided, the unit.
ROWS = (
    ("one raw commit of the disk, just before", "raw_commit", 1e-3, "ms"),
    ("to make one, until it waits", "make_seconds", 1e-3, "ms"),
    ("bytes in the file, for each", "file_bytes", 1, "bytes"),
    ("memory of the scheduler's process, none waiting", "rss_without", 1e6, "MB"),
    ("the same while all of them wait", "rss_with", 1e6, "MB"),
    ("of that for each that waits", "rss_each", 1, "bytes"),
    ("the same after all that follows", "rss_after", 1e6, "MB"),
    ("statements for each poll (twice a second)", "statements", 1, ""),
    ("CPU while nothing happens", "idle_cpu", 1e-2, "%"),
    ("a timer, from its time until it is in hand: median", "timer_begun", 1e-3, "ms"),
    ("p99", "timer_begun_p99", 1e-3, "ms"),
    ("until it has completed: median", "timer_ended", 1e-3, "ms"),
    ("p99", "timer_ended_p99", 1e-3, "ms"),
    ("a signal, from its post until it is in hand: median", "signal_begun", 1e-3, "ms"),
    ("p99", "signal_begun_p99", 1e-3, "ms"),
    ("until the execution has completed: median", "signal_ended", 1e-3, "ms"),
    ("p99", "signal_ended_p99", 1e-3, "ms"),
    ("to post one of many signals", "post_seconds", 1e-3, "ms"),
    (
        "many signals in a row, from the post of each until its execution has completed: median",
        "burst_ended",
        1e-3,
        "ms",
    ),
    ("p99", "burst_ended_p99", 1e-3, "ms"),
    ("from the first post until all have completed", "burst_seconds", 1, "s"),
    ("all due at once: to wake and to end one", "wake_each", 1e-3, "ms"),
    ("memory of the scheduler's process afterwards", "wake_rss", 1e6, "MB"),
)

HOW = """# Waiting

What {number:,} executions cost that wait in one store, half for a time that is far, half for a signal; and how late
they are woken. Made by `{command}`, {rounds}; load average of the machine {load}, which other programs used as well.
{processor}, {cores} cores, {system}, {filesystem}, Python {python}, SQLite {sqlite}. Every commit is synced
(`durability="disk"`), so most of these figures are multiples of the first.

One process makes the executions, {at_once} at once, and ends. Another is the scheduler (`max_running` 100,
`poll_seconds` 0.5). A third one posts. {spread:,} timers are due one after the other within {seconds:g} s,
{one_by_one} signals are posted at moments of chance, {spread:,} in a row; in the end {number:,} other executions are
due at once. A signal is seen by the next poll: it waits for half of `poll_seconds` on the average. A timer does not.
"""


def page(found: Sequence[Found], number: int, load: str, machine: Mapping[str, str]) -> str:
    """The whole page: medians over the rounds."""
    rounds = "once" if len(found) == 1 else f"medians of {len(found)} rounds"
    head = HOW.format(
        number=number,
        command=COMMAND,
        rounds=rounds,
        load=load,
        at_once=AT_ONCE,
        spread=number // 10,
        seconds=SPREAD_SECONDS,
        one_by_one=ONE_BY_ONE,
        **machine,
    )
    rows = [f"| {words} | {_number(_median(found, key, number) / scale)} {unit} |" for words, key, scale, unit in ROWS]
    return head + "\n" + "\n".join(["| | |", "|---|---:|", *rows]) + "\n"


def _median(found: Iterable[Found], key: str, number: int) -> float:
    """Of a figure; what a waiting execution takes of memory is a difference of two."""
    if key == "rss_each":
        return statistics.median((one["rss_with"] - one["rss_without"]) / number for one in found)
    return statistics.median(one[key] for one in found)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth, once, printed only: a minute")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians count")
    parser.add_argument("--number", type=int, default=10_000, help="executions that wait")
    parser.add_argument("--folder", type=Path, default=BENCHMARKS, help="where the stores are made for the time being")
    parser.add_argument("--make", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        file, prefix, count, first, last = options.make
        asyncio.run(make(Path(file), prefix, int(count), float(first), float(last)))
    elif options.serve:
        asyncio.run(serve(Path(options.serve)))
    else:
        report(options.number // 10 if options.quick else options.number, options)


def report(number: int, options: argparse.Namespace) -> None:
    """Measure, print, and write the page where all of it was measured."""
    machine, loads, rounds = facts(options.folder), [], []
    for _ in range(1 if options.quick else options.rounds):
        started = time.perf_counter()
        loads.append(os.getloadavg()[0])
        rounds.append(measure(options.folder, number))
        loads.append(os.getloadavg()[0])
        print(f"a round took {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        text = page(rounds, number, f"{min(loads):.1f} to {max(loads):.1f}", machine)
        print(text, flush=True)
        if not options.quick:
            (BENCHMARKS / "WAITING.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
