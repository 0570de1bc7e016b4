"""Events to bytes and back: what stands in the journal.

A body holds the events of one append, under a checksum: a format version, then for each event its time, its kind and
its fields in the order of the class. A field that is added to an event later goes to the end and has a default, so that
older bodies still read. `golden` bodies in the tests keep every released version readable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any
from zlib import crc32

import ormsgpack

from orchestrator.errors import DecodeError
from orchestrator.journal import events
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.store import Batch
from orchestrator.types import BlobHash

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: The version of this format, the first item of every body.
FORMAT_VERSION = 1
#: Bodies above this size are compressed.
_COMPRESSED_BYTES = 1024
#: No body is larger once decompressed; a damaged one cannot ask for more memory than this.
_MAX_BODY_BYTES = 1 << 30
_ENCODED = 1
#: The first byte of a body says how it is kept; these two are followed by a checksum (CRC-32, as in zlib) of the rest.
_PLAIN, _COMPRESSED = b"\x02", b"\x03"
_SEALED_AS = {_PLAIN: b"\x00", _COMPRESSED: b"\x01"}

#: The word that stands for each event in a body. Words are for ever.
_KINDS: Mapping[str, Callable[..., Event]] = {
    "created": events.ExecutionCreated,
    "claimed": events.ExecutionClaimed,
    "paused": events.ExecutionPaused,
    "completed": events.ExecutionCompleted,
    "failed": events.ExecutionFailed,
    "retried": events.ExecutionRetried,
    "cancelled": events.ExecutionCancelled,
    "restored": events.ExecutionRestored,
    "checkpoint": events.CheckpointCreated,
    "variables": events.VariablesChanged,
    "step+": events.StepStarted,
    "step~": events.StepRetrying,
    "loop": events.LoopExpanded,
    "step.": events.StepSucceeded,
    "step/": events.StepSkipped,
    "step!": events.StepFailed,
    "step?": events.StepRecovering,
    "ask": events.InterventionRequested,
    "answer": events.InterventionAnswered,
    "cancel": events.CancelRequested,
    "forked": events.ExecutionForked,
    "rerun": events.ExecutionRerun,
    "pipeline": events.PipelineChanged,
    "code": events.CodeSeen,
    "signal": events.SignalReceived,
    "block": events.BlockEntered,
    "round": events.IterationStarted,
    "wait": events.StepWaiting,
    "wait.": events.WaitOver,
    "signal.": events.SignalTaken,
    "deadline": events.DeadlinePassed,
    "doubt": events.StepInDoubt,
    "step-": events.StepCancelled,
}


def _writer(word: str, kind: Callable[..., Event]) -> Callable[[float, Event], list[Any]]:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # they are dataclasses
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda at, event: [at, word, one(event)]
    every = attrgetter(*names)
    return lambda at, event: [at, word, *every(event)]


_WRITERS: Mapping[Callable[..., Event], Callable[[float, Event], list[Any]]] = {
    kind: _writer(word, kind) for word, kind in _KINDS.items()
}


def kind_of(event: Event) -> str:
    """The event's name in the words of the docs: `StepSucceeded` is `step_succeeded`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)[1:]


def _encoded_ext(value: Any) -> ormsgpack.Ext:
    if type(value) is not Encoded:
        raise TypeError(f"an event holds a {type(value).__qualname__}")
    return ormsgpack.Ext(_ENCODED, ormsgpack.packb([value.data, list(value.blobs)] if value.blobs else [value.data]))


def _read_encoded(tag: int, data: bytes) -> Encoded:
    if tag != _ENCODED:
        raise DecodeError(f"an event has a part of type {tag}, which this version does not know")
    part, *blobs = ormsgpack.unpackb(data)
    return Encoded(part, tuple(BlobHash(blob) for blob in blobs[0]) if blobs else ())


def encode_body(items: Iterable[tuple[float, Event]]) -> bytes:
    """The body of an append that records these events at these times."""
    rows = [_WRITERS[type(event)](at, event) for at, event in items]
    data = ormsgpack.packb([FORMAT_VERSION, rows], _encoded_ext, ormsgpack.OPT_PASSTHROUGH_DATACLASS)
    if len(data) > _COMPRESSED_BYTES:
        return _sealed(_COMPRESSED, zstd.compress(data, 3))
    return _sealed(_PLAIN, data)


