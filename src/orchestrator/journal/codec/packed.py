"""The MessagePack carrier: a type that MessagePack lacks is an extension, whose payload is its packed parts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import ormsgpack

from orchestrator.errors import BlobMissingError, DecodeError, OrchestratorError, UnknownTypeError
from orchestrator.journal.codec.explain import explain
from orchestrator.journal.codec.parts import Pairs
from orchestrator.journal.codec.table import BY_KIND, BY_TAG, ENUM, Row, row_of
from orchestrator.types import BlobHash

_OPTIONS = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_ENUM
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value in its recorded form: its bytes, and the blobs that they refer to (also those inside of blobs)."""

    data: bytes
    blobs: tuple[BlobHash, ...] = ()


class Ref:
    """Stands in a value for a part that was cut out. No data can make one: it is not of a class that is carried."""

    __slots__ = ("blob",)

    def __init__(self, blob: BlobHash) -> None:
        self.blob = blob


def _no_blob(_data: Any) -> Any:
    raise DecodeError("a reference to a blob is read by its carrier")


_BLOB = Row(19, "blob", Ref, lambda v: v.blob, _no_blob, raw=True)
_KINDS: Mapping[type, Row] = {**BY_KIND, Ref: _BLOB}


# -- writing -----------------------------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """The whole value as bytes, nothing cut out. Raises EncodeError, which names the place inside the value."""
    try:
        return _pack(value)
    except Exception as exc:  # noqa: BLE001 - raised with its place
        raise explain(value, exc, _pack) from None


def _pack(value: Any) -> bytes:
    try:
        return ormsgpack.packb(value, _default, _OPTIONS)
    except TypeError as exc:
        if "key" not in str(exc):
            raise
        return ormsgpack.packb(_tag_keys(value), _default, _OPTIONS)


def _default(value: Any) -> ormsgpack.Ext:
    """What the C encoder calls for everything that MessagePack has no word for."""
    row = _KINDS.get(type(value)) or row_of(value)
    parts = row.to_parts(value)
    if row.raw:
        return ormsgpack.Ext(row.tag, parts)
    return ormsgpack.Ext(row.tag, _pack(in_order(parts) if row.unordered else parts))


def in_order(children: list[Any]) -> list[Any]:
    """The items of a set in an order that depends on nothing but the items."""
    kinds = set(map(type, children))
    return sorted(children) if kinds in ({str}, {int}, {bytes}) else sorted(children, key=_pack)


def _tag_keys(value: Any) -> Any:
    """The value with every mapping that has a key other than text wrapped in `Pairs`; walks lists and mappings."""
    if type(value) is dict:
        if all(type(key) is str for key in value):
            return {key: _tag_keys(child) for key, child in value.items()}
        return Pairs([(key, _tag_keys(child)) for key, child in value.items()])
    return [_tag_keys(child) for child in value] if type(value) is list else value


# -- reading -----------------------------------------------------------------------------------------------------------


def unpack(data: bytes, get_blob: Callable[[BlobHash], bytes] | None = None, *, plain: bool = False) -> Any:
    """The value of `pack`'s bytes. Raises DecodeError; BlobMissingError where a blob is needed without `get_blob`.

    With `plain`, an object of a class that is not known here comes as its fields instead of an error: for views.
    """
    reader = _Reader(get_blob, plain)
    try:
        return ormsgpack.unpackb(data, ext_hook=reader.read)
    except (ValueError, TypeError, RecursionError) as exc:
        fault = reader.fault or exc
        if isinstance(fault, OrchestratorError) or not isinstance(fault, Exception):
            raise fault from None
        raise DecodeError(f"a recorded value is damaged: {fault}") from fault


class _Reader:
    """Whose `read` the C decoder calls for everything that MessagePack has no word for.

    The decoder drops what this raises and says "ext_hook failed"; the first fault, the innermost one, is kept. (Not a
    closure: one that calls itself is a cycle, left for the garbage collector after each of a million values.)
    """

    __slots__ = ("_get_blob", "_plain", "fault")

    def __init__(self, get_blob: Callable[[BlobHash], bytes] | None, plain: bool) -> None:
        self._get_blob, self._plain = get_blob, plain
        self.fault: BaseException | None = None

    def read(self, tag: int, data: bytes) -> Any:
        """The value of one extension."""
        try:
            row = BY_TAG.get(tag)
            if row is None:
                return ormsgpack.unpackb(_blob(tag, data, self._get_blob), ext_hook=self.read)
            parts = data if row.raw else ormsgpack.unpackb(data, ext_hook=self.read)
            try:
                return row.from_parts(parts)
            except UnknownTypeError:
                if self._plain:
                    return _plain_form(row, parts)
                raise
        except BaseException as exc:
            self.fault = self.fault or exc
            raise


def decode(value: Encoded, get_blob: Callable[[BlobHash], bytes] | None = None, *, plain: bool = False) -> Any:
    """The value of a recorded form: a fresh one for every call. `plain` as in `unpack`."""
    return unpack(value.data, get_blob, plain=plain)


def _blob(tag: int, data: bytes, get_blob: Callable[[BlobHash], bytes] | None) -> bytes:
    """The bytes of the blob that a part refers to."""
    if tag != _BLOB.tag:
        raise DecodeError(f"a value has a part of type {tag}, which this version does not know; a newer one wrote it")
    if get_blob is None:
        raise BlobMissingError(f"a value refers to blob {data.hex()[:12]}, and none can be read here")
    return get_blob(BlobHash(data))


def _plain_form(row: Row, parts: Any) -> Any:
    """An object without its class: a mapping of its fields, a list of its items, the name of an enum's member."""
    _module, qualname, content, *rest = parts
    if row is not ENUM:
        return content
    return f"{qualname}.{content}" if content is not None else f"{qualname}({rest[0]!r})"


#: Types of which every reader may get the same object.
IMMUTABLE = (
    int,
    float,
    bool,
    str,
    bytes,
    type(None),
    Decimal,
    complex,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    PurePath,
)
