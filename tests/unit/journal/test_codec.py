"""Encode, then decode, is identity: for every type, nested in every other, with and without blobs."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import enum
import sys
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestrator.errors import BlobMissingError, DecodeError, EncodeError, UnknownTypeError
from orchestrator.journal.blobs import CUT_BYTES, encode
from orchestrator.journal.codec import decode, pack, unpack


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Word(enum.StrEnum):
    YES = "yes"


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0


class Model(BaseModel):
    name: str
    parts: list[int] = []


Pair = namedtuple("Pair", "left right")

keys = st.one_of(
    st.text(max_size=5), st.integers(), st.booleans(), st.dates(), st.tuples(st.integers(), st.text(max_size=3))
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(
        timezones=st.sampled_from([None, dt.UTC, ZoneInfo("Europe/Paris"), dt.timezone(dt.timedelta(hours=3))])
    ),
    st.timedeltas(),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([Colour.RED, Colour.BLUE, Word.YES, Path("a/b"), Path("/")]),
    st.frozensets(st.one_of(st.integers(), st.text(max_size=3)), max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.sets(st.integers(), max_size=4),
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Point):
        return same(left.x, right.x) and same(left.y, right.y)
    return bool(left == right)


@given(values)
def test_decode_gives_back_what_was_encoded(value: Any) -> None:
    assert same(unpack(pack(value)), value)


@given(st.sets(st.one_of(st.integers(), st.text(max_size=4), st.tuples(st.integers()))))
def test_equal_sets_have_equal_bytes(items: set[Any]) -> None:
    forwards, backwards = sorted(items, key=repr), sorted(items, key=repr, reverse=True)
    assert pack(set(forwards)) == pack(set(backwards))


def test_models_and_arrays_come_back() -> None:
    model = Model(name="a", parts=[1])
    assert unpack(pack({"m": model}))["m"] == model
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    back = unpack(pack([array]))[0]
    assert back.dtype == array.dtype
    assert (back == array).all()
    assert type(unpack(pack(np.int16(3)))) is np.int16


def test_a_datetime_keeps_its_zone_and_its_fold() -> None:
    second = dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris"))
    back = unpack(pack(second))
    assert (back, back.fold, back.tzinfo) == (second, 1, second.tzinfo)


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        ({"rows": [1, {"handle": sys.__stdout__}]}, "rows[1].handle", "_io.TextIOWrapper"),
        (lambda: 0, "", "function"),
        ({1: {2: object()}}, "[1][2]", "object"),
        ((1, [Point]), "[1][0]", "type"),
        (Point(1, [{"a": object()}]), "y[0].a", "object"),
        ([np.array([object()])], "[0]", "numpy.ndarray"),
    ],
)
def test_what_cannot_be_encoded_is_named_with_its_place(value: Any, path: str, kind: str) -> None:
    with pytest.raises(EncodeError) as caught:
        pack(value)
    assert caught.value.path == path
    assert caught.value.type_name == kind


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError):
        pack(loop)


def test_a_class_made_in_a_function_is_refused() -> None:
    @dataclass
    class Local:
        x: int

    with pytest.raises(EncodeError, match="inside a function"):
        pack({"a": Local(1)})


@given(st.binary(max_size=60))
def test_damaged_bytes_raise_one_kind_of_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError, BlobMissingError):
        unpack(data)


@given(values, st.data())
def test_a_truncated_value_is_never_silently_another(value: Any, data: st.DataObject) -> None:
    whole = pack(value)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DecodeError):
        unpack(whole[:cut])


def test_a_class_is_never_imported_because_the_data_says_so() -> None:
    assert "antigravity" not in sys.modules
    hostile = ormsgpack.packb(ormsgpack.Ext(12, ormsgpack.packb(["antigravity", "x", {}])))
    with pytest.raises(DecodeError, match="not imported"):
        unpack(hostile)
    assert "antigravity" not in sys.modules


def test_only_data_classes_are_built() -> None:
    for tag in (11, 12, 13, 18):
        hostile = ormsgpack.packb(
            ormsgpack.Ext(tag, ormsgpack.packb(["subprocess", "Popen", {}, []][: 4 if tag == 13 else 3]))
        )
        with pytest.raises(DecodeError):
            unpack(hostile)


class TestBlobs:
    """Large parts are cut out, once, and only they."""

    def keep(self) -> tuple[dict[bytes, bytes], Any]:
        blobs: dict[bytes, bytes] = {}
        return blobs, blobs.__setitem__

    def test_a_small_value_stays_whole(self) -> None:
        blobs, put = self.keep()
        assert decode(encode({"a": "x" * 1000}, put)) == {"a": "x" * 1000}
        assert not blobs

    def test_large_parts_are_cut_and_come_back(self) -> None:
        blobs, put = self.keep()
        value = {"big": b"x" * CUT_BYTES * 2, "n": 1, "deep": [{"rows": list(range(40_000))}, (1, "y" * CUT_BYTES)]}
        encoded = encode(value, put)
        assert len(encoded.data) < 1000
        assert set(encoded.blobs) == set(blobs)
        assert len(blobs) == 3
        assert same(decode(encoded, blobs.__getitem__), value)

    def test_a_change_in_one_part_costs_that_part(self) -> None:
        blobs, put = self.keep()
        value = {"a": b"a" * CUT_BYTES * 2, "b": b"b" * CUT_BYTES * 2, "n": 1}
        encode(value, put)
        before = set(blobs)
        encode({**value, "n": 2, "b": b"c" * CUT_BYTES * 2}, put)
        assert len(set(blobs) - before) == 1

    def test_equal_values_have_equal_blobs(self) -> None:
        blobs, put = self.keep()
        assert encode(["z" * CUT_BYTES * 3], put) == encode(["z" * CUT_BYTES * 3], put)
        assert len(blobs) == 1

    def test_a_missing_blob_is_an_error(self) -> None:
        _, put = self.keep()
        with pytest.raises(BlobMissingError):
            decode(encode(b"q" * CUT_BYTES * 2, put))


def test_uuid_and_decimal_are_exact() -> None:
    one = uuid.uuid4()
    assert unpack(pack([one, decimal.Decimal("1.10")])) == [one, decimal.Decimal("1.10")]
    assert str(unpack(pack(decimal.Decimal("1.10")))) == "1.10"


def test_a_view_sees_the_fields_of_a_class_that_it_has_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = pack([Point(1, Colour.RED), Pair(1, [2])])
    monkeypatch.delattr(sys.modules[__name__], "Point")
    monkeypatch.delattr(sys.modules[__name__], "Colour")
    with pytest.raises(UnknownTypeError, match="Colour"):  # the innermost
        unpack(recorded)
    assert unpack(recorded, plain=True) == [{"x": 1, "y": "Colour.RED"}, (1, [2])]
