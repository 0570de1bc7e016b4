"""What an engine asks the store once a second: one question for all that it runs, then where something came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.errors import StoreBusyError
from orchestrator.journal.store import Message
from orchestrator.storage.memory import MemoryStore
from orchestrator.types import ExecutionId

HERE = Path(__file__).parents[2]
LONG = """
pipeline: long
steps:
  - {id: a, call: "engine_handlers:slow_async", with: {seconds: 600}}
"""
MANY = 50


class Counting(MemoryStore):
    """Counts what it is asked; the next look into an inbox may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks, self.looks = 0, [""]
        self.fails = False

    def posted_since(self, message_id: int) -> Sequence[tuple[int, ExecutionId]]:
        self.ticks += 1
        return super().posted_since(message_id)

    def inbox(self, execution_id: ExecutionId) -> list[Message]:
        self.looks.append(execution_id)
        if self.fails:
            self.fails = False
            raise StoreBusyError("store", 1.0, [])
        return super().inbox(execution_id)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr("orchestrator.execution.engine.hosting._TICK_SECONDS", 0.02)
    return Counting()


async def test_a_tick_is_one_question_and_looks_where_something_came(store: Counting) -> None:
    pipeline = Pipeline.from_canonical(Pipeline.loads(LONG).canonical(), str(HERE))
    with Orchestrator(store) as app:
        running = [asyncio.create_task(app.arun(pipeline, execution_id=f"x{n}")) for n in range(MANY)]
        try:
            await until(lambda: len(app.list()) == MANY)
            ticks = store.ticks
            await until(lambda: store.ticks >= ticks + 5)
            assert store.looks == [""]
            store.post(ExecutionId("x7"), "cancel", {"reason": "enough"})
            result = await running[7]
            assert result.status is ExecutionStatus.CANCELLED
            assert set(store.looks) == {"", "x7"}
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def test_an_inbox_that_could_not_be_read_is_looked_into_again(store: Counting) -> None:
    pipeline = Pipeline.from_canonical(Pipeline.loads(LONG).canonical(), str(HERE))
    with Orchestrator(store) as app:
        running = asyncio.create_task(app.arun(pipeline, execution_id="x"))
        await until(lambda: store.ticks > 2)
        store.fails = True
        store.post(ExecutionId("x"), "cancel", {})
        assert (await running).status is ExecutionStatus.CANCELLED
        assert store.looks.count("x") >= 2


async def test_an_inbox_that_cannot_be_read_when_a_time_has_come_ends_the_run(store: Counting) -> None:
    """Else nobody would be woken any more, and the run would not end."""
    with Orchestrator(store) as app:
        running = asyncio.create_task(
            app.arun(Pipeline.loads("pipeline: p\nsteps: [{id: a, wait: 300ms}]"), execution_id="x", wait=True)
        )
        await until(lambda: app.list() and "a" in app.show("x").steps)
        store.fails = True
        with pytest.raises(StoreBusyError):
            async with asyncio.timeout(15):
                await running
        assert (await app.aresume("x", wait=True)).status is ExecutionStatus.COMPLETED
