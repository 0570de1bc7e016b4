"""Values to bytes and back: typed, safe, equal values to equal bytes.

The bytes are MessagePack with extension types for what it lacks (tuples, sets, dates, decimals, dataclasses …), so that
a value comes back equal and of an equal type (a bytearray as bytes). Reading never runs code of the data's choosing:
a class is looked up among the modules that are imported already, never imported, and only data classes are built,
without calling them.

A value may hold references to *blobs*, large parts that are kept apart: see `blobs`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import io
import sys
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

import ormsgpack

from orchestrator.errors import BlobMissingError, DecodeError, EncodeError, OrchestratorError, UnknownTypeError
from orchestrator.types import BlobHash

_PACK = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_ENUM
)


class _Tag(enum.IntEnum):
    """Extension types of the format. Numbers are for ever; new ones are added at the end."""

    TUPLE = 1
    SET = 2
    FROZENSET = 3
    DATETIME = 4
    DATE = 5
    TIME = 6
    TIMEDELTA = 7
    DECIMAL = 8
    UUID = 9
    PATH = 10
    ENUM = 11
    DATACLASS = 12
    PYDANTIC = 13
    NUMPY = 14
    INT = 15
    COMPLEX = 16
    PAIRS = 17
    NAMEDTUPLE = 18
    BLOB = 19
    ORDERED = 20


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value in its recorded form: its bytes, and the blobs that they refer to (also those inside of blobs)."""

    data: bytes
    blobs: tuple[BlobHash, ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands in a value for a part that was cut out."""

    blob: BlobHash


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A mapping with keys that are not text."""

    items: list[tuple[Any, Any]]


# -- writing -----------------------------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """The whole value as bytes, nothing cut out. Raises EncodeError, which names the place inside the value."""
    try:
        return _pack(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as exc:
        raise _explain(value, exc) from None


def _pack(value: Any) -> bytes:
    try:
        return ormsgpack.packb(value, _default, _PACK)
    except TypeError as exc:
        if "key" not in str(exc):
            raise
        return ormsgpack.packb(_tag_keys(value), _default, _PACK)


def _ext(tag: _Tag, value: Any) -> ormsgpack.Ext:
    return ormsgpack.Ext(int(tag), _pack(value))


def _default(value: Any) -> Any:
    """What the C encoder calls for everything that MessagePack has no word for."""
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    kind = type(value)
    if isinstance(value, enum.Enum):
        return _ext(
            _Tag.ENUM,
            [*_class_name(kind), value.name if value.name in kind.__members__ else None, value.value],
        )
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _ext(_Tag.NAMEDTUPLE, [*_class_name(kind), list(value)])
    if dataclasses.is_dataclass(kind):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
        return _ext(_Tag.DATACLASS, [*_class_name(kind), fields])
    if hasattr(kind, "__pydantic_fields__"):
        return _ext(_Tag.PYDANTIC, [*_class_name(kind), dict(value), sorted(value.__pydantic_fields_set__)])
    if kind.__module__ == "numpy":
        return ormsgpack.Ext(int(_Tag.NUMPY), _numpy_bytes(value))
    raise TypeError(f"{kind.__module__}.{kind.__qualname__}")


def _sorted_items(value: Any) -> list[Any]:
    """The items of a set in an order that depends on nothing but the items."""
    kinds = {type(item) for item in value}
    return sorted(value) if kinds in ({str}, {int}, {bytes}) else sorted(value, key=_pack)


_WRITERS: Mapping[type, Callable[[Any], ormsgpack.Ext]] = {
    tuple: lambda v: _ext(_Tag.TUPLE, list(v)),
    set: lambda v: _ext(_Tag.SET, _sorted_items(v)),
    frozenset: lambda v: _ext(_Tag.FROZENSET, _sorted_items(v)),
    dt.datetime: lambda v: _ext(_Tag.DATETIME, _datetime_parts(v)),
    dt.date: lambda v: _ext(_Tag.DATE, v.isoformat()),
    dt.time: lambda v: _ext(_Tag.TIME, v.isoformat()),
    dt.timedelta: lambda v: _ext(_Tag.TIMEDELTA, [v.days, v.seconds, v.microseconds]),
    Decimal: lambda v: _ext(_Tag.DECIMAL, str(v)),
    uuid.UUID: lambda v: ormsgpack.Ext(int(_Tag.UUID), v.bytes),
    type(Path()): lambda v: _ext(_Tag.PATH, str(v)),
    int: lambda v: _ext(_Tag.INT, hex(v)),  # one that does not fit into 64 bits
    complex: lambda v: _ext(_Tag.COMPLEX, [v.real, v.imag]),
    OrderedDict: lambda v: _ext(_Tag.ORDERED, [list(pair) for pair in v.items()]),
    Ref: lambda v: ormsgpack.Ext(int(_Tag.BLOB), v.blob),
    _Pairs: lambda v: _ext(_Tag.PAIRS, [list(pair) for pair in v.items]),
}


def _datetime_parts(value: dt.datetime) -> list[Any]:
    zone = getattr(value.tzinfo, "key", None)  # a ZoneInfo keeps its name, any other zone its offset
    return [(value.replace(tzinfo=None) if zone else value).isoformat(), zone, value.fold]


def _class_name(kind: type) -> tuple[str, str]:
    if "<" in kind.__qualname__:
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__}, a class made inside a function, which no reader can find"
        )
    return kind.__module__, kind.__qualname__


