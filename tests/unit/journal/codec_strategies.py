"""What the property tests of the codec draw from, and `same`: equal, and of equal types all the way down."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel
from tests.unit.journal.codec_values import (
    STRUCTURED,
    ZONES,
    Bits,
    Box,
    Checked,
    Colour,
    Derived,
    Generic_,
    Level,
    Model,
    Named,
    Pair,
    Planet,
    Point,
    Point3,
    Right,
    Root,
    Word,
    model_with,
)

# -- equality ----------------------------------------------------------------------------------------------------------


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down, in the same order where there is one."""
    if type(left) is not type(right):
        return False
    if isinstance(left, enum.Enum):
        return left is right or (left.name is None and bool(left == right))
    if isinstance(left, np.ndarray | np.generic):
        return left.shape == right.shape and left.dtype == right.dtype and _array_bytes(left) == _array_bytes(right)
    ours, theirs = _parts(left), _parts(right)
    return _same_whole(left, right) and len(ours) == len(theirs) and all(map(same, ours, theirs))


def _same_whole(left: Any, right: Any) -> bool:
    """Whether that is the same which is not in the parts."""
    if isinstance(left, float | Decimal):
        return str(left) == str(right)
    if isinstance(left, dt.datetime | dt.time):
        zones = left.tzinfo, right.tzinfo
        return str(left) == str(right) and left.fold == right.fold and type(zones[0]) is type(zones[1])
    if isinstance(left, defaultdict):
        return left.default_factory is right.default_factory
    if isinstance(left, deque):
        return left.maxlen == right.maxlen
    return bool(_parts(left) or left == right)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | deque):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=_shown)
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, BaseModel):
        rest = [] if isinstance(value, Root) else [value.__pydantic_extra__, value.__pydantic_private__]
        return [value.__dict__, value.__pydantic_fields_set__, *rest]
    if dataclasses.is_dataclass(value):
        return [getattr(value, f.name) for f in dataclasses.fields(value)]
    return [value.numbers] if isinstance(value, Point3) else []


def _array_bytes(array: Any) -> list[bytes]:
    """What it holds, without what lies between its fields."""
    names = array.dtype.names
    return [b for name in names for b in _array_bytes(array[name])] if names else [array.tobytes()]


def _shown(value: Any) -> str:
    """A text that does not depend on the order in which sets were filled."""
    return f"{type(value).__name__} {[_shown(part) for part in _parts(value)] or repr(value)}"


def twin(value: Any) -> Any:
    """The same value, made otherwise: sets filled from the other end, arrays in the other memory order."""
    if type(value) in (set, frozenset):
        return type(value)([twin(item) for item in value][::-1])
    if type(value) in (list, tuple):
        return type(value)(map(twin, value))
    if type(value) is dict:
        return {twin(key): twin(child) for key, child in value.items()}
    if type(value) is Point:
        return Point(twin(value.x), twin(value.y))
    return np.asfortranarray(value) if type(value) is np.ndarray and value.ndim else value


# -- strategies --------------------------------------------------------------------------------------------------------

texts = st.text(max_size=5) | st.sampled_from(["$set", "$", "$pairs"])
hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=5),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(timezones=st.sampled_from(ZONES)),
    st.datetimes(timezones=st.sampled_from(ZONES)),
    st.timedeltas(),
    st.complex_numbers(),
    st.fractions(),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
    st.sampled_from([Colour.RED, Planet.EARTH, Word.YES, Level.LOW, Right(3), Bits(9)]),
    st.sampled_from([Path("a/b"), PurePosixPath("x"), PureWindowsPath("c:/y")]),
)
hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Point3, inner),
    ),
    max_leaves=3,
)
arrays = hnp.arrays(
    st.sampled_from(["<f8", ">i2", "?", "c8", "M8[ms]", "m8[D]", "S3", "U2", "f2", STRUCTURED]),
    hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2),
)
scalars = st.one_of(hashable_scalars, st.decimals(), arrays, st.sampled_from([np.int8(1), np.str_("a\0"), Checked(1)]))
#: Every type that is carried, nested in every other.
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
        st.dictionaries(texts, inner, max_size=3),
        st.dictionaries(hashables, inner, max_size=3),
        st.dictionaries(hashables, inner, max_size=3).map(OrderedDict),
        st.dictionaries(hashables, st.integers(), max_size=3).map(Counter),
        st.builds(defaultdict, st.sampled_from([None, list, int]), st.dictionaries(hashables, inner, max_size=2)),
        st.builds(deque, st.lists(inner, max_size=3), st.sampled_from([None, 2])),
        st.builds(Point, inner, inner),
        st.builds(Box, inner),
        st.builds(lambda value: Derived(value, 1), inner),
        st.builds(Pair, inner, inner),
        inner.map(Named),
        st.builds(Point3, inner),
        st.builds(lambda value: Model(name=value), inner),
        st.builds(lambda value: Generic_(content=value), inner),
        st.builds(lambda value: Root([value]), inner),
        st.builds(lambda value: model_with(extra=value), inner),
    ),
    max_leaves=6,
)
