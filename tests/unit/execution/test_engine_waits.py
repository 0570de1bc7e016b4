"""Waits of retries, when somebody sets the clock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.journal import events as ev
from orchestrator.testing.clock import FakeClock

HERE = Path(__file__).parents[2]
PIPELINE = """
pipeline: waiting
steps:
  - {id: a, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {initial_delay: 20s, jitter: 0}}
"""


class Turned(FakeClock):
    """A clock that is set back by an hour at the first wait; it notes how long was waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await super().sleep(seconds)


def definition() -> Pipeline:
    return Pipeline.from_canonical(Pipeline.loads(PIPELINE).canonical(), str(HERE))


def test_a_clock_that_is_set_back_makes_no_wait_longer(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    clock = Turned()

    def turn(entry: ev.Entry) -> None:
        if isinstance(entry.event, ev.StepRetrying):
            clock._now -= 3600

    with Orchestrator(tmp_path / "j.db", clock=clock, on_event=[turn]) as app:
        assert app.run(definition()).status is ExecutionStatus.COMPLETED
    assert clock.waits == [20.0]


def test_nor_in_a_later_life(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    first, second = FakeClock(jumping=False), Turned()

    async def interrupted(app: Orchestrator) -> Any:
        running = asyncio.create_task(app.arun(definition(), execution_id="x"))
        while not (app.list() and any(isinstance(e.event, ev.StepRetrying) for e in app.history("x"))):
            await asyncio.sleep(0.005)
        app.interrupt()
        return await running

    with Orchestrator(tmp_path / "j.db", clock=first) as app:
        assert asyncio.run(interrupted(app)).status is ExecutionStatus.PAUSED
    second._now -= 3600
    with Orchestrator(tmp_path / "j.db", clock=second) as app:
        assert app.resume("x").status is ExecutionStatus.COMPLETED
    assert second.waits == [20.0]