def decode_body(body: bytes) -> list[tuple[float, Event]]:
    """The events of a body and their times. Raises DecodeError where it is damaged or from a newer version."""
    try:
        version, rows = ormsgpack.unpackb(_plain(body), ext_hook=_read_encoded)
        if version > FORMAT_VERSION:
            raise DecodeError(f"the journal was written in format {version}; this version reads up to {FORMAT_VERSION}")
        return [
            (at, _KINDS[word](*(_tuples(v) if type(v) is list else v for v in values))) for at, word, *values in rows
        ]
    except DecodeError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, zstd.ZstdError) as exc:
        raise DecodeError(f"a record of the journal is damaged: {exc}") from exc


def encoded_bytes(event: Event) -> int:
    """How many bytes an event takes in a body that is not compressed, its time included."""
    row = _WRITERS[type(event)](0.0, event)
    return len(ormsgpack.packb(row, _encoded_ext, ormsgpack.OPT_PASSTHROUGH_DATACLASS))


def blobs_in(body: bytes) -> set[BlobHash]:
    """The blobs that the events of a body refer to, found without making the events. Raises DecodeError."""
    found: set[BlobHash] = set()

    def hook(tag: int, data: bytes) -> None:
        found.update(_read_encoded(tag, data).blobs)

    try:
        ormsgpack.unpackb(_plain(body), ext_hook=hook)
    except (ValueError, TypeError, RecursionError, zstd.ZstdError) as exc:
        raise DecodeError(f"a record of the journal is damaged: {exc}") from exc
    return found


def _sealed(kind: bytes, data: bytes) -> bytes:
    return kind + crc32(data).to_bytes(4, "big") + data


def _plain(body: bytes) -> bytes:
    kind, data = body[:1], body[5:]
    if kind in _SEALED_AS:
        if crc32(data).to_bytes(4, "big") != body[1:5]:
            raise DecodeError("a record of the journal is damaged: wrong checksum; put back a copy of the database")
        kind = _SEALED_AS[kind]
    else:  # of old, without a checksum
        data = body[1:]
    if kind == b"\x00":
        return data
    decompressor = zstd.ZstdDecompressor()  # of one frame, whatever that claims to hold
    data = decompressor.decompress(data, max_length=_MAX_BODY_BYTES + 1)
    if len(data) > _MAX_BODY_BYTES or not decompressor.eof or decompressor.unused_data:
        raise DecodeError(f"a record of the journal is damaged: it is not one frame of up to {_MAX_BODY_BYTES} bytes")
    return data


def _tuples(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuples(child) if type(child) is list else child for child in value)


def entries(batches: Iterable[Batch]) -> Iterator[Entry]:
    """The events of journal batches, each in its place."""
    for batch in batches:
        decoded = decode_body(batch.body)
        if len(decoded) != batch.count:
            raise DecodeError(
                f"the record at position {batch.position} of {batch.execution_id} is damaged: a wrong count"
            )
        for offset, (at, event) in enumerate(decoded):
            yield Entry(batch.position + offset, at, event)


def blobs_of(event: Event) -> tuple[BlobHash, ...]:
    """The blobs that an event refers to."""
    match event:
        case events.ExecutionCreated(model=model, inputs=inputs, graph=graph):
            values = (model, *([graph] if graph else []), *(value for _, value in inputs))
            return tuple(b for value in values for b in value.blobs)
        case events.PipelineChanged(model=model, graph=graph):
            return (*model.blobs, *graph.blobs)
        case events.BlockEntered(inputs=inputs):
            return tuple(b for _, value in inputs for b in value.blobs)
        case events.SignalReceived(payload=payload):
            return payload.blobs
        case events.ExecutionCompleted(outputs=outputs):
            return outputs.blobs
        case events.LoopExpanded(items=items):
            return tuple(b for item in items for b in item.blobs)
        case events.StepSucceeded(output=output, writes=writes):
            return (*(output.blobs if output else ()), *(b for _, value in writes for b in value.blobs))
        case events.ExecutionRestored(writes=writes) | events.VariablesChanged(writes=writes):
            return tuple(b for _, value in writes for b in value.blobs)
        case events.StepSkipped(output=value) | events.InterventionAnswered(value=value):
            return value.blobs if value else ()
        case _:
            return ()
