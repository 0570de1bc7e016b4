"""What a step costs, in what the disk has to do: syncs, transactions, rows, bytes, statements. Nothing is timed.

Counted below the store: syncs and bytes by the file layer, transactions and rows by SQLite's own hooks. Time stands
still, so that nothing depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from orchestrator import Pipeline
from orchestrator.clock import SystemClock
from orchestrator.execution.engine import EngineParts, ExecutionResult, StateGraphEngine
from orchestrator.runners.local import LocalRunner
from orchestrator.steps import KINDS
from orchestrator.storage import this_owner
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.power_loss.tape import bytes_written, syncs
from orchestrator.testing.power_loss.vfs import RecordingVfs, recording

HERE = Path(__file__).parents[2]
#: At how many pages the log is copied back, which costs syncs of its own: never, or as SQLite does by itself.
NEVER, HABIT = 0, 1000
#: An engine's first heartbeat is due at zero, in a thread of its own: it would be counted or not.
BEFORE_ANY_HEARTBEAT = -1.0
#: Bytes of a large value, which do not shrink.
SIZE = 5_000_000


class TimelessLoop(asyncio.SelectorEventLoop):
    """A loop on which no delay passes: what waits for company waits until it has some."""

    def time(self) -> float:
        return 0.0


@dataclass(slots=True)
class Cost:
    """What was counted."""

    syncs: int = 0
    bytes: int = 0
    commits: int = 0
    statements: int = 0
    #: Rows inserted, by table.
    rows: Counter[str] = field(default_factory=Counter)

    def per_step(self, smaller: Cost, steps: int) -> PerStep:
        """How much more than the smaller run it took for each of this many steps."""
        return PerStep(
            (self.syncs - smaller.syncs) / steps,
            (self.commits - smaller.commits) / steps,
            (self.rows.total() - smaller.rows.total()) / steps,
            (self.bytes - smaller.bytes) / steps,
        )


class PerStep(NamedTuple):
    syncs: float
    commits: float
    rows: float
    bytes: float


@contextmanager
def counting(vfs: RecordingVfs, log_pages: int) -> Iterator[Cost]:
    """Counts over all connections on this file layer; the log is copied back every so many pages."""
    cost = Cost()

    def on_commit() -> bool:
        cost.commits += 1
        return False

    def on_update(kind: int, _database: str, table: str, _row: int) -> None:
        cost.rows[table] += kind == apsw.SQLITE_INSERT

    def on_statement(_cursor: object, _sql: str, _bindings: object) -> bool:
        cost.statements += 1
        return True

    def watch(connection: apsw.Connection) -> None:
        if connection.open_vfs == vfs.name:
            connection.wal_autocheckpoint(log_pages)
            connection.set_commit_hook(on_commit)
            connection.set_update_hook(on_update)
            connection.set_exec_trace(on_statement)

    apsw.connection_hooks.append(watch)
    before = len(vfs.tape)
    try:
        yield cost
    finally:
        apsw.connection_hooks.remove(watch)
        tape = vfs.tape[before:]
        cost.syncs, cost.bytes = syncs(tape), bytes_written(tape)


def carry(folder: Path, do: Callable[[StateGraphEngine], Any], *, log_pages: int = NEVER) -> Cost:
    """What it costs to do this with an engine, from the opening of the store to just before its closing."""
    with recording(folder) as vfs:
        with counting(vfs, log_pages) as cost:
            store = SqliteStore(folder / "journal.db", FakeClock(BEFORE_ANY_HEARTBEAT), vfs=vfs.name)
            with asyncio.Runner(loop_factory=TimelessLoop) as runner:
                runner.run(_carry(store, do))
        store.close()
    return cost


async def _carry(store: SqliteStore, do: Callable[[StateGraphEngine], Any]) -> None:
    owner = this_owner(SystemClock())
    runner = LocalRunner(owner.token)
    engine = StateGraphEngine(EngineParts(store, runner, KINDS, owner), clock=FakeClock(BEFORE_ANY_HEARTBEAT))
    try:
        await do(engine)
    finally:
        await runner.close()
        engine.close()


def cost_of(folder: Path, model: Mapping[str, Any], *, log_pages: int = NEVER) -> Cost:
    """What it costs to run a pipeline to its end."""

    async def run(engine: StateGraphEngine) -> None:
        (await engine.execute(Pipeline.from_canonical(model, str(HERE)), {}, "x")).raise_for_status()

    folder.mkdir()
    return carry(folder, run, log_pages=log_pages)


def call(id_: str, handler: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id_, "call": f"engine_handlers:{handler}", "with": arguments}


def chain(length: int, *more: Mapping[str, Any]) -> Mapping[str, Any]:
    steps = [call("s0", "add_async", left=0)]
    steps += [call(f"s{n}", "add_async", left=f"${{s{n - 1}}}") for n in range(1, length)]
    return {"pipeline": "chain", "steps": [*steps, *more], "outputs": {}}


def test_a_step_of_a_chain_is_one_transaction_one_row_one_sync(tmp_path: Path) -> None:
    few, many = cost_of(tmp_path / "few", chain(10)), cost_of(tmp_path / "many", chain(60))
    per_step = many.per_step(few, 50)
    assert (per_step.syncs, per_step.commits) == (1, 1)
    assert per_step.rows <= 2
    assert per_step.bytes <= 16 * 1024
    assert few.syncs <= 10 + 16, "what opening, creating and ending take"


def test_copying_the_log_back_adds_little(tmp_path: Path) -> None:
    assert cost_of(tmp_path / "x", chain(500), log_pages=HABIT).syncs <= 1.05 * 500


def test_a_fan_out_shares_its_transactions(tmp_path: Path) -> None:
    def fan_out(items: int) -> Mapping[str, Any]:
        loop = {"for_each": list(range(items)), "max_parallel": items}
        return {"pipeline": "fan", "steps": [{**call("parts", "add_async", left="${item}"), **loop}], "outputs": {}}

    one, many = cost_of(tmp_path / "one", fan_out(1)), cost_of(tmp_path / "many", fan_out(512))
    assert many.syncs - one.syncs <= 512 / 64
    assert many.rows.total() - one.rows.total() <= 512 / 64


@pytest.mark.parametrize("handler", ["reader", "returner"])
def test_a_large_value_that_does_not_change_is_written_once(tmp_path: Path, handler: str) -> None:
    def carried(steps: int) -> Mapping[str, Any]:
        """Each step reads the value, and gives something small or the value itself."""
        carriers = [
            call(f"s{n}", "same", value="${big}" if n == 1 else f"${{s{n - 1}}}")
            if handler == "returner"
            else {**call(f"s{n}", "length", data={"rows": "${big.raw}", "months": []}), "needs": [f"s{n - 1}"][: n - 1]}
            for n in range(1, steps + 1)
        ]
        return {"pipeline": "carried", "steps": [call("big", "large", size=SIZE), *carriers], "outputs": {}}

    few, many = cost_of(tmp_path / "few", carried(2)), cost_of(tmp_path / "many", carried(8))
    assert SIZE < few.bytes < 1.1 * SIZE
    assert few.rows["blob"] == many.rows["blob"] == 1
    per_step = many.per_step(few, 6)
    assert per_step.syncs == 1
    assert per_step.bytes <= 16 * 1024


def test_a_resume_asks_little_more_where_much_is_recorded(tmp_path: Path) -> None:
    few, many = (_cost_of_resuming(tmp_path / str(steps), steps) for steps in (100, 1000))
    assert (many.syncs, many.commits, many.rows) == (few.syncs, few.commits, few.rows)
    assert many.statements - few.statements <= 900 / 100, "one for each page of a journal at most"


def _cost_of_resuming(folder: Path, steps: int) -> Cost:
    """Of an execution that waits for a person, and goes on waiting."""
    rule = {"strategy": "manual_intervention", "instructions": "say something"}
    ask = {**call("asked", "fail_until", attempt=9), "needs": [f"s{steps - 1}"], "on_error": [rule]}
    results: list[ExecutionResult] = []

    async def begin(engine: StateGraphEngine) -> None:
        results.append(await engine.execute(Pipeline.from_canonical(chain(steps, ask), str(HERE)), {}, "x"))

    async def resume(engine: StateGraphEngine) -> None:
        results.append(await engine.resume("x"))

    folder.mkdir()
    carry(folder, begin)
    cost = carry(folder, resume)
    assert [list(result.waiting) for result in results] == [["asked"]] * 2
    return cost
