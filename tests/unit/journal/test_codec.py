"""The bytes of a recorded value: equal for equal values, with large parts kept apart, and shown without classes."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.journal.codec_strategies import same
from tests.unit.journal.codec_values import Bits, Colour, Pair, Point

from orchestrator.errors import BlobMissingError, EncodeError, UnknownTypeError
from orchestrator.journal.blobs import CUT_BYTES, encode
from orchestrator.journal.codec import Ref, decode, pack, to_json, unpack


@given(st.sets(st.one_of(st.integers(), st.text(max_size=4), st.tuples(st.integers()))))
def test_equal_sets_have_equal_bytes(items: set[Any]) -> None:
    forwards, backwards = sorted(items, key=repr), sorted(items, key=repr, reverse=True)
    assert pack(set(forwards)) == pack(set(backwards))


def test_a_class_made_in_a_function_is_refused() -> None:
    class Local(Point):
        pass

    with pytest.raises(EncodeError, match="inside a function"):
        pack({"a": Local(1)})


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

    def test_a_reference_is_of_bytes_alone(self) -> None:
        with pytest.raises(EncodeError):
            to_json(Ref(b"x" * 32))  # type: ignore[arg-type]


def test_a_view_sees_the_fields_of_a_class_that_it_has_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = pack([Point(1, Colour.RED), Pair(1, [2]), Bits(12)])
    for name in ("Point", "Colour", "Bits"):
        monkeypatch.delattr(sys.modules[Point.__module__], name)
    with pytest.raises(UnknownTypeError, match="Colour"):  # the innermost
        unpack(recorded)
    assert unpack(recorded, plain=True) == [{"x": 1, "y": "Colour.RED"}, (1, [2]), "Bits(12)"]


def test_a_view_of_unknown_classes_in_one_another_costs_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    value: Any = 0
    for _ in range(60):
        value = Point(value)
    recorded = pack(value)
    monkeypatch.delattr(sys.modules[Point.__module__], "Point")
    shown = unpack(recorded, plain=True)
    for _ in range(60):
        shown = shown["x"]
    assert shown == 0
