"""DBOS: workflows of steps, in the faster of its two forms (ordinary functions; the fan-out needs coroutines).

Variants: "default" is SQLite as DBOS opens it; "wal" is the same file in WAL mode with synchronous FULL, which a user
may set on the SQLAlchemy engine. The text of W5 is a step's result and an argument of each step after it; DBOS stores
results, not arguments.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy

from benchmarks.probe import BODIES, Case, large_text

logging.disable(logging.WARNING)
from dbos import DBOS, SetWorkflowID  # noqa: E402 - it logs while it is imported

WORKFLOW = "killed"


@DBOS.step()
def step(number: int) -> dict[str, Any]:
    return BODIES.run(number)


@DBOS.step()
async def step_async(number: int) -> dict[str, Any]:
    return BODIES.run(number)


@DBOS.step()
def make_text() -> str:
    return large_text()


@DBOS.step()
def take_text(text: str, number: int) -> dict[str, Any]:
    return BODIES.run(number)


@DBOS.workflow()
def chain_of(size: int) -> int:
    return [step(number)["n"] for number in range(size)][-1]


@DBOS.workflow()
async def fan_of(size: int) -> int:
    await step_async(0)
    parts = await asyncio.gather(*(step_async(number) for number in range(1, size + 1)))
    await step_async(size + 1)
    return len(parts)


@DBOS.workflow()
def carry_through(size: int) -> int:
    text = make_text()
    return [take_text(text, number)["n"] for number in range(size)][-1]


@DBOS.workflow()
async def wait_for_message(number: int) -> None:
    await step_async(number)
    await DBOS.recv_async("never", timeout_seconds=3600)


def launch(case: Case) -> None:
    """Open the store and start; workflows that were cut off are recovered from here on."""
    if case.variant == "wal":
        _use_wal(case)
    url = f"sqlite:///{case.database}"
    DBOS(config={"name": "bench", "log_level": "CRITICAL", "application_version": "1", "system_database_url": url})
    DBOS.launch()


def chain(case: Case) -> int:
    """W1."""
    launch(case)
    chain_of(3)
    with case.clock():
        assert chain_of(case.size) == case.size - 1
    return case.size


def fan(case: Case) -> int:
    """W2."""
    launch(case)
    asyncio.run(fan_of(2))
    with case.clock():
        assert asyncio.run(fan_of(case.size)) == case.size
    return case.size + 2


def many(case: Case) -> int:
    """W3: fifty threads."""
    launch(case)
    chain_of(3)
    with ThreadPoolExecutor(50) as pool, case.clock():
        list(pool.map(lambda _: chain_of(10), range(case.size)))
    return case.size * 10


def kill(case: Case) -> int:
    """W4, first half."""
    launch(case)
    with SetWorkflowID(WORKFLOW):
        chain_of(case.size)
    return case.size


def resume(case: Case) -> int:
    """W4, second half: recovery begins with the launch; its end is looked for each 5 ms."""
    with case.clock():
        launch(case)
        handle: Any = DBOS.retrieve_workflow(WORKFLOW)
        while handle.get_status().status != "SUCCESS":
            time.sleep(0.005)
        assert handle.get_result() == case.size - 1
    return case.size


def carry(case: Case) -> int:
    """W5."""
    launch(case)
    chain_of(3)
    with case.clock():
        carry_through(case.size)
    return case.size


def idle(case: Case) -> int:
    """W7: workflows that have ended one step and wait for a message."""
    launch(case)

    async def open_all() -> None:
        await fan_of(2)
        ran_before = BODIES.ran
        with case.memory():
            tasks = [asyncio.create_task(wait_for_message(number)) for number in range(case.size)]
            while BODIES.ran < ran_before + case.size:
                await asyncio.sleep(0.05)
            await asyncio.sleep(2)  # the last of them are still on their way into recv
        for task in tasks:
            task.cancel()

    asyncio.run(open_all())
    return case.size


def _use_wal(case: Case) -> None:
    """WAL is a property of the file, synchronous one of each connection."""
    connection = sqlite3.connect(case.database)
    connection.execute("pragma journal_mode=wal")
    connection.close()

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def synced(connection: Any, _record: object) -> None:
        connection.execute("pragma synchronous=full")
