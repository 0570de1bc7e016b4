"""Large parts of values are cut out, and kept once.

A value whose bytes exceed `CUT_BYTES` is cut: large parts become *blobs* under the sha256 of their bytes, and a
reference stands in their place. A large value that is carried through a hundred steps is thus written once, and one
that changes in a part costs that part. The search for large parts goes down only where a container's children are
large on average, so that a list of a million numbers is one blob and costs no walk in Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from orchestrator.journal.codec import Encoded, Ref, pack
from orchestrator.types import BlobHash

#: Parts of a value above this size become blobs.
CUT_BYTES = 64 * 1024
#: A container is searched for large parts where its children take at least this much on average.
_SEARCHED_CHILD_BYTES = 1024
_SCALARS = frozenset({int, float, bool, type(None)})


def encode(value: Any, put: Callable[[BlobHash, bytes], None]) -> Encoded:
    """The recorded form of a value; the blobs that it needs are given to `put` first. Raises EncodeError."""
    packed = pack(value)
    return Encoded(packed) if len(packed) <= CUT_BYTES else cut(value, packed, put)


def cut(value: Any, packed: bytes, put: Callable[[BlobHash, bytes], None]) -> Encoded:
    """The recorded form of a value whose `packed` bytes are known to be large."""
    blobs: dict[BlobHash, None] = {}

    def keep(data: bytes) -> Ref:
        blob = BlobHash(hashlib.sha256(data).digest())
        put(blob, data)
        blobs[blob] = None
        return Ref(blob)

    def shrink(part: Any, data: bytes) -> Any:
        smaller = _with_children_shrunk(part, len(data), shrink)
        if smaller is None:
            return keep(data)
        data = pack(smaller)
        return smaller if len(data) <= CUT_BYTES else keep(data)

    return Encoded(pack(shrink(value, packed)), tuple(blobs))


def _with_children_shrunk(part: Any, size: int, shrink: Callable[[Any, bytes], Any]) -> Any:
    """A copy of a container in which its large children are shrunk; None where it has none, or is no container."""
    kind = type(part)
    if kind not in (dict, list, tuple) or not part or size < len(part) * _SEARCHED_CHILD_BYTES:
        return None
    found = False
    children = []
    for child in part.values() if kind is dict else part:
        if type(child) not in _SCALARS:
            data = pack(child)
            if len(data) > CUT_BYTES:
                child, found = shrink(child, data), True
        children.append(child)
    if not found:
        return None
    return dict(zip(part, children, strict=True)) if kind is dict else kind(children)
