"""What a store holds, seen in a copy of it.

To open a database is to change it: a log that a crash left is read back, and the last to close copies it into the file.
So that the next process meets what the last one left, the harness only ever opens a copy.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from orchestrator.journal import events as ev
from orchestrator.journal.codec import decode
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import Store
from orchestrator.storage import open_store
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.witness import Identity, digest_of
from orchestrator.types import ExecutionId

PARTS = ("", "-wal")


@dataclass(frozen=True, slots=True)
class Look:
    """One execution at one moment. `outputs` is JSON, None where it has not completed."""

    record: ExecutionRecord
    outputs: str | None
    succeeded: dict[Identity, str]


def copy_store(store: Path, folder: Path) -> Path:
    """Copy a store that nobody has open; gives the path of the copy."""
    for part in PARTS:
        source = Path(f"{store}{part}")
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / store.name


def look(store: Path, execution_id: str, *, sound: bool = True) -> Look | None:
    """What a store that nobody has open says of an execution; None where there is no such thing.

    Raises Broken where the file is not sound (unless it need not be), or where one success was recorded twice, and
    OrchestratorError where it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-look-") as folder:
        copy = copy_store(store, Path(folder))
        if not copy.exists():
            return None
        if sound:
            _require_sound(copy)
        with _opened(copy) as opened:
            return _look(opened, ExecutionId(execution_id))


def _look(store: Store, id_: ExecutionId) -> Look | None:
    journal = list(entries(store.read(id_)))
    if not journal:
        return None
    recorded = Counter(f"{e.event.key} {e.event.generation}" for e in journal if isinstance(e.event, ev.StepSucceeded))
    if twice := [identity for identity, times in recorded.items() if times > 1]:
        raise Broken(Harm.TWICE, f"{store.location}: recorded twice: {twice}")
    record = ExecutionRecord.of(id_, journal)
    ended = [step for step in record.steps.values() if step.status in ENDED_WELL]
    outputs = decode(record.outputs, store.get_blob) if record.outputs is not None else None
    return Look(
        record,
        None if outputs is None else json.dumps(outputs, sort_keys=True, default=str),
        {f"{step.key} {step.generation}": digest_of(step.output) for step in ended},
    )


def _require_sound(store: Path) -> None:
    connection = apsw.Connection(str(store))
    try:
        found = connection.execute("pragma integrity_check").fetchall()
    except apsw.Error as exc:
        found = [(str(exc),)]
    finally:
        connection.close()
    if found != [("ok",)]:
        raise Broken(Harm.LOST, f"{store}: {found}")


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    store = open_store(str(path))
    try:
        yield store
    finally:
        store.close()
