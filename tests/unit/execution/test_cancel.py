"""A cancel with proof: what was asked to end, what had to be killed, and what cannot be ended and is refused."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator import ExecutionStatus, Pipeline
from orchestrator.clock import SystemClock
from orchestrator.execution.engine import EngineParts, StateGraphEngine
from orchestrator.journal import events as ev
from orchestrator.journal.records import entries
from orchestrator.runners.local import LocalRunner
from orchestrator.status import StepStatus
from orchestrator.steps import KINDS
from orchestrator.storage import this_owner
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.runner_contract import is_alive, leaving_nothing
from orchestrator.types import ExecutionId, StepKey

GRACE_SECONDS = 0.2

HANDLERS = """
import asyncio, os, signal, threading, time
from pathlib import Path

def say(text):
    with open(Path(__file__).parent / "said", "a") as file:
        file.write(text + "\\n")

class Gates:
    go = threading.Event()

def open_gate(): Gates.go.set()

def thread():
    say("begun")
    Gates.go.wait()
    say("late")
    return "late"

def short():
    say("begun")
    Gates.go.wait()
    return "late"

async def heeds():
    say("begun")
    await asyncio.sleep(600)

async def swallows(times):
    say("begun")
    for _ in range(times):
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            say("swallowed")
    return "late"

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(f"pid {os.getpid()}")
    say("begun")
    time.sleep(600)

def fails():
    say("begun")
    raise ConnectionError("no line")
"""


class Bench:
    """An engine with short graces, a folder for handlers, and what they said."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self.folder, self.store = folder, MemoryStore(clock)
        token = f"tests-{uuid4()}"
        self.runner = LocalRunner(token, kill_grace_seconds=GRACE_SECONDS, thread_grace_seconds=GRACE_SECONDS)
        self.engine = StateGraphEngine(EngineParts(self.store, self.runner, KINDS, this_owner(clock)))
        (folder / "cancel_handlers.py").write_text(HANDLERS)

    @property
    def said(self) -> list[str]:
        file = self.folder / "said"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.said if line.startswith("pid ")]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.002)

    async def run(self, steps: str) -> asyncio.Task[Any]:
        text = f"pipeline: p\nsteps:\n{steps}\n"
        plan = Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(self.folder))
        return asyncio.create_task(self.engine.execute(plan, execution_id="x"))

    async def cancelled(self, steps: str, begun: int = 1) -> ev.StepCancelled:
        """Run until so many handlers have begun, cancel; what was recorded of step `a`."""
        running = await self.run(steps)
        await self.until(lambda: self.said.count("begun") >= begun)
        for _ in range(50):  # the runner hears of the start of a program some passes of the loop after that has begun
            await asyncio.sleep(0.001)
        await self.engine.cancel("x", "enough")
        assert (await running).status is ExecutionStatus.CANCELLED
        return self.recorded("a")

    def recorded(self, key: str) -> ev.StepCancelled:
        found = [e.event for e in entries(self.store.read(ExecutionId("x")))]
        (event,) = [e for e in found if isinstance(e, ev.StepCancelled) and e.key == key]
        return event


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with leaving_nothing():
        bench = Bench(tmp_path)
        yield bench
        await bench.runner.close()
        bench.engine._parts.threads.shutdown(wait=True)  # type: ignore[attr-defined]
        bench.engine.close()


def call(target: str, more: str = "") -> str:
    return f"  - {{id: a, call: 'cancel_handlers:{target}'{more}}}"


# -- commands ----------------------------------------------------------------------------------------------------------


async def test_a_command_that_heeds_is_asked_and_ends(bench: Bench) -> None:
    event = await bench.cancelled("  - {id: a, run: 'echo begun >> said; exec sleep 600'}")
    assert event.reason == "enough"
    assert re.fullmatch(r"ended 0\.\d s after it was asked to", event.how)


async def test_a_group_with_grandchildren_that_are_deaf_is_killed(bench: Bench) -> None:
    """Of any session and group; their leader heeds."""
    deaf = "trap '' TERM INT HUP; echo pid $$ >> said; echo begun >> said; while :; do sleep 0.05; done"
    (bench.folder / "deaf.sh").write_text(deaf)
    lines = "sh deaf.sh & setsid sh deaf.sh & sleep 600"
    event = await bench.cancelled(f"  - {{id: a, run: '{lines}'}}", begun=2)
    assert re.match(r"killed 0\.\d s after it was asked to end \(\d process(es)? did not heed SIGTERM\)", event.how)
    assert len(bench.pids) == 2
    assert not any(map(is_alive, bench.pids))


async def test_a_worker_process_that_is_deaf_is_killed(bench: Bench) -> None:
    event = await bench.cancelled(call("deaf", ", runner: process"))
    assert "killed 0." in event.how
    assert "did not heed SIGTERM" in event.how
    assert not any(map(is_alive, bench.pids))


