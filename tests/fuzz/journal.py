"""The journal's reader: any body is events or a DecodeError; any events fold; any damaged file is read or reported.

The first byte says what the rest is: a body as it stands, choices of which events are built (in any order, since a view
shows any journal), or changes to the bytes of a store's file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.fuzz.planted import Plant
from tests.fuzz.source import Source
from tests.fuzz.target import Target

from orchestrator.errors import DecodeError, OrchestratorError
from orchestrator.journal import events as ev
from orchestrator.journal import fold
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import blobs_of, decode_body, encode_body, entries, kind_of
from orchestrator.journal.store import Append, Lease, Query, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.storage import this_owner
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.clock import FakeClock
from orchestrator.types import BlobHash, ExecutionId

_ID = ExecutionId("one")


def check(data: bytes) -> None:
    """Raises where a promise of the reader does not hold."""
    source = Source(data)
    match source.below(8):
        case 0 | 1:
            _check_body(source.rest())
        case 2:
            _check_store(source)
        case 3 | 4 | 5:
            _check_events([(float(place), _event(source)) for place in range(1 + source.below(12))])
        case _:
            _check_events([(float(place), _any_event(source)) for place in range(1 + source.below(12))])


# -- bodies ------------------------------------------------------------------------------------------------------------


def _check_body(body: bytes) -> None:
    try:
        found = decode_body(body)
    except DecodeError as error:
        assert str(error)
        return
    for _at, event in found:
        assert kind_of(event)


# -- events ------------------------------------------------------------------------------------------------------------


def _check_events(items: list[tuple[float, Event]]) -> None:
    assert decode_body(encode_body(items)) == items
    journal = [Entry(position, at, event) for position, (at, event) in enumerate(items, 1)]
    whole = ExecutionRecord.of(_ID, journal)
    assert whole.position == len(journal)
    for entry in journal:
        for blob in blobs_of(entry.event):
            assert type(blob) is bytes
    in_parts = ExecutionRecord.of(_ID, journal[: len(journal) // 2])
    for entry in journal[len(journal) // 2 :]:
        in_parts.apply(entry)
    assert in_parts == whole
    for key, step in whole.steps.items():
        assert step.key == key and step.generation >= 0 and step.failed_attempts >= 0
        assert whole.steps.keys() >= {*whole.inside(key)}


_KEYS = ("a", "b", "loop", "loop[0]", "loop[1]", "a/b", "loop[0]/b", "b[x]", "[0]", "c]", "", "é[2]")


def _error(source: Source) -> Mapping[str, Any]:
    return source.one_of(({}, {"message": "x", "category": "network"}, {"message": source.text()}))


def _encoded(source: Source) -> Encoded:
    blobs = tuple(BlobHash(bytes([source.byte()]) * 32) for _ in range(source.below(3)))
    return Encoded(pack(source.text()), blobs)


def _maybe(source: Source, value: Any) -> Any:
    return value if source.chance(128) else None


def _writes(source: Source) -> tuple[tuple[str, Encoded], ...]:
    return tuple((source.text(4), _encoded(source)) for _ in range(source.below(3)))


def _keys(source: Source) -> tuple[Any, ...]:
    return tuple(_key(source) for _ in range(source.below(4)))


def _key(source: Source) -> Any:
    return source.text() if source.chance(40) else source.one_of(_KEYS)


def _event(source: Source) -> Event:
    key, generation, attempt = _key(source), source.below(4), source.below(4)
    match source.below(19):
        case 0:
            return ev.ExecutionCreated(_ID, "p", _encoded(source), source.text(), _writes(source), "")
        case 1:
            return ev.ExecutionClaimed(source.text(), source.below(9))
        case 2:
            return ev.ExecutionPaused(source.text())
        case 3:
            return ev.ExecutionCompleted(_encoded(source))
        case 4:
            return ev.ExecutionFailed(_maybe(source, key), _error(source))
        case 5:
            return ev.ExecutionCancelled(source.text())
        case 6:
            return ev.ExecutionRetried(_keys(source))
        case 7:
            deleted, cause = tuple(source.list_of(Source.text, 2)), _maybe(source, key)
            return ev.ExecutionRestored("c", 1, _keys(source), _writes(source), deleted, cause, _keys(source))
        case 8:
            return ev.CheckpointCreated(source.text(), source.text(), _maybe(source, key))
        case 9:
            return ev.VariablesChanged(_writes(source), tuple(source.list_of(Source.text, 2)), _maybe(source, "x"))
        case 10:
            return ev.StepRetrying(key, generation, attempt, _error(source), 1.5, _maybe(source, 2.5))
        case 11:
            return ev.StepRecovering(key, generation, attempt, _error(source), {"strategy": "skip"})
        case 12:
            return ev.InterventionRequested(
                key, generation, attempt, _error(source), source.text(), _maybe(source, 2.5)
            )
        case 13:
            return ev.InterventionAnswered(key, generation, "skip", _maybe(source, _encoded(source)), source.text())
        case 14:
            return ev.LoopExpanded(key, generation, tuple(source.list_of(_encoded)))
        case 15:
            return ev.StepSkipped(key, generation, source.text(), _maybe(source, _encoded(source)))
        case 16:
            return ev.StepFailed(key, generation, attempt, _error(source))
        case 17:
            return ev.StepStarted(key, generation, attempt, source.text())
        case _:
            output = _maybe(source, _encoded(source))
            return ev.StepSucceeded(key, generation, attempt, output, _writes(source), _maybe(source, source.text()))


#: Steps inside of each other.
_NESTED = ("b", "b.x", "b.x[1]", "b.x[1].y", "loop[0].b", "p", "p/a", "p/a.x", "p/a/b", "w", "w[0]", "w[1]", ".", "/")


def _any_event(source: Source) -> Event:
    """One of all events, of steps inside of each other."""
    nested, attempt = source.one_of(_NESTED), source.below(4)
    match source.below(24):
        case 0:
            return ev.BlockEntered(
                nested, 1, attempt, _maybe(source, source.below(3)), _writes(source), _maybe(source, 2.5)
            )
        case 1:
            return ev.IterationStarted(nested, 1, source.below(3))
        case 2:
            return ev.LoopExpanded(nested, 1, tuple(source.list_of(_encoded)), source.chance(128))
        case 3:
            kind, ask = (
                source.one_of(("time", "signal", "approval")),
                source.one_of(({}, {"who": ["a"], "choices": []})),
            )
            return ev.StepWaiting(nested, 1, attempt, kind, _maybe(source, 2.5), source.text(), ask)
        case 4:
            return ev.SignalTaken(nested, 1, source.below(9))
        case 5:
            return ev.WaitOver(nested, 1)
        case 6:
            return ev.DeadlinePassed(nested, 1)
        case 7:
            return ev.StepInDoubt(nested, 1, attempt, source.one_of(("retry", "verify", "skip", "ask")))
        case 8:
            return ev.StepCancelled(nested, 1, source.text(), source.text())
        case 9:
            return ev.SignalReceived(source.text(), _encoded(source), source.text(), source.below(9))
        case 10:
            return ev.CancelRequested(source.text(), source.text())
        case 11:
            return ev.ExecutionForked(ExecutionId(source.text()), source.below(9))
        case 12:
            return ev.PipelineChanged(_encoded(source), _encoded(source), "f", "", _keys(source))
        case 13:
            return ev.CodeSeen({source.text(): source.text()})
        case 14 | 15:
            return ev.ExecutionRerun(_nested_keys(source), _nested_keys(source), source.text())
        case 16:
            return ev.ExecutionRetried(_nested_keys(source))
        case 17:
            return ev.StepFailed(nested, 1, attempt, _error(source), _maybe(source, source.one_of(_NESTED)))
        case 18:
            parts = _maybe(source, ("x", "y"))
            return ev.StepSucceeded(nested, 1, attempt, _maybe(source, _encoded(source)), (), None, parts)
        case 19:
            return ev.ExecutionRestored("c", 1, _nested_keys(source), (), (), None, _nested_keys(source))
        case 20:
            return ev.ExecutionPaused(source.text(), _maybe(source, 2.5), source.chance(128))
        case 21:
            return ev.StepStarted(nested, 1, attempt)
        case _:
            return _event(source)


def _nested_keys(source: Source) -> tuple[Any, ...]:
    return tuple(source.one_of(_NESTED) for _ in range(source.below(4)))


# -- files -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _folder() -> Path:
    """Where files are made."""
    keeper = tempfile.TemporaryDirectory()
    _KEEPERS.append(keeper)
    return Path(keeper.name)


_KEEPERS: list[Any] = []


@lru_cache(maxsize=1)
def _whole() -> tuple[bytes, list[Entry], str]:
    """The bytes of a sound store of one execution, its events, and its listing."""
    path = _folder() / "whole.db"
    store = SqliteStore(path, FakeClock(), synced=False)
    owner = this_owner(FakeClock())
    summary = Summary(_ID, "p", ExecutionStatus.RUNNING, 1.0, 1.0)
    position = 0
    for number in range(12):
        body = encode_body([(1.0, ev.StepStarted(_KEYS[number], 1, 1)), (2.0, ev.ExecutionPaused("x" * 40 * number))])  # type: ignore[arg-type]
        store.commit(Append(Lease(_ID, owner, 1), position, 2, body, summary)).wait()
        position += 2
    store.close()
    return (path.read_bytes(), *_read(path))


def _read(path: Path) -> tuple[list[Entry], str]:
    store = SqliteStore(path, FakeClock(), synced=False, busy_seconds=0)
    try:
        journal = list(entries(store.read(_ID)))
        ExecutionRecord.of(_ID, journal)
        store.feed()
        store.inbox(_ID)
        store.notes(_ID)
        return journal, str(store.find(Query()))
    finally:
        store.close()


def _check_store(source: Source) -> None:
    """A file that was cut or changed is read, or refused with an error of ours."""
    data = bytearray(_whole()[0])
    if source.chance(64):
        del data[source.below(256) * len(data) // 256 :]
    while source.left and data:
        at = int.from_bytes(source.take(2), "little") % len(data)
        new = source.take(1 + source.below(4))
        data[at : at + len(new)] = new
    path = _folder() / "damaged.db"
    for old in _folder().glob("damaged.db*"):
        old.unlink()
    path.write_bytes(data)
    try:
        journal, _ = _read(path)
    except OrchestratorError as error:
        assert str(error)
    else:
        whole = _whole()[1]  # how long it is stands in one place only, whose damage can cut it
        assert journal == whole[: len(journal)], "damage to the journal was not noticed"


TARGET = Target(
    name="journal",
    check=check,
    plant=Plant(fold, "split_item_key"),
    words=(
        *("created", "claimed", "paused", "completed", "failed", "retried", "cancelled", "restored", "checkpoint"),
        *("variables", "step+", "step~", "loop", "step.", "step/", "step!", "step?", "ask", "answer", *_KEYS),
        *("cancel", "forked", "rerun", "pipeline", "code", "signal", "block", "round", "wait", "wait.", "signal."),
        *("deadline", "doubt", "step-", *_NESTED),
        *("\x00\x92\x01\x91", "\xc7\x01\x01", "\x28\xb5\x2f\xfd", "SQLite format 3"),
    ),
)
