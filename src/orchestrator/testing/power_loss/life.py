"""One life of a machine: what is to run begins, or goes on, and runs to its end, before witnesses and on tape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import apsw

from orchestrator.clock import SystemClock
from orchestrator.execution.engine import EngineParts, ExecutionResult, StateGraphEngine
from orchestrator.journal.store import Query, Store
from orchestrator.runners.local import LocalRunner
from orchestrator.status import ExecutionStatus
from orchestrator.steps import KINDS
from orchestrator.storage import this_owner
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.power_loss.device import Device
from orchestrator.testing.power_loss.tape import Tape
from orchestrator.testing.power_loss.vfs import recording
from orchestrator.testing.power_loss.witnesses import Begun, WitnessingRunner, WitnessingStore
from orchestrator.testing.power_loss.work import ANSWER, Work
from orchestrator.types import ExecutionId

#: The journal's file, in the folder of a life.
JOURNAL = "journal.db"
#: No machine is in this boot: whoever reads it knows that the power was gone since.
_BOOT_ID = "the-boot-before-the-power-was-lost"
#: At how many pages the store copies its log back; SQLite's habit is a thousand.
_LOG_PAGES = (5, 20, 60, 1000)
_COPIED_BACK_BY_OTHERS = 0.1


@dataclass(frozen=True, slots=True)
class Life:
    """What became of it: the executions' outputs, the steps that ran, and the executions that asked a person."""

    outputs: Mapping[ExecutionId, Mapping[str, Any]]
    begun: Sequence[Begun]
    asked: Sequence[ExecutionId]


def live(store: Store, work: Work, before_step: Callable[[], None] = lambda: None) -> Life:
    """Bring every execution to its end. What the store knows goes on, what it does not know begins."""
    return asyncio.run(_live(store, work, before_step))


async def _live(store: Store, work: Work, before_step: Callable[[], None]) -> Life:
    owner = replace(this_owner(SystemClock()), boot_id=_BOOT_ID)
    runner = WitnessingRunner(LocalRunner(owner.token), before_step)
    engine = StateGraphEngine(EngineParts(store, runner, KINDS, owner))
    known = {summary.execution_id for summary in store.find(Query())}
    asked: list[ExecutionId] = []
    try:
        results = await asyncio.gather(*(_carry(engine, id_, work, known, asked) for id_ in work))
    finally:
        await runner.close()
        engine.close()
    return Life({result.execution_id: result.outputs for result in results}, runner.begun, asked)


async def _carry(
    engine: StateGraphEngine, id_: ExecutionId, work: Work, known: Container[ExecutionId], asked: list[ExecutionId]
) -> ExecutionResult:
    """Bring one execution to its end, and answer what it asks."""
    result = await (engine.resume(id_) if id_ in known else engine.execute(work[id_], {}, id_))
    while result.status is ExecutionStatus.PAUSED and result.waiting:
        asked.append(id_)
        engine.answer(id_, next(iter(result.waiting)), "skip", ANSWER)
        result = await engine.resume(id_)
    return result.raise_for_status()


def record_life(folder: Path, work: Work, device: Device, chance: Random, *, synced: bool = True) -> tuple[Tape, Life]:
    """A life on the journal of a folder, on tape; its log is copied back often, by the store and by somebody else."""
    with recording(folder, device) as vfs, _copying_back_every(chance.choice(_LOG_PAGES), vfs.name):
        store = SqliteStore(folder / JOURNAL, synced=synced, vfs=vfs.name)
        try:
            witnessing = WitnessingStore(store, vfs.tape)
            life = live(witnessing, work, lambda: _copy_back(folder / JOURNAL, vfs.name, chance))
        finally:
            store.close()
        return vfs.tape, life


@contextmanager
def _copying_back_every(pages: int, vfs: str) -> Iterator[None]:
    def configure(connection: apsw.Connection) -> None:
        if connection.open_vfs == vfs:
            connection.wal_autocheckpoint(pages)

    apsw.connection_hooks.append(configure)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(configure)


def _copy_back(path: Path, vfs: str, chance: Random) -> None:
    """Now and then somebody else copies the log back and begins or cuts it, as SQLite's own command line can."""
    if chance.random() < _COPIED_BACK_BY_OTHERS:
        connection = apsw.Connection(str(path), vfs=vfs)
        try:
            with suppress(apsw.BusyError):
                connection.wal_checkpoint(
                    mode=chance.choice([apsw.SQLITE_CHECKPOINT_RESTART, apsw.SQLITE_CHECKPOINT_TRUNCATE])
                )
        finally:
            connection.close()
