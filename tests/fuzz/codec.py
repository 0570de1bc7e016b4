"""The codec: any bytes are a value or a DecodeError, and reading them runs nothing and opens nothing.

A value that was read is written, and then comes back equal, by both carriers. The first byte says what the rest is:
packed bytes, a JSON text, or choices of which a value of all carried types is built.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel
from tests.fuzz.planted import Plant
from tests.fuzz.source import Source
from tests.fuzz.target import Target
from tests.fuzz.watch import AUDITOR, is_zone

from orchestrator.errors import BlobMissingError, DecodeError, EncodeError
from orchestrator.journal.codec import from_json, pack, register_type, to_json, tree, unpack
from orchestrator.journal.codec.table import ROWS
from orchestrator.types import BlobHash


class Colour(enum.Enum):
    """An enum of a program's own."""

    RED = 1
    BLUE = "b"


class Right(enum.Flag):
    """Flags of a program's own."""

    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Point:
    """A dataclass of a program's own."""

    x: Any
    y: Any = 0


class Pair(NamedTuple):
    """A named tuple of a program's own."""

    one: Any
    two: Any = None


class Model(BaseModel):
    """A pydantic model of a program's own."""

    name: Any
    extra: Any = None


class Money:
    """A class of a program's own that says how it is carried."""

    def __init__(self, cents: Any) -> None:
        self.cents = cents

    def __repr__(self) -> str:
        return f"Money({self.cents!r})"


register_type(Money, name="money", encode=lambda money: money.cents, decode=Money)


def check(data: bytes) -> None:
    """Raises where a promise of the codec does not hold."""
    source = Source(data)
    match source.below(4):
        case 0:
            _check_packed(source.rest(), None)
        case 1:
            blob = source.take(source.below(40))
            _check_packed(source.rest(), blob)
        case 2:
            _check_tree(source.rest())
        case _:
            refused = source.chance(32)
            value = _value(source)
            if refused:
                _check_refused({"rows": [value, object()]})
            else:
                _check_value(value)


def _check_packed(data: bytes, blob: bytes | None) -> None:
    def get_blob(_hash: BlobHash) -> bytes:
        assert blob is not None
        return blob

    with AUDITOR.forbidden(is_zone):
        for plain in (False, True):
            try:
                value = unpack(data, get_blob if blob is not None else None, plain=plain)
            except (DecodeError, BlobMissingError) as error:
                assert str(error)
                continue
            _check_stable(value)


def _check_tree(text: bytes) -> None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return
    with AUDITOR.forbidden(is_zone):
        try:
            value = from_json(parsed)
        except DecodeError as error:
            assert str(error)
            return
        _check_stable(value)


def _check_stable(value: Any) -> None:
    """What was read can be written, and comes back the same. (A number beyond 4,300 digits has no text.)"""
    try:
        packed = pack(value)
    except EncodeError as error:
        assert "nested too deeply" in str(error), error
        return
    assert pack(unpack(packed)) == packed, value
    _check_as_json(value, packed)


def _check_as_json(value: Any, packed: bytes) -> None:
    try:
        written = to_json(value)
    except EncodeError as error:
        assert "nested too deeply" in str(error), error
        return
    again = from_json(json.loads(json.dumps(written, allow_nan=False)))
    assert pack(again) == packed or "nan" in repr(value), (value, again)  # in JSON one NaN is as good as another


def _check_value(value: Any) -> None:
    packed = pack(value)
    for again in (unpack(packed), from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))):
        assert type(again) is type(value)
        assert pack(again) == packed
        assert _shown(again) == _shown(value)


def _check_refused(value: Any) -> None:
    for write in (pack, to_json):
        try:
            write(value)
        except EncodeError as error:
            assert error.path == "rows[1]" and error.type_name == "object", error
        else:
            raise AssertionError("an object without parts was written")


def _shown(value: Any) -> str:
    """A text that tells values and their types apart, whatever the order in which sets were filled."""
    match value:
        case set() | frozenset():
            return f"{type(value).__name__}{sorted(map(_shown, value))}"
        case dict():
            pairs = [f"{_shown(key)}: {_shown(item)}" for key, item in value.items()]
            return f"{type(value).__name__}{getattr(value, 'default_factory', '')}{pairs}"
        case Point() | Model() | Money():
            return f"{type(value).__name__}{_shown(vars(value))}"
        case list() | tuple() | deque():
            return f"{type(value).__name__}{getattr(value, 'maxlen', '')}{[*map(_shown, value)]}"
        case np.ndarray():
            return f"{value.dtype}{value.shape}{value.tobytes()!r}"
        case _:
            return f"{type(value).__name__} {value!r}"


# -- values ------------------------------------------------------------------------------------------------------------

_ZONES = (None, dt.UTC, ZoneInfo("Europe/Berlin"), dt.timezone(dt.timedelta(hours=-3, minutes=-30)))
_DTYPES = ("<f8", ">i2", "?", "c8", "M8[ms]", "m8[D]", "S3", "U2", "f2")
_FACTORIES = (None, bool, dict, float, int, list, set, str, tuple)