async def test_a_worker_process_that_heeds_ends(bench: Bench) -> None:
    event = await bench.cancelled(call("thread", ", runner: process"))
    assert event.how.startswith("ended 0.")


# -- inside of the engine ----------------------------------------------------------------------------------------------


async def test_an_async_handler_is_asked_and_ends(bench: Bench) -> None:
    event = await bench.cancelled(call("heeds"))
    assert re.fullmatch(r"ended 0\.\d s after it was asked to", event.how)


async def test_one_that_swallows_a_cancellation_is_asked_twice(bench: Bench) -> None:
    event = await bench.cancelled(call("swallows", ", with: {times: 2}"))
    assert re.fullmatch(r"ended 0\.[2-9] s after it was asked to, twice", event.how)
    assert bench.said.count("swallowed") == 2


async def test_one_that_swallows_all_is_named_and_what_it_gives_is_refused(bench: Bench) -> None:
    event = await bench.cancelled(call("swallows", ", with: {times: 3}"))
    assert "still runs in a task on the event loop" in event.how
    assert "what it gives is refused" in event.how


async def test_a_thread_that_cannot_be_stopped_is_named_and_its_late_result_is_refused(bench: Bench) -> None:
    event = await bench.cancelled(call("thread"))
    thread = re.match(r"still runs in thread (\S+), 0\.\d s after it was asked to end", event.how)
    assert thread is not None
    assert thread[1] in {t.name for t in threading.enumerate()}
    assert event.how.endswith("cannot be ended; what it gives is refused")
    length = len([*entries(bench.store.read(ExecutionId("x")))])
    await release(bench)
    await bench.until(lambda: "late" in bench.said)
    await bench.until(lambda: thread[1] not in {job.thread.name for job in bench.runner._threads._unfinished})  # type: ignore[union-attr]
    await asyncio.sleep(0)
    assert len([*entries(bench.store.read(ExecutionId("x")))]) == length
    assert bench.engine.read("x").steps[StepKey("a")].status is StepStatus.CANCELLED


async def test_a_thread_that_ends_in_its_grace_has_its_result_refused(bench: Bench) -> None:
    running = await bench.run(call("short"))
    await bench.until(lambda: "begun" in bench.said)
    await bench.engine.cancel("x")
    await bench.until(lambda: any(job._gone is not None for job in bench.runner._threads._unfinished))
    await release(bench)
    assert (await running).status is ExecutionStatus.CANCELLED
    assert re.fullmatch(
        r"thread \S+ came to its end by itself 0\.\d s later; what it gave was refused", bench.recorded("a").how
    )


# -- not of an execution, but of a branch ------------------------------------------------------------------------------


async def test_a_branch_that_lost_a_race_is_ended_with_proof(bench: Bench) -> None:
    race = """  - id: race
    join: any
    parallel:
      - {id: a, run: 'echo begun >> said; exec sleep 600'}
      - {id: b, run: 'until grep -q begun said; do sleep 0.01; done'}"""
    result = await (await bench.run(race))
    assert result.status is ExecutionStatus.COMPLETED
    assert re.fullmatch(r"ended 0\.\d s after it was asked to", bench.recorded("race.a").how)


async def test_who_was_asked_to_end_already_keeps_its_time_when_all_is_cancelled(bench: Bench) -> None:
    tidies = "trap 'echo asked >> said; sleep 0.6; echo tidied >> said; exit 0' TERM; echo begun >> said\n"
    (bench.folder / "tidies.sh").write_text(tidies + "while :; do sleep 0.02; done")
    bench.runner._kill_grace_seconds = bench.runner._guard._grace_seconds = 10.0
    race = """  - id: race
    join: any
    parallel:
      - {id: a, run: 'exec sh tidies.sh'}
      - {id: b, run: 'until grep -q begun said; do sleep 0.01; done'}"""
    running = await bench.run(race)
    await bench.until(lambda: "asked" in bench.said)
    await bench.engine.cancel("x", "enough")
    assert (await running).status is ExecutionStatus.CANCELLED
    assert bench.said == ["begun", "asked", "tidied"]


async def test_what_waited_for_its_next_attempt_ends_at_once(bench: Bench) -> None:
    steps = call("fails", ", retry: {max_attempts: 9, initial_delay: 600, max_delay: 600}")
    running = await bench.run(steps)
    await bench.until(lambda: any(isinstance(e.event, ev.StepRetrying) for e in journal(bench)))
    await bench.engine.cancel("x")
    assert (await running).status is ExecutionStatus.CANCELLED
    assert bench.recorded("a").how == "ended 0.0 s after it was asked to"


def journal(bench: Bench) -> list[ev.Entry]:
    return [*entries(bench.store.read(ExecutionId("x")))]


async def release(bench: Bench) -> None:
    """Let the threads end that wait for that."""
    from orchestrator.runners.handlers import resolve_handler

    resolve_handler("cancel_handlers:open_gate", str(bench.folder))()
