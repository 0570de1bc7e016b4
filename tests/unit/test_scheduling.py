"""The scheduler: what it wakes and when, what it leaves, and what does not stop it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.clock import SystemClock
from orchestrator.errors import HandlerNotFoundError, InputError, OwnedElsewhereError, StoreError
from orchestrator.journal import events as ev
from orchestrator.journal.store import Query
from orchestrator.scheduling import Scheduler, Turn, Why
from orchestrator.storage import open_store, this_owner
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId

HERE = Path(__file__).parents[1]
COMPLETED, PAUSED, RUNNING = ExecutionStatus.COMPLETED, ExecutionStatus.PAUSED, ExecutionStatus.RUNNING
PENDING = ExecutionStatus.PENDING

TIMER = """
pipeline: timer
inputs: {seconds: {type: number, default: 10}}
steps:
  - {id: w, wait: "${seconds}"}
  - {id: done, set: {x: 1}}
outputs: {x: "${x}"}
"""
SIGNAL = """
pipeline: signalled
steps:
  - {id: s, signal: go}
outputs: {got: "${s}"}
"""
KEYED = """
pipeline: keyed
concurrency: {key: one}
steps:
  - {id: a, call: "engine_handlers:slow_async", with: {seconds: 0.02}}
"""
LONG = """
pipeline: long
steps:
  - {id: a, call: "engine_handlers:slow_async", with: {seconds: 600}}
