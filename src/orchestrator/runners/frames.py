"""What the engine and a worker process say to each other: frames of a small JSON header and a body of bytes.

Header and body stand after their lengths (4 and 8 bytes, big-endian). Bodies are values packed by the journal's codec.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_LENGTHS = struct.Struct("!IQ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message; `kind` is hello, ready, attempt, note, result or error, `header` plain data."""

    kind: str
    header: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def parts(self) -> tuple[bytes, bytes]:
        """What goes over the wire: everything up to the body, and the body."""
        header = json.dumps([self.kind, self.header]).encode("ascii")
        return _LENGTHS.pack(len(header), len(self.body)) + header, self.body


class FrameReader:
    """Cuts a stream of bytes into frames, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_length, body_length = _LENGTHS.unpack_from(self._buffer)
        start = _LENGTHS.size + header_length
        end = start + body_length
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            kind, header = json.loads(bytes(view[_LENGTHS.size : start]))
            body = bytes(view[start:end])
        del self._buffer[:end]
        return Frame(kind, header, body)