def _numpy_bytes(value: Any) -> bytes:
    import numpy as np

    if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject:
        raise TypeError("it holds Python objects")
    buffer = io.BytesIO()
    buffer.write(b"\x01" if isinstance(value, np.generic) else b"\x00")
    np.save(buffer, value, allow_pickle=False)
    return buffer.getvalue()


def _tag_keys(value: Any) -> Any:
    """The value with every mapping that has a key other than text wrapped in `_Pairs`; walks lists and mappings."""
    if type(value) is dict:
        if all(type(key) is str for key in value):
            return {key: _tag_keys(child) for key, child in value.items()}
        return _Pairs([(key, _tag_keys(child)) for key, child in value.items()])
    return [_tag_keys(child) for child in value] if type(value) is list else value


def _explain(value: Any, exc: Exception) -> EncodeError:
    """An EncodeError for the innermost part that cannot be written."""
    path, part = "", value
    seen: set[int] = set()
    while id(part) not in seen and len(seen) < 100:
        seen.add(id(part))
        for name, child in _children(part):
            try:
                _pack(child)
            except (TypeError, ValueError, RecursionError, OverflowError) as inner:
                path, part, exc = path + name, child, inner
                break
        else:
            break
    kind = type(part)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return EncodeError(path.removeprefix("."), name, _reason(part, exc))


def _reason(part: Any, exc: Exception) -> str:
    """What there is to say besides the type."""
    if "recursion" in str(exc).lower():
        return "it is nested too deeply, or holds itself"
    try:
        _default(part)
    except TypeError as inner:
        return "" if str(inner).endswith(type(part).__qualname__) else str(inner)
    return ""


def _children(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, Mapping):
        return [(f".{key}" if isinstance(key, str) else f"[{key!r}]", child) for key, child in part.items()]
    if isinstance(part, list | tuple | set | frozenset):
        return [(f"[{i}]", child) for i, child in enumerate(part)]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return [(f".{f.name}", getattr(part, f.name)) for f in dataclasses.fields(part)]
    if hasattr(type(part), "__pydantic_fields__"):
        return [(f".{name}", child) for name, child in part]
    return []


_Read = Callable[[bytes], Any]


# -- reading -----------------------------------------------------------------------------------------------------------


def unpack(data: bytes, get_blob: Callable[[BlobHash], bytes] | None = None, *, plain: bool = False) -> Any:
    """The value of `pack`'s bytes. Raises DecodeError; BlobMissingError where a blob is needed without `get_blob`.

    With `plain`, an object of a class that is not imported here comes as its fields instead of an error: for views.
    """

    # The C decoder drops what a hook raises and says "ext_hook failed"; the first fault is the innermost one.
    faults: list[Exception] = []

    def read(part: bytes) -> Any:
        return ormsgpack.unpackb(part, ext_hook=hook)

    def hook(tag: int, part: bytes) -> Any:
        try:
            return _read_part(tag, part, read, get_blob)
        except UnknownTypeError as exc:
            if plain:
                return _plain_form(part, read)
            faults.append(exc)
            raise
        except Exception as exc:
            faults.append(exc)
            raise

    try:
        return read(data)
    except (ValueError, TypeError, RecursionError) as exc:
        fault = faults[0] if faults else exc
        if isinstance(fault, OrchestratorError):
            raise fault from None
        raise DecodeError(f"a recorded value is damaged: {fault}") from fault


def _read_part(tag: int, part: bytes, read: _Read, get_blob: Callable[[BlobHash], bytes] | None) -> Any:
    if tag == _Tag.BLOB:
        if get_blob is None:
            raise BlobMissingError(f"a value refers to blob {part.hex()[:12]}, and none can be read here")
        return read(get_blob(BlobHash(part)))
    reader = _READERS.get(tag)
    if reader is None:
        raise DecodeError(f"a value has a part of type {tag}, which this version does not know; a newer one wrote it")
    return reader(part, read)