"""


def pipeline(text: str) -> Pipeline:
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Orchestrator]:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    with Orchestrator(tmp_path / "app.db", durability="process", clock=clock, patience_seconds=0) as app:
        yield app


@pytest.fixture
def quick(clock: FakeClock) -> Iterator[Orchestrator]:
    """In memory: every commit is made on the loop, so that the clock never jumps while something runs."""
    with Orchestrator(MemoryStore(clock), clock=clock, patience_seconds=0) as app:
        yield app


def status(app: Orchestrator, id_: str) -> ExecutionStatus:
    return app.show(id_).status


async def until(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.002)


async def scheduling(scheduler: Scheduler, condition: Any) -> None:
    """Run it until something is so."""
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop))
    try:
        await until(lambda: running.done() or condition())
    finally:
        stop.set()
        await running


# -- what is woken -----------------------------------------------------------------------------------------------------


async def test_a_timer_is_woken_at_its_time_not_at_the_next_poll(quick: Orchestrator, clock: FakeClock) -> None:
    begun = clock.time()
    await quick.arun(pipeline(TIMER), {"seconds": 7}, execution_id="x")
    assert quick.list()[0].next_due == begun + 7
    woken: list[float] = []
    scheduler = Scheduler(quick, poll_seconds=3600, on_event=lambda turn: woken.append(clock.time()))
    await scheduling(scheduler, lambda: status(quick, "x") is COMPLETED)
    assert woken[0] == begun + 7


async def test_a_timer_that_began_while_it_sleeps_is_seen(quick: Orchestrator, clock: FakeClock) -> None:
    """An execution that it runs waits again, for a time before the next poll."""
    text = TIMER.replace("  - {id: done", "  - {id: v, needs: [w], wait: 5}\n  - {id: done")
    begun = clock.time()
    await quick.arun(pipeline(text), {"seconds": 2}, execution_id="x")
    scheduler = Scheduler(quick, poll_seconds=3600)
    await scheduling(scheduler, lambda: status(quick, "x") is COMPLETED)
    assert quick.show("x").updated_at == begun + 7


async def test_a_signal_wakes_at_the_next_poll(app: Orchestrator, clock: FakeClock) -> None:
    await app.arun(pipeline(SIGNAL), execution_id="x")
    scheduler = Scheduler(app, poll_seconds=2)
    posted: list[float] = []

    async def post() -> None:
        await clock.sleep(5)
        posted.append(clock.time())
        app.signal("x", "go", {"n": 1})

    posting = asyncio.create_task(post())
    await scheduling(scheduler, lambda: status(app, "x") is COMPLETED)
    await posting
    claims = [entry.at for entry in app.history("x") if isinstance(entry.event, ev.ExecutionClaimed)]
    assert 0 <= claims[-1] - posted[0] <= 2  # (while a thread commits, this clock may jump on)


async def test_what_waits_again_is_unloaded_unless_its_time_is_near(app: Orchestrator) -> None:
    text = TIMER.replace("  - {id: done", "  - {id: v, needs: [w], wait: 60}\n  - {id: done")
    await app.arun(pipeline(text), {"seconds": 0.5}, execution_id="x")
    turns = []
    scheduler = Scheduler(app, on_event=turns.append)
    await scheduling(scheduler, lambda: len(turns) == 2)
    assert turns[1].result is not None
    assert turns[1].result.status is PAUSED
    assert app.list()[0].owner is None


async def test_what_queues_begins_in_turn_and_one_at_a_time_per_key(app: Orchestrator) -> None:
    ids = [await app.astart(pipeline(KEYED), execution_id=f"k{n}") for n in range(3)]
    free = await app.astart(pipeline(TIMER), {"seconds": 0}, execution_id="free")
    turns = await Scheduler(app).once()
    assert {turn.execution_id for turn in turns} == {*ids, free}
    assert all(turn.why is Why.QUEUED and turn.result and turn.result.status is COMPLETED for turn in turns)
    lines = [line.split()[-1] for line in Path(os.environ[WITNESS]).read_text().splitlines()]
    assert lines == ["start", "end"] * 3
    assert [turn.execution_id for turn in turns if turn.execution_id != free] == ids


async def test_no_more_than_max_running_at_once(app: Orchestrator) -> None:
    for n in range(30):
        await app.astart(pipeline(KEYED.replace("concurrency: {key: one}", "")), execution_id=f"e{n}")
    running, most = 0, 0

    def watch(turn: Turn) -> None:
        nonlocal running, most
        running += -1 if turn.is_over else 1
        most = max(most, running)

    scheduler = Scheduler(app, max_running=4, poll_seconds=0.1, on_event=watch)
    await scheduling(scheduler, lambda: all(s.status is COMPLETED for s in app.list()))
    assert most == 4
    assert len(app.list(Query(frozenset({COMPLETED})))) == 30


# -- what is left ------------------------------------------------------------------------------------------------------


async def test_what_a_person_paused_stays_so(app: Orchestrator) -> None:
    await app.arun(pipeline(TIMER), execution_id="x")
    await app.apause("x", "not now")
    await app.astart(pipeline(TIMER), {"seconds": 100}, execution_id="other")
    scheduler = Scheduler(app)
    await scheduling(scheduler, lambda: status(app, "other") is COMPLETED)
    assert status(app, "x") is PAUSED
    assert app.show("x").pause_reason == "paused: not now"


async def test_one_that_is_paused_between_the_look_and_the_claim_is_given_back(app: Orchestrator) -> None:
    await app.arun(pipeline(TIMER), execution_id="x")
    await app.apause("x")
    with pytest.raises(Exception, match="goes on"):
        await app.awake("x")
    assert app.list()[0].owner is None
    assert status(app, "x") is PAUSED


async def test_a_stop_gives_back_what_runs_and_the_next_one_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    monkeypatch.setattr("orchestrator.execution.engine.drive.GRACE_SECONDS", 0.05)
    with Orchestrator(tmp_path / "j.db") as app:
        await app.astart(pipeline(LONG), execution_id="x")
        await scheduling(Scheduler(app, poll_seconds=0.05), lambda: (tmp_path / "witness").exists())
        found = app.list()[0]
        assert (found.status, found.owner) == (PAUSED, None)
        assert found.next_due is not None
        assert found.next_due <= SystemClock().time()
        begun: list[Turn] = []
        running = Scheduler(app, poll_seconds=0.05, on_event=begun.append)
        await scheduling(running, lambda: (tmp_path / "witness").read_text().count("start") == 2)
        assert begun[0].why is Why.DUE


async def test_so_does_a_cancellation(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    monkeypatch.setattr("orchestrator.execution.engine.drive.GRACE_SECONDS", 0.05)
    with Orchestrator(tmp_path / "j.db") as app:
        await app.astart(pipeline(LONG), execution_id="x")
        running = asyncio.create_task(Scheduler(app, poll_seconds=0.05).run(asyncio.Event()))
        await until(lambda: (tmp_path / "witness").exists())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert app.list()[0].next_due is not None


# -- what lies abandoned -----------------------------------------------------------------------------------------------

_KILLED = """
import os, sys
from orchestrator import Orchestrator, Pipeline
from orchestrator.journal import events as ev
def end(entry):
    if isinstance(entry.event, ev.StepSucceeded) and entry.event.key == "a":
        os._exit(9)
