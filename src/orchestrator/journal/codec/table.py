"""The table of the types that are carried: for each its tag, and how it comes apart into parts and together again.

Parts are what every carrier has words for: None, truth, numbers, text, bytes, lists and mappings, in which values of
the table may stand. A type that is not here is carried by none; one that is, by all.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from orchestrator.journal.codec import arrays, models, objects, parts
from orchestrator.journal.codec.names import NAMES


@dataclass(frozen=True, slots=True)
class Row:
    """How one type is carried. What `from_parts` is given is not to be trusted; it raises anything that fits."""

    tag: int  #: the type's number in MessagePack
    word: str  #: its name in JSON
    kind: type | None  #: the exact type; None where `class_row` decides
    to_parts: Callable[[Any], Any]
    from_parts: Callable[[Any], Any]
    raw: bool = False  #: the parts are bytes and nothing else
    unordered: bool = False  #: the parts are a list whose order says nothing: carriers sort it


def _made_of_items(kind: type) -> Callable[[Any], Any]:
    return lambda given: kind(parts.items(given))


def _made_of_text(kind: type) -> Callable[[Any], Any]:
    return lambda given: kind(parts.text(given))


ENUM = Row(11, "enum", None, objects.enum_parts, objects.enum_from)
NAMEDTUPLE = Row(18, "namedtuple", None, objects.namedtuple_parts, objects.namedtuple_from)
DATACLASS = Row(12, "dataclass", None, objects.dataclass_parts, objects.dataclass_from)
PYDANTIC = Row(13, "pydantic", None, models.pydantic_parts, models.pydantic_from)
NUMPY = Row(14, "numpy", None, arrays.array_parts, arrays.array_from, raw=True)
REGISTERED = Row(27, "registered", None, objects.registered_parts, objects.registered_from)
UUID = Row(9, "uuid", uuid.UUID, lambda v: v.bytes, lambda given: uuid.UUID(bytes=given), raw=True)
#: Tags and words are for ever; 19 is a reference to a blob, which `packed` alone has.
ROWS = (
    Row(1, "tuple", tuple, list, _made_of_items(tuple)),
    Row(2, "set", set, list, _made_of_items(set), unordered=True),
    Row(3, "frozenset", frozenset, list, _made_of_items(frozenset), unordered=True),
    Row(4, "datetime", dt.datetime, parts.datetime_parts, parts.datetime_from),
    Row(5, "date", dt.date, dt.date.isoformat, dt.date.fromisoformat),
    Row(6, "time", dt.time, parts.time_parts, parts.time_from),
    Row(7, "timedelta", dt.timedelta, lambda v: [v.days, v.seconds, v.microseconds], parts.timedelta_from),
    Row(8, "decimal", Decimal, str, _made_of_text(Decimal)),
    UUID,
    Row(10, "path", type(Path()), str, _made_of_text(Path)),
    ENUM,
    DATACLASS,
    PYDANTIC,
    NUMPY,
    Row(15, "int", int, hex, lambda given: int(parts.text(given), 16)),  # one that does not fit into 64 bits
    Row(16, "complex", complex, lambda v: [v.real, v.imag], parts.complex_from),
    Row(17, "pairs", parts.Pairs, lambda v: parts.pairs_parts(v.items), parts.pairs_from),
    NAMEDTUPLE,
    Row(20, "ordered", OrderedDict, lambda v: parts.pairs_parts(v.items()), parts.ordered_from),
    Row(21, "pure_posix_path", PurePosixPath, str, _made_of_text(PurePosixPath)),
    Row(22, "pure_windows_path", PureWindowsPath, str, _made_of_text(PureWindowsPath)),
    Row(23, "defaultdict", defaultdict, parts.defaultdict_parts, parts.defaultdict_from),
    Row(24, "counter", Counter, lambda v: parts.pairs_parts(v.items()), parts.counter_from),
    Row(25, "deque", deque, lambda v: [list(v), v.maxlen], parts.deque_from),
    Row(26, "range", range, lambda v: [v.start, v.stop, v.step], parts.range_from),
    REGISTERED,
)
BY_KIND: Mapping[type, Row] = {row.kind: row for row in ROWS if row.kind is not None}
BY_TAG: Mapping[int, Row] = {row.tag: row for row in ROWS}
BY_WORD: Mapping[str, Row] = {row.word: row for row in ROWS}
#: What every carrier writes without the table.
NATIVE = frozenset({type(None), bool, int, float, str, bytes, bytearray, memoryview, list, dict})


def row_of(value: Any) -> Row:
    """The row that carries a value. Raises TypeError where none does."""
    kind = type(value)
    row = BY_KIND.get(kind) or class_row(kind)
    if row is None:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")
    return row


def class_row(kind: type) -> Row | None:
    """The row for objects of a class, by what sort of class it is; None where they are not carried."""
    if kind in NAMES.coders:
        return REGISTERED
    if issubclass(kind, enum.Enum):
        return ENUM
    if objects.is_namedtuple(kind):
        return NAMEDTUPLE
    if objects.is_dataclass(kind):
        return DATACLASS
    if models.is_pydantic(kind):
        return PYDANTIC
    return NUMPY if kind.__module__.partition(".")[0] == "numpy" else None