def decode(value: Encoded, get_blob: Callable[[BlobHash], bytes] | None = None, *, plain: bool = False) -> Any:
    """The value of a recorded form: a fresh one for every call. `plain` as in `unpack`."""
    return unpack(value.data, get_blob, plain=plain)


def _plain_form(part: bytes, read: _Read) -> Any:
    """An object without its class: a mapping of its fields, a list of its items, the name of an enum's member."""
    _module, qualname, content, *_ = read(part)
    return content if isinstance(content, dict | list) else f"{qualname}.{content}"


def _find_class(module: str, qualname: str) -> type:
    """A class of a module that is imported already; the data's word imports nothing."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, type):
        raise UnknownTypeError(module, qualname)
    return found


def _read_enum(part: bytes, read: _Read) -> Any:
    module, qualname, name, value = read(part)
    kind = _find_class(module, qualname)
    if not issubclass(kind, enum.Enum):
        raise DecodeError(f"{module}.{qualname} is no Enum any more")
    return kind[name] if name is not None and name in kind.__members__ else kind(value)


def _read_dataclass(part: bytes, read: _Read) -> Any:
    module, qualname, fields = read(part)
    kind = _find_class(module, qualname)
    if not dataclasses.is_dataclass(kind):
        raise DecodeError(f"{module}.{qualname} is no dataclass any more")
    known = {f.name for f in dataclasses.fields(kind)}
    value = object.__new__(kind)
    for name, child in fields.items():
        if name in known:
            object.__setattr__(value, name, child)
    for f in dataclasses.fields(kind):  # a field that was added since
        if f.name not in fields:
            if f.default_factory is not dataclasses.MISSING:
                object.__setattr__(value, f.name, f.default_factory())
            elif f.default is not dataclasses.MISSING:
                object.__setattr__(value, f.name, f.default)
            else:
                raise DecodeError(f"a recorded {module}.{qualname} has no {f.name!r}, which the class requires now")
    return value


def _read_pydantic(part: bytes, read: _Read) -> Any:
    module, qualname, fields, fields_set = read(part)
    kind = _find_class(module, qualname)
    if not hasattr(kind, "__pydantic_fields__"):
        raise DecodeError(f"{module}.{qualname} is no pydantic model any more")
    return kind.model_construct(_fields_set=set(fields_set), **fields)  # type: ignore[attr-defined]  # checked above


def _read_namedtuple(part: bytes, read: _Read) -> Any:
    module, qualname, items = read(part)
    kind = _find_class(module, qualname)
    if not (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise DecodeError(f"{module}.{qualname} is no NamedTuple any more")
    return tuple.__new__(kind, items)


def _read_numpy(part: bytes, _read: _Read) -> Any:
    import numpy as np

    array = np.load(io.BytesIO(part[1:]), allow_pickle=False)
    return array[()] if part[:1] == b"\x01" else array


def _read_datetime(part: bytes, read: _Read) -> dt.datetime:
    text, zone, fold = read(part)
    value = dt.datetime.fromisoformat(text).replace(fold=fold)
    if zone is None:
        return value
    from zoneinfo import ZoneInfo

    return value.replace(tzinfo=ZoneInfo(zone))


_READERS: Mapping[int, Callable[[bytes, _Read], Any]] = {
    _Tag.TUPLE: lambda part, read: tuple(read(part)),
    _Tag.SET: lambda part, read: set(read(part)),
    _Tag.FROZENSET: lambda part, read: frozenset(read(part)),
    _Tag.DATETIME: _read_datetime,
    _Tag.DATE: lambda part, read: dt.date.fromisoformat(read(part)),
    _Tag.TIME: lambda part, read: dt.time.fromisoformat(read(part)),
    _Tag.TIMEDELTA: lambda part, read: dt.timedelta(*read(part)),
    _Tag.DECIMAL: lambda part, read: Decimal(read(part)),
    _Tag.UUID: lambda part, _: uuid.UUID(bytes=part),
    _Tag.PATH: lambda part, read: Path(read(part)),
    _Tag.ENUM: _read_enum,
    _Tag.DATACLASS: _read_dataclass,
    _Tag.PYDANTIC: _read_pydantic,
    _Tag.NUMPY: _read_numpy,
    _Tag.INT: lambda part, read: int(read(part), 16),
    _Tag.COMPLEX: lambda part, read: complex(*read(part)),
    _Tag.PAIRS: lambda part, read: dict(read(part)),
    _Tag.NAMEDTUPLE: _read_namedtuple,
    _Tag.ORDERED: lambda part, read: OrderedDict((key, child) for key, child in read(part)),
}

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
