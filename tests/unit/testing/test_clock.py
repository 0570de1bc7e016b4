"""The clock that jumps: over waits, and over nothing that is at work."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.journal import events as ev
from orchestrator.testing import FakeClock, Script, memory_store

WEEK = 7 * 86_400.0


def test_it_begins_when_it_is_told() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock = FakeClock(moment)
    assert (clock.now(), clock.time(), clock.monotonic()) == (moment, moment.timestamp(), moment.timestamp())
    assert FakeClock(moment.replace(tzinfo=None)).time() == moment.timestamp()
    clock.advance(timedelta(hours=1))
    clock.advance(2)
    assert clock.time() == moment.timestamp() + 3602
    with pytest.raises(ValueError, match="below 0"):
        clock.advance(-1)


async def test_a_jump_goes_from_sleeper_to_sleeper_in_order() -> None:
    clock, woken = FakeClock(0.0), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.time()))

    await asyncio.gather(*map(sleeper, (WEEK, 5.0, 60.0)))
    assert woken == [(5.0, 5.0), (60.0, 60.0), (WEEK, WEEK)]


async def test_one_who_was_cancelled_draws_it_nowhere() -> None:
    clock = FakeClock(0.0)
    given_up = asyncio.create_task(clock.sleep(10.0))
    await asyncio.sleep(0)
    given_up.cancel()
    await clock.sleep(20.0)
    clock.advance(1.0)
    assert clock.time() == 21.0
    still = FakeClock(0.0, jumping=False)
    given_up = asyncio.create_task(still.sleep(10.0))
    await asyncio.sleep(0)
    given_up.cancel()
    still.advance(5.0)
    assert still.time() == 5.0


def test_a_loop_that_was_closed_under_its_sleepers_harms_nobody() -> None:
    clock = FakeClock(0.0)
    loop = asyncio.new_event_loop()
    asleep = loop.create_task(clock.sleep(3.0))
    loop.run_until_complete(asyncio.sleep(0))
    asleep._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    asyncio.run(clock.sleep(10.0))
    assert clock.time() == 10.0
    asleep.get_coro().close()  # type: ignore[union-attr]


def test_two_loops_in_two_threads_share_it() -> None:
    clock, order = FakeClock(0.0), []

    def life(seconds: float) -> None:
        asyncio.run(clock.sleep(seconds))
        order.append(clock.time())

    clock_holders = [threading.Thread(target=life, args=(seconds,)) for seconds in (30.0, 20.0)]
    for thread in clock_holders:
        thread.start()
    for thread in clock_holders:
        thread.join(10)
    assert clock.time() in (30.0, 50.0)  # the second may have begun to wait when the first was over
    assert order == sorted(order)
    assert len(order) == 2


async def test_a_job_in_a_pool_of_threads_holds_the_jump_up() -> None:
    clock, seen = FakeClock(0.0), []

    def job() -> None:
        time.sleep(0.05)
        seen.append(clock.time())

    await asyncio.gather(asyncio.to_thread(job), clock.sleep(WEEK))
    assert seen == [0.0]
    await clock.sleep(1.0)  # a thread that waits for its next job holds nothing up
    assert clock.time() == WEEK + 1.0


async def test_what_is_at_work_for_too_long_holds_up_no_more() -> None:
    clock, over = FakeClock(0.0, patience_seconds=0.02), threading.Event()
    job = asyncio.create_task(asyncio.to_thread(over.wait, 10))
    await clock.sleep(WEEK)
    assert not job.done()
    over.set()
    await job


def test_a_thread_that_waits_in_place() -> None:
    clock = FakeClock(0.0)
    clock.block(5.0)
    assert clock.time() == 5.0
    still = FakeClock(0.0, jumping=False)
    held = threading.Thread(target=still.block, args=(5.0,))
    held.start()
    still.advance(4.0)
    held.join(0.02)
    assert held.is_alive()
    still.advance(1.0)
    held.join(10)
    assert not held.is_alive()


# -- in an engine ----------------------------------------------------------------------------------------------------

BESIDE = """
pipeline: beside
steps:
  - {id: week, wait: 7d}
  - {id: work, call: "tasks:work", timeout: 5}
  - {id: after, call: "tasks:work", needs: [work]}
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_handler_at_work_is_not_jumped_over(tmp_path: Path, kind: str) -> None:
    body = "time.sleep(0.05)" if kind == "def" else "await asyncio.sleep(0.05)"
    (tmp_path / "tasks.py").write_text(f"import asyncio, time\n{kind} work():\n    {body}\n")
    pipeline = Pipeline.from_canonical(Pipeline.loads(BESIDE).canonical(), tmp_path)
    clock = FakeClock(0.0)
    with Orchestrator(memory_store(clock), clock=clock, patience_seconds=2 * WEEK) as app:
        result = app.run(pipeline, execution_id="x")
        ended = {e.event.key: e.at for e in app.history("x") if isinstance(e.event, ev.StepSucceeded)}
    assert result.status is ExecutionStatus.COMPLETED
    assert ended == {"work": 0.0, "after": 0.0, "week": WEEK}


def test_a_handler_that_never_ends_meets_the_deadline_of_its_block(tmp_path: Path) -> None:
    text = """
pipeline: stuck
steps:
  - {id: block, timeout: 1h, steps: [{id: hang, call: "tasks:hang"}]}
"""
    (tmp_path / "tasks.py").write_text("import asyncio\nasync def hang():\n    await asyncio.sleep(600)\n")
    pipeline = Pipeline.from_canonical(Pipeline.loads(text).canonical(), tmp_path)
    clock = FakeClock(0.0, patience_seconds=0.05)
    with Orchestrator(memory_store(clock), clock=clock) as app:
        result = app.run(pipeline)
    assert result.status is ExecutionStatus.FAILED
    assert clock.time() >= 3600.0


def test_a_handler_may_wait_for_the_clock_itself() -> None:
    clock = FakeClock(0.0, patience_seconds=600.0)

    async def slow() -> float:
        await clock.sleep(WEEK)
        return clock.time()

    pipeline = Pipeline(pipeline="slow", steps=[{"id": "slow", "run": "true"}])
    with Orchestrator(memory_store(clock), clock=clock, runner=Script({"slow": slow})) as app:
        app.run(pipeline, execution_id="x")
        output = app.show("x").steps["slow"].output  # type: ignore[index]
        assert output is not None
        assert app.value(output) == WEEK
