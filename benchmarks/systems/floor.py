"""What the machine allows: the same results by hand with apsw, Orchestrator's own driver, in the same sync mode.

No engine, no graph, no recovery beyond reading back: whoever wants each step on the disk before the next begins pays
this much. Steps that end together share a transaction, committed on the loop's own thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import apsw

from benchmarks.probe import BODIES, Case, large_text

INSERT = "insert into step values (?, ?, ?)"
SCHEMA = (
    "create table if not exists step(run text, number integer, result text, primary key(run, number)) without rowid"
)
Row = tuple[str, int, str]


def opened(case: Case) -> apsw.Connection:
    """The case's file: WAL, synchronous FULL."""
    connection = apsw.Connection(str(case.database))
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", SCHEMA):
        connection.execute(statement).fetchall()
    return connection


def row(run: str, number: int) -> Row:
    """A step: its body, and its result as a row."""
    return run, number, json.dumps(BODIES.run(number))


class SharedCommits:
    """Commits in one transaction whatever came since the commit before."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def save(self, row: Row) -> None:
        """Return when the row is on the disk."""
        saved = asyncio.get_running_loop().create_future()
        self._waiting.append((row, saved))
        if self._task is None:
            self._task = asyncio.create_task(self._commit())
        await saved

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            with self._connection:
                self._connection.executemany(INSERT, [row for row, _ in batch])
            for _, saved in batch:
                saved.set_result(None)
            await asyncio.sleep(0)
        self._task = None


def chain(case: Case) -> int:
    """W1."""
    connection = opened(case)
    with case.clock():
        _save_all(connection, range(case.size))
    return case.size


def fan(case: Case) -> int:
    """W2."""
    connection = opened(case)

    async def flow() -> None:
        commits = SharedCommits(connection)
        await commits.save(row("run", 0))
        await asyncio.gather(*(_step(commits, "run", number) for number in range(1, case.size + 1)))
        await commits.save(row("run", case.size + 1))

    with case.clock():
        asyncio.run(flow())
    return case.size + 2


def many(case: Case) -> int:
    """W3."""
    connection, slots = opened(case), asyncio.Semaphore(50)

    async def one(commits: SharedCommits, run: str) -> None:
        async with slots:
            for number in range(10):
                await _step(commits, run, number)

    async def flow() -> None:
        commits = SharedCommits(connection)
        await asyncio.gather(*(one(commits, f"run{i}") for i in range(case.size)))

    with case.clock():
        asyncio.run(flow())
    return case.size * 10


def kill(case: Case) -> int:
    """W4, first half."""
    _save_all(opened(case), range(case.size))
    return case.size


def resume(case: Case) -> int:
    """W4, second half: reads back each result, does what is missing."""
    with case.clock():
        connection = opened(case)
        done: dict[int, Any] = {
            number: json.loads(result) for number, result in connection.execute("select number, result from step")
        }
        _save_all(connection, (number for number in range(case.size) if number not in done))
        connection.close()
    assert len(done) == case.size - 1
    return case.size


def carry(case: Case) -> int:
    """W5: the text is one row, written once; the steps have it in memory."""
    connection = opened(case)
    with case.clock():
        connection.execute(INSERT, ("run", -1, json.dumps(large_text())))
        _save_all(connection, range(case.size))
    return case.size


def idle(case: Case) -> int:
    """W7: a bare task that waits for an event."""

    async def wait(event: asyncio.Event, number: int) -> dict[str, Any]:
        result = BODIES.run(number)
        await event.wait()
        return result

    async def flow() -> None:
        event = asyncio.Event()
        with case.memory():
            tasks = [asyncio.create_task(wait(event, number)) for number in range(case.size)]
            await asyncio.sleep(0.2)
        event.set()
        await asyncio.gather(*tasks)

    asyncio.run(flow())
    return case.size


def _save_all(connection: apsw.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        connection.execute(INSERT, row("run", number))


async def _step(commits: SharedCommits, run: str, number: int) -> None:
    await commits.save(row(run, number))
