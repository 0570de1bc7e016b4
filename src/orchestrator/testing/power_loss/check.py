"""What must hold when the power is back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from orchestrator.errors import OrchestratorError
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.records import decode_body, entries, kind_of
from orchestrator.journal.store import Append, Query, Store
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.power_loss.life import JOURNAL, Life, live
from orchestrator.testing.power_loss.tape import Acknowledged, Posted, Witnessed
from orchestrator.testing.power_loss.witnesses import Begun
from orchestrator.testing.power_loss.work import Work
from orchestrator.types import ExecutionId


class Broken(AssertionError):
    """A promise was broken; says which, and what was found instead."""


def check(
    folder: Path, work: Work, witnessed: Sequence[Witnessed], wanted: Mapping[ExecutionId, Mapping[str, Any]]
) -> int:
    """Open what is left in a folder, look for what was acknowledged, and let the executions go on to their end.

    `witnessed` is what happened before the cut, `wanted` the outputs of an unbroken run. Gives how many acknowledged
    events were looked for; raises Broken.
    """
    appends = [operation.append for operation in witnessed if isinstance(operation, Acknowledged)]
    answered = {operation.execution_id for operation in witnessed if isinstance(operation, Posted)}
    try:
        store = SqliteStore(folder / JOURNAL, synced=False)
        try:
            _check_file(folder / JOURNAL)
            _check_acknowledged(store, appends)
            ended = _ended_well(store)
            life = live(store, work)
            _check_file(folder / JOURNAL)
        finally:
            store.close()
    except (OrchestratorError, apsw.Error) as exc:
        raise Broken(f"what is left cannot be used: {exc!r}") from exc
    _check_life(life, ended, answered, wanted)
    return sum(append.count for append in appends)


def _check_file(path: Path) -> None:
    connection = apsw.Connection(str(path))
    try:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()
    if found != [("ok",)]:
        raise Broken(f"the database is damaged: {found}")


def _check_acknowledged(store: Store, appends: Iterable[Append]) -> None:
    """Every event that was acknowledged is in its place, and every large value is whole."""
    journals: dict[ExecutionId, dict[int, Entry]] = {}
    for append in appends:
        id_ = append.lease.execution_id
        if id_ not in journals:
            journals[id_] = {entry.position: entry for entry in entries(store.read(id_))}
        for position, (at, event) in enumerate(decode_body(append.body), append.expected_position + 1):
            found = journals[id_].get(position)
            if found != Entry(position, at, event):
                instead = f"there is another {kind_of(found.event)}" if found else "there is nothing"
                raise Broken(f"acknowledged and lost: event {position} of {id_}, {kind_of(event)}; {instead}")
        for blob in append.blobs:
            store.get_blob(blob)  # raises where it is missing, or is not what its hash says


def _ended_well(store: Store) -> set[Begun]:
    return {
        Begun(summary.execution_id, step.key, step.generation)
        for summary in store.find(Query())
        for step in ExecutionRecord.of(summary.execution_id, entries(store.read(summary.execution_id))).steps.values()
        if step.status in ENDED_WELL
    }


def _check_life(
    life: Life, ended: set[Begun], answered: set[ExecutionId], wanted: Mapping[ExecutionId, Mapping[str, Any]]
) -> None:
    if again := ended.intersection(life.begun):
        raise Broken(f"ran again after its success was recorded: {sorted(again)}")
    if asked := answered.intersection(life.asked):
        raise Broken(f"asked again after the answer was acknowledged: {sorted(asked)}")
    if other := [id_ for id_ in wanted if life.outputs.get(id_) != wanted[id_]]:
        raise Broken(f"ended with other outputs than the unbroken run: {sorted(other)}")
