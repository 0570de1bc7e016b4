"""The JSON carrier: a type that JSON lacks is an object with one key, its name behind a `$`: `{"$set": [1, 2]}`.

The tree is plain data for `json.dumps(tree, allow_nan=False)`. A mapping with a key that is not text, or that begins
with `$`, is `{"$pairs": [[key, value], …]}`; bytes are base64.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

from orchestrator.errors import DecodeError
from orchestrator.journal.codec.explain import explain
from orchestrator.journal.codec.packed import in_order
from orchestrator.journal.codec.parts import Pairs, text
from orchestrator.journal.codec.table import BY_KIND, BY_WORD, UUID, row_of

#: Lists and mappings of a tree are nested no deeper, so that `json` can write and read it.
MAX_DEPTH = 500
_MARK = "$"
_BYTES, _FLOAT = "bytes", "float"
_PAIRS = BY_KIND[Pairs]
_MIN_INT, _MAX_INT = -(1 << 63), (1 << 64) - 1


def to_json(value: Any) -> Any:
    """The value as plain JSON data. Raises EncodeError, which names the place inside the value."""
    try:
        return _tree(value, 0)
    except Exception as exc:  # noqa: BLE001 - raised with its place
        raise explain(value, exc, lambda part: _tree(part, 0)) from None


def from_json(tree: Any) -> Any:
    """The value of `to_json`'s data. Raises DecodeError, whatever the data is."""
    try:
        return _value(tree, 0)
    except DecodeError:
        raise
    except Exception as exc:
        raise DecodeError(f"a recorded value is damaged: {exc}") from exc


# -- writing -----------------------------------------------------------------------------------------------------------


def _tree(value: Any, depth: int) -> Any:
    """The tree of a value; one Python frame per level of the tree."""
    kind = type(value)
    if kind is str:
        return _text_tree(value)
    if value is None or kind is bool:
        return value
    if kind is int and _MIN_INT <= value <= _MAX_INT:
        return value
    if kind is float and math.isfinite(value):
        return value
    if depth == MAX_DEPTH:
        raise RecursionError(f"recursion deeper than {MAX_DEPTH} levels")
    below = repeat(depth + 1)
    if kind is list:
        return list(map(_tree, value, below))
    if kind is dict and all(map(_is_plain_key, value)):
        return dict(zip(map(_text_tree, value), map(_tree, value.values(), below), strict=True))
    if kind is float:
        return {_MARK + _FLOAT: str(value)}
    if kind in (bytes, bytearray, memoryview):
        return {_MARK + _BYTES: _base64(value)}
    row = _PAIRS if kind is dict else BY_KIND.get(kind) or row_of(value)
    parts = row.to_parts(Pairs(value.items()) if row is _PAIRS else value)
    if row.raw:
        return {_MARK + row.word: parts.hex() if row is UUID else _base64(parts)}
    return {_MARK + row.word: _tree(in_order(parts) if row.unordered else parts, depth + 1)}


def _text_tree(value: str) -> str:
    if not value.isascii():
        value.encode()  # a UnicodeEncodeError for half of a surrogate pair
    return value


def _is_plain_key(key: Any) -> bool:
    return type(key) is str and not key.startswith(_MARK)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- reading -----------------------------------------------------------------------------------------------------------


def _value(tree: Any, depth: int) -> Any:
    """The value of a tree; one Python frame per level of the tree."""
    kind = type(tree)
    if tree is None or kind in (str, int, float, bool):
        return tree
    if depth == MAX_DEPTH:
        raise DecodeError(f"a recorded value is damaged: it is nested deeper than {MAX_DEPTH} levels")
    below = repeat(depth + 1)
    if kind is list:
        return list(map(_value, tree, below))
    if kind is not dict:
        raise DecodeError(f"a recorded value is damaged: a {kind.__qualname__} is no JSON data")
    if all(map(_is_plain_key, tree)):
        return dict(zip(tree, map(_value, tree.values(), below), strict=True))
    word, parts = _tagged(tree)
    if word in _LEAVES:
        return _LEAVES[word](parts)
    row = BY_WORD.get(word)
    if row is None:
        raise DecodeError(f"a value has a part ${word}, which this version does not know; a newer one wrote it")
    return row.from_parts(_from_base64(parts) if row.raw else _value(parts, depth + 1))


def _tagged(tree: dict[Any, Any]) -> tuple[str, Any]:
    """The word, without its mark, and the parts."""
    if len(tree) != 1:
        raise DecodeError(f"a recorded value is damaged: a key is no text, or is {_MARK}… beside others")
    ((key, parts),) = tree.items()
    return text(key).removeprefix(_MARK), parts


def _from_base64(parts: Any) -> bytes:
    return base64.b64decode(text(parts), validate=True)


_FLOATS: Mapping[str, float] = {str(value): value for value in (math.nan, math.inf, -math.inf)}
#: What has a form of its own in JSON.
_LEAVES: Mapping[str, Callable[[Any], Any]] = {
    _BYTES: _from_base64,
    _FLOAT: lambda parts: _FLOATS[text(parts)],
    UUID.word: lambda parts: UUID.from_parts(bytes.fromhex(text(parts))),
}