text = "pipeline: p\\nsteps:\\n  - {id: a, set: {x: 1}}\\n  - {id: b, needs: [a], set: {y: 2}}\\noutputs: {y: '${y}'}"
app = Orchestrator(sys.argv[1], on_event=[end])
app.run(Pipeline.loads(text), execution_id=sys.argv[2])
"""


def killed(store: Path, *ids: str) -> None:
    """Executions whose process died while a step was still to come."""
    for id_ in ids:
        store_of = [sys.executable, "-c", _KILLED, str(store), id_]
        assert subprocess.run(store_of, check=False, timeout=20).returncode == 9


async def test_recover_carries_on_what_lies_abandoned_and_nothing_else(tmp_path: Path) -> None:
    killed(tmp_path / "j.db", "x", "y")
    with Orchestrator(tmp_path / "j.db") as app:
        await app.astart(pipeline(TIMER), execution_id="queued")
        assert {s.execution_id for s in app.list(Query(abandoned=True))} == {"x", "y"}
        turns = await Scheduler(app).recover()
        assert {(t.execution_id, t.why) for t in turns} == {("x", Why.ABANDONED), ("y", Why.ABANDONED)}
        assert all(turn.result is not None and turn.result.outputs == {"y": 2} for turn in turns)
        assert status(app, "queued") is PENDING
        assert await Scheduler(app).recover() == []


async def test_a_scheduler_looks_for_the_abandoned_by_itself(tmp_path: Path) -> None:
    killed(tmp_path / "j.db", "x")
    with Orchestrator(tmp_path / "j.db") as app:
        await scheduling(Scheduler(app), lambda: status(app, "x") is COMPLETED)


async def test_one_that_was_paused_and_whose_taker_died_stays_paused(app: Orchestrator) -> None:
    await app.arun(pipeline(TIMER), execution_id="x")
    await app.apause("x")
    app.store.claim(ExecutionId("x"), replace(this_owner(SystemClock()), pid=2**31 - 1))
    assert await Scheduler(app).recover() == []
    assert status(app, "x") is PAUSED


async def test_what_broke_off_is_carried_on(app: Orchestrator, tmp_path: Path) -> None:
    """An engine whose store failed gives back what it ran, which stands as running then."""
    free = pipeline(KEYED.replace("concurrency: {key: one}", ""))
    running = asyncio.create_task(app.arun(free, execution_id="x"))
    await until(lambda: (tmp_path / "witness").exists())
    app._lent[asyncio.get_running_loop()].engine._stop(StoreError("the disk is gone"))
    with pytest.raises(StoreError, match="the disk is gone"):
        await running
    assert (app.list()[0].status, app.list()[0].owner) == (RUNNING, None)
    assert [turn.why for turn in await Scheduler(app).recover()] == [Why.ABANDONED]
    assert status(app, "x") is COMPLETED


# -- what goes wrong ---------------------------------------------------------------------------------------------------


async def test_a_missing_handler_stops_no_other_and_is_told_once(
    app: Orchestrator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "going.py").write_text("def work(): return 1\n")
    text = "pipeline: p\nsteps:\n  - {id: w, wait: 5}\n  - {id: a, needs: [w], call: 'going:work'}"
    going = Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(tmp_path))
    for n in range(5):
        await app.arun(going, execution_id=f"x{n}")
    await app.arun(pipeline(TIMER), execution_id="fine")
    (tmp_path / "going.py").unlink()
    sys.modules.pop("going", None)
    tries: list[Turn] = []
    scheduler = Scheduler(app, on_event=lambda turn: tries.append(turn) if turn.error else None)
    with caplog.at_level(logging.INFO, "orchestrator.scheduling"):
        await scheduling(scheduler, lambda: status(app, "fine") is COMPLETED and len(tries) > 12)
    assert {type(turn.error) for turn in tries} == {HandlerNotFoundError}
    assert len([r for r in caplog.records if "going" in r.getMessage()]) == 1
    assert all(app.list(Query(execution_id=f"x{n}"))[0].owner is None for n in range(5))


async def test_what_fails_is_put_off_for_longer_each_time(
    quick: Orchestrator, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "gone.py").write_text("def work(): return 1\n")
    text = "pipeline: p\nsteps:\n  - {id: w, wait: 5}\n  - {id: a, needs: [w], call: 'gone:work'}"
    await quick.arun(Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(tmp_path)), execution_id="x")
    (tmp_path / "gone.py").unlink()
    sys.modules.pop("gone", None)
    at: list[float] = []
    scheduler = Scheduler(quick, on_event=lambda turn: at.append(clock.time()) if turn.error else None)
    await scheduling(scheduler, lambda: len(at) >= 5)
    pauses = [later - earlier for earlier, later in pairwise(at)][:4]
    assert [round(p) for p in pauses] == [1, 2, 4, 8]
    (tmp_path / "gone.py").write_text("def work(): return 1\n")
    await scheduling(scheduler, lambda: status(quick, "x") is COMPLETED)


async def test_a_failed_step_is_a_result_not_an_error(app: Orchestrator) -> None:
    await app.astart(Pipeline.loads("pipeline: p\nsteps:\n  - {id: f, fail: 'no'}"), execution_id="x")
    (turn,) = await Scheduler(app).once()
    assert turn.error is None
    assert turn.result is not None
    assert turn.result.status is ExecutionStatus.FAILED


async def test_a_listener_that_raises_is_told_once(app: Orchestrator, caplog: pytest.LogCaptureFixture) -> None:
    def listen(turn: Turn) -> None:
        raise ValueError("deaf")

    for n in range(3):
        await app.astart(pipeline(TIMER), {"seconds": 0}, execution_id=f"x{n}")
    assert len(await Scheduler(app, on_event=listen).once()) == 3
    assert len([r for r in caplog.records if "deaf" in r.getMessage()]) == 1


def test_what_makes_no_sense_is_refused(app: Orchestrator) -> None:
    with pytest.raises(InputError):
        Scheduler(app, max_running=0)
    with pytest.raises(InputError):
        Scheduler(app, poll_seconds=0)


# -- two of them -------------------------------------------------------------------------------------------------------


async def test_two_schedulers_share_the_work_without_harm(tmp_path: Path) -> None:
    """On one file, as two processes would: every execution comes to its end once."""
    clock = SystemClock()
    file = tmp_path / "j.db"
    with Orchestrator(file, durability="process", patience_seconds=0) as first:
        second = Orchestrator(open_store(str(file), durability="process", clock=clock))
        for n in range(60):
            await first.astart(pipeline(TIMER), {"seconds": 1.05 if n % 2 else 0}, execution_id=f"x{n}")
        turns: dict[str, list[Turn]] = {"first": [], "second": []}
        stop = asyncio.Event()
        options = {"max_running": 8, "poll_seconds": 0.05, "patience_seconds": 0.0}
        running = [
            asyncio.create_task(Scheduler(app, on_event=turns[name].append, **options).run(stop))  # type: ignore[arg-type]
            for name, app in (("first", first), ("second", second))
        ]
        await until(lambda: all(s.status is COMPLETED for s in first.list(Query(limit=None))))
        stop.set()
        await asyncio.gather(*running)
        assert all(any(turn.result for turn in mine) for mine in turns.values())
        assert {type(t.error) for mine in turns.values() for t in mine if t.error} <= {OwnedElsewhereError}
        for n in range(60):
            ended = [e for e in first.history(f"x{n}") if isinstance(e.event, ev.ExecutionCompleted)]
            assert len(ended) == 1
        second.store.close()
