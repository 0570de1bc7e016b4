"""Large values: cut into parts of a megabyte, compressed where that helps, written in short transactions.

A part is kept compressed only if it shrinks by a tenth, which its first 64 KiB tell beforehand, so that values which do
not shrink cost a probe. A blob that is larger than one transaction comes in several and counts from the last one on.
Nothing here needs to know who else puts the same blob: the parts of equal bytes are equal.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.errors import DecodeError
from orchestrator.storage.sqlite_writer import Writer
from orchestrator.types import BlobHash

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PART_BYTES = 1024 * 1024
#: One transaction writes at most about this much, so that commits do not wait long.
TRANSACTION_BYTES = 16 * 1024 * 1024
_PROBE_BYTES = 64 * 1024
_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A row to be: `stored` is the part's bytes, compressed or not."""

    blob: BlobHash
    blob_size: int
    index: int
    is_last: bool
    compressed: bool
    stored: bytes | memoryview


def batches(blobs: Iterable[tuple[BlobHash, bytes]]) -> Iterator[list[Part]]:
    """The parts of these blobs, in portions for one transaction each."""
    batch: list[Part] = []
    size = 0
    for blob, data in blobs:
        for part in _parts(blob, data):
            batch.append(part)
            size += len(part.stored)
            if size >= TRANSACTION_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _parts(blob: BlobHash, data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    for start in range(0, max(1, len(data)), PART_BYTES):
        piece = view[start : start + PART_BYTES]
        packed = _compressed(piece)
        is_last = start + PART_BYTES >= len(data)
        stored = piece if packed is None else packed
        yield Part(blob, len(data), start // PART_BYTES, is_last, packed is not None, stored)


def _compressed(piece: memoryview) -> bytes | None:
    """The piece compressed; None where that gains less than a tenth."""
    if len(piece) > _PROBE_BYTES and _compressed(piece[:_PROBE_BYTES]) is None:
        return None
    packed = zstd.compress(piece, _LEVEL)
    return packed if len(packed) <= 0.9 * len(piece) else None


def write_parts(writer: Writer, parts: Iterable[Part]) -> None:
    """Write one portion, inside a transaction. Parts that somebody else has written stay as they are."""
    for part in parts:
        writer.run("begin_blob", {"hash": part.blob, "size": part.blob_size})
        number, complete = writer.only_row("blob_state", {"hash": part.blob})
        if complete:
            continue
        row = {"blob": number, "part": part.index, "compressed": part.compressed, "bytes": part.stored}
        writer.run("add_part", row)
        if part.is_last:
            writer.run("complete_blob", {"id": number})


def joined(blob: BlobHash, rows: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The bytes of a blob from its rows; raises DecodeError where they are not those that were put."""
    buffer = io.BytesIO()  # one part at a time beside it; `join` would have them all, and `getvalue` copies nothing
    try:
        for _, compressed, stored in rows:
            buffer.write(_plain(stored) if compressed else stored)
    except zstd.ZstdError as exc:
        raise _damaged(blob, str(exc)) from exc
    data = buffer.getvalue()
    if hashlib.sha256(data).digest() != blob:
        raise _damaged(blob, "its bytes do not match its hash")
    return data


def _plain(stored: bytes) -> bytes:
    """A compressed part, as long as a part can be and no longer: the rest of a bomb is never made."""
    return zstd.ZstdDecompressor().decompress(stored, max_length=PART_BYTES)


def _damaged(blob: BlobHash, why: str) -> DecodeError:
    return DecodeError(f"blob {blob.hex()[:16]}… is damaged in the store: {why}; put back a copy of the database")