def _scalar(source: Source) -> Any:
    match source.below(20):
        case 0:
            return source.one_of((None, True, False, 0, 1, -1, 2**63, 2**64, -(2**63) - 1, 10**40))
        case 1:
            return source.one_of((0.0, -0.0, 0.5, 1e308, 5e-324, math.inf, -math.inf, math.nan))
        case 2:
            return source.text()
        case 3:
            return source.take(source.below(8))
        case 4:
            return source.whole()
        case 5:
            return source.one_of(("$", "$set", "$pairs", "$bytes", "\u2028", "é", "\U0001f600"))
        case 6:
            return Decimal(
                source.one_of(("0", "-0", "1.10", "1E+400", "NaN", "sNaN", "Infinity", "-Infinity", "-NaN7"))
            )
        case 7:
            return uuid.UUID(bytes=source.take(16).ljust(16, b"\0"))
        case 8:
            return dt.date.fromordinal(1 + abs(source.whole()) % 3_652_059)
        case 9:
            return _clock(source)
        case 10:
            return _moment(source)
        case 11:
            return dt.timedelta(source.below(200) - 100, source.whole() % 86_400, source.whole() % 10**6)
        case 12:
            return complex(*(source.one_of((0.0, -0.0, 1.5, math.inf, math.nan)) for _ in range(2)))
        case 13:
            return range(source.whole(), source.whole(), source.whole() or 1)
        case 14:
            return source.one_of((Colour.RED, Colour.BLUE, Right.READ, Right.READ | Right.WRITE, Right(0)))
        case 15:
            return source.one_of((PurePosixPath, PureWindowsPath))(
                source.one_of(("", ".", "a/b", "/", "c:/x", "..", "//a/b"))
            )
        case 16:
            return (
                np.frombuffer(source.take(64).ljust(64, b"\1"), "<i8").astype("i4").astype(source.one_of(_DTYPES[:3]))
            )
        case 17:
            return np.zeros((source.below(3), source.below(3)), source.one_of(_DTYPES))
        case 18:
            return np.array(source.whole() % 100, "i4")[()]
        case _:
            return np.str_(source.text())


def _clock(source: Source) -> dt.time:
    zone = source.one_of(_ZONES[:2])
    return dt.time(
        source.below(24), source.below(60), source.below(60), source.whole() % 10**6, zone, fold=source.below(2)
    )


def _moment(source: Source) -> dt.datetime:
    day = dt.date.fromordinal(400 + abs(source.whole()) % 3_600_000)
    return dt.datetime.combine(day, _clock(source).replace(tzinfo=None), source.one_of(_ZONES)).replace(
        fold=source.below(2)
    )


def _key(source: Source) -> Any:
    """A scalar that can be a key, and is equal to itself."""
    value = _scalar(source)
    is_odd = isinstance(value, (np.ndarray, Decimal, complex, dt.time)) or value != value
    return str(value) if is_odd else source.one_of((value, (value, 1), frozenset([value]), Pair(value)))


def _value(source: Source, depth: int = 0) -> Any:
    def inner(source: Source) -> Any:
        return _value(source, depth + 1)

    def pairs() -> list[tuple[Any, Any]]:
        return [(_key(source), inner(source)) for _ in range(source.below(4))]

    match source.below(16) if depth < 4 else 0:
        case 1:
            return source.list_of(inner)
        case 2:
            return tuple(source.list_of(inner))
        case 3:
            return {source.text(): inner(source) for _ in range(source.below(4))}
        case 4:
            return dict(pairs())
        case 5:
            return set(source.list_of(_key))
        case 6:
            return frozenset(source.list_of(_key))
        case 7:
            return OrderedDict(pairs())
        case 8:
            return Counter({key: 1 for key, _ in pairs()})
        case 9:
            return defaultdict(source.one_of(_FACTORIES), pairs())
        case 10:
            return deque(source.list_of(inner), source.one_of((None, 2, 9)))
        case 11:
            return Point(inner(source), inner(source))
        case 12:
            return Pair(inner(source), inner(source))
        case 13:
            return Model(name=inner(source))
        case 14:
            return Money(_scalar(source))
        case _:
            return _scalar(source)


_HERE = [b"tests.fuzz.codec", b"Point", b"Pair", b"Colour", b"Model", b"builtins", b"subprocess", b"Popen", b"numpy"]
_HEADS = [
    b"\xc7",
    b"\xc8",
    b"\xc9",
    b"\xd4",
    b"\xd8",
    b"\xdc",
    b"\xdd",
    b"\xde",
    b"\xdf",
    b"\xc6",
    b"\xdb",
    b"\xff\xff\xff\xff",
]

TARGET = Target(
    name="codec",
    check=check,
    plant=Plant(tree, "_text_tree"),
    words=(
        *(f'{{"${row.word}": ' for row in ROWS),
        *('{"$bytes": ', '{"$float": ', '"nan"', "[]", "null", "1e999", '"2020-01-02T03:04:05"', '"Europe/Berlin"'),
        *(part.decode("latin-1") for part in (*_HERE, *_HEADS)),
        *(f"\xc7\x08{chr(row.tag)}" for row in ROWS),
    ),
)
