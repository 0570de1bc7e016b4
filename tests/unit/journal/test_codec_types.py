"""Every type that is carried comes back through both carriers, whatever version wrote it and however it changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ormsgpack
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, PrivateAttr
from tests.unit.journal.codec_strategies import same, twin, values
from tests.unit.journal.codec_values import NEW_VALUES, OLD_FORMS, STRUCTURED, VALUES, Pair, Point, Rich

from orchestrator.errors import DecodeError, EncodeError
from orchestrator.journal.codec import from_json, pack, to_json, unpack
from orchestrator.journal.codec.table import ROWS

GOLDEN = [
    json.loads(line) for line in (Path(__file__).parents[2] / "golden" / "codec-v1.jsonl").read_text().splitlines()
]
NAMED = {**VALUES, **NEW_VALUES, **OLD_FORMS}


def through_json(value: Any) -> Any:
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


def through_bytes(value: Any) -> Any:
    return unpack(pack(value))


both = pytest.mark.parametrize("carry", [through_bytes, through_json])
Carry = Callable[[Any], Any]


# -- round trips -------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(values)
def test_every_type_in_every_other_comes_back(value: Any) -> None:
    packed, tree = pack(value), to_json(value)
    text = json.dumps(tree, allow_nan=False)
    assert same(unpack(packed), value)
    assert same(from_json(json.loads(text)), value)
    assert pack(unpack(packed)) == packed
    assert json.dumps(to_json(from_json(tree))) == text


@settings(max_examples=200)
@given(values)
def test_equal_values_have_equal_forms(value: Any) -> None:
    assert pack(twin(value)) == pack(value)
    assert json.dumps(to_json(twin(value))) == json.dumps(to_json(value))


@both
@pytest.mark.parametrize("name", NAMED)
def test_each_type_comes_back(name: str, carry: Carry) -> None:
    assert same(carry(NAMED[name]), NAMED[name])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_what_was_written_once_reads_for_ever(golden: dict[str, Any]) -> None:
    value = NAMED[golden["name"]]
    assert same(unpack(bytes.fromhex(golden["packed"])), value)
    assert same(from_json(golden["json"]), value)


def test_what_is_written_has_not_changed() -> None:
    for golden in GOLDEN:
        if golden["name"] not in OLD_FORMS:
            assert pack(NAMED[golden["name"]]).hex() == golden["packed"], golden["name"]
            assert to_json(NAMED[golden["name"]]) == golden["json"], golden["name"]


def test_every_row_of_the_table_stands_in_the_golden_file() -> None:
    text = json.dumps([golden["json"] for golden in GOLDEN])
    assert [row.word for row in ROWS if f'"${row.word}"' not in text] == []
    assert len({row.tag for row in ROWS}) == len({row.word for row in ROWS}) == len(ROWS)


@both
def test_a_large_integer_has_no_limit_of_digits(carry: Carry) -> None:
    assert carry([10**5000, -(10**5000)]) == [10**5000, -(10**5000)]


@both
def test_a_bytearray_comes_back_as_bytes(carry: Carry) -> None:
    assert same(carry([bytearray(b"a"), memoryview(b"b")]), [b"a", b"b"])


@both
def test_an_array_that_comes_back_can_be_changed(carry: Carry) -> None:
    carry(np.zeros(2))[0] = 1


@pytest.mark.parametrize("form", [pack, to_json])
def test_equal_arrays_have_equal_forms_in_either_memory_order(form: Carry) -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert form(np.asfortranarray(array)) == form(array) == form(np.ascontiguousarray(array.T).T)


def test_an_array_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(np.zeros(1))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(DecodeError, match="install numpy"):
        unpack(packed)


@both
@pytest.mark.parametrize("dtype", ["U0", "S0", "V0", "V3", "f2", "g", "G", "longlong", "M8", "i1,(2,3)f4", "M8[25s]"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 1, 3)])
def test_dtypes(dtype: str, shape: tuple[int, ...], carry: Carry) -> None:
    array = np.zeros(shape, dtype)
    back = carry(array)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_what_lies_between_the_fields_of_an_array_is_not_recorded() -> None:
    full = np.frombuffer(b"\x31" * STRUCTURED.itemsize * 2, STRUCTURED)
    clean = np.zeros(2, STRUCTURED)
    clean[...] = full
    assert full.tobytes() != clean.tobytes()
    assert pack(full) == pack(clean)


# -- classes that change -----------------------------------------------------------------------------------------------


@dataclass
class Growing:
    old: int
    made: list[int] = dataclasses.field(default_factory=lambda: [7])
    new: int = 5


@dataclass
class Needing:
    old: int
    needed: int


class Tuple(NamedTuple):
    a: int
    b: int = 2


class Growing_(BaseModel):
    old: int
    new: list[int] = [1]
    _private: list[int] = PrivateAttr(default=[3])


class Switch(enum.Enum):
    ON = "on"


HERE = __name__


def test_a_field_that_the_class_gained_has_its_default_and_one_that_it_lost_is_left_out() -> None:
    assert from_json({"$dataclass": [HERE, "Growing", {"old": 1, "gone": 2}]}) == Growing(1, [7], 5)
    assert from_json({"$namedtuple": [HERE, "Tuple", [1]]}) == Tuple(1)
    model = from_json({"$pydantic": [HERE, "Growing_", {"old": 1, "gone": 2}, ["old"]]})
    assert model == Growing_(old=1)
    assert model.model_fields_set == {"old"}
    assert not hasattr(model, "gone")
    assert model.new is not Growing_.model_fields["new"].default
    assert model._private is not Growing_.__private_attributes__["_private"].default


def test_a_member_is_found_by_its_name_and_else_by_its_value() -> None:
    assert from_json({"$enum": [HERE, "Switch", "ON", "other"]}) is Switch.ON
    assert from_json({"$enum": [HERE, "Switch", "EIN", "on"]}) is Switch.ON
    with pytest.raises(DecodeError):
        from_json({"$enum": [HERE, "Switch", "AUS", "aus"]})


@pytest.mark.parametrize(
    "tree",
    [
        {"$dataclass": [HERE, "Needing", {"old": 1}]},
        {"$namedtuple": [HERE, "Tuple", []]},
        {"$pydantic": [HERE, "Growing_", {}, []]},
    ],
)
def test_a_part_without_a_default_is_missed(tree: Any) -> None:
    with pytest.raises(DecodeError, match="requires now"):
        from_json(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"$namedtuple": [HERE, "Tuple", [1, 2, 3]]},
        {"$namedtuple": [HERE, "Growing", [1]]},
        {"$dataclass": [HERE, "Switch", {}]},
        {"$dataclass": [HERE, "Growing_", {"old": 1}]},
        {"$pydantic": [HERE, "Growing", {"old": 1}, []]},
        {"$pydantic": ["tests.unit.journal.codec_values", "Checked", {"n": 1}, []]},
        {"$enum": [HERE, "Growing", "ON", "on"]},
        {"$enum": [HERE, "Path", "ON", "on"]},
        {"$registered": [HERE, "Growing", {"old": 1}]},
    ],
)
def test_a_class_that_is_of_another_sort_is_refused(tree: Any) -> None:
    with pytest.raises(DecodeError):
        from_json(tree)


def test_no_code_of_the_class_runs_when_it_is_read() -> None:
    @dataclass
    class Loud:
        n: int = 0

        def __post_init__(self) -> None:
            raise AssertionError("called")

    class LoudModel(BaseModel):
        n: int = 0

        def model_post_init(self, context: Any) -> None:
            raise AssertionError("called")

    for kind in (Loud, LoudModel):
        kind.__qualname__ = kind.__name__
        setattr(sys.modules[HERE], kind.__name__, kind)
    assert from_json({"$dataclass": [HERE, "Loud", {"n": "no number"}]}).n == "no number"
    assert from_json({"$pydantic": [HERE, "LoudModel", {"n": "no number"}, []]}).n == "no number"


@both
def test_fields_that_were_allowed_at_the_validation_alone_stay(carry: Carry) -> None:
    model = Growing_.model_validate({"old": 1, "more": {2}}, extra="allow")
    assert carry(model).more == {2}


# -- what is refused ---------------------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Rows(list[int]):
    pass


@dataclass
class RowsWithName(list):  # type: ignore[type-arg]
    name: str


@dataclass
class Unset:
    n: int = dataclasses.field(init=False)


class Nowhere(dt.tzinfo):
    """A zone with neither a name nor an offset."""

    def utcoffset(self, when: dt.datetime | None) -> None:
        return None


@both
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Text("a"), "Text"),
        (Number(1), "Number"),
        (Rows([1]), "Rows"),
        (RowsWithName("a"), "its fields are not all"),
        (Unset(), "cannot be read"),
        (Growing_.model_construct(new=[]), "never set"),
        (defaultdict(lambda: 0), "its factory"),
        (dt.datetime(2026, 1, 1, tzinfo=Nowhere()), "neither a name nor an offset"),
        (np.ma.array([1]), "only ndarrays"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "Python objects"),
        (np.rec.array([(1, 2)], dtype="i4,i4").view(np.ndarray), "cannot be kept"),
        (np.dtype("i4"), "only ndarrays"),
        ("a\udc80", "surrogate"),
        ({"\udc80": 1}, "surrogate"),
        (sys, "module"),
        (Point, "type"),
    ],
)
def test_what_is_not_carried_is_refused(value: Any, reason: str, carry: Carry) -> None:
    with pytest.raises(EncodeError, match=reason):
        carry([value])


@both
def test_a_class_that_no_reader_would_find_is_refused(carry: Carry, monkeypatch: pytest.MonkeyPatch) -> None:
    value = Growing(1)
    monkeypatch.setattr(sys.modules[HERE], "Growing", Needing)
    with pytest.raises(EncodeError, match="register_type"):
        carry(value)


@both
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"rows": [1, {"handle": object()}]}, "rows[1].handle"),
        ({1: {2: object()}}, "[1][2]"),
        ({"a": {object: 1}}, "a.keys()"),
        (Pair(1, (Point(object()),)), "right[0].x"),
        ([Rich(a=1, b=2, more=object())], "[0].more"),
    ],
)
def test_what_is_refused_is_named_with_its_place(value: Any, path: str, carry: Carry) -> None:
    with pytest.raises(EncodeError) as caught:
        carry(value)
    assert caught.value.path == path


@both
def test_a_private_attribute_that_is_alive_is_named(carry: Carry) -> None:
    model = Rich(a=1, b=2)
    model._seen.append(object())
    with pytest.raises(EncodeError) as caught:
        carry(model)
    assert caught.value.path == "_seen[0]"


@both
def test_values_that_hold_themselves_are_refused(carry: Carry) -> None:
    for hold in (lambda loop: loop, lambda loop: (loop,), lambda loop: {"a": [loop]}, lambda loop: Point(loop)):
        loop: list[Any] = []
        loop.append(hold(loop))
        with pytest.raises(EncodeError, match="holds itself"):
            carry(loop)


def below(frames: int, call: Callable[[], Any]) -> Any:
    """The call's result, made deep down the stack."""
    return call() if not frames else below(frames - 1, call)


@pytest.mark.parametrize(("write", "read"), [(pack, unpack), (to_json, from_json)])
@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {1: v}, Point])
def test_what_is_not_too_deep_to_be_written_can_be_read(wrap: Callable[[Any], Any], write: Carry, read: Carry) -> None:
    value: Any = 1
    for depth in range(0, 1500, 5):
        try:
            written = write(value)
        except EncodeError as exc:
            assert depth > 100
            assert "too deeply" in str(exc)
            return
        below(300, lambda written=written: read(written))
        for _ in range(5):
            value = wrap(value)
    pytest.fail("nothing is too deep")


def test_bytes_of_an_unknown_type_say_so() -> None:
    with pytest.raises(DecodeError, match="a newer one"):
        unpack(ormsgpack.packb(ormsgpack.Ext(100, b"")))
    with pytest.raises(DecodeError, match="a newer one"):
        from_json({"$new": []})


@dataclasses.dataclass
class WithMore:
    """An object that is more than its fields."""

    number: int

    def __post_init__(self) -> None:
        self.double = 2 * self.number

    @functools.cached_property
    def triple(self) -> int:
        return 3 * self.number


def test_attributes_that_are_no_fields_come_back() -> None:
    value = WithMore(2)
    value.double = 5
    assert value.triple == 6
    for back in (unpack(pack(value)), from_json(to_json(value))):
        assert (back.number, back.double) == (2, 5)
        assert "triple" not in vars(back), "what is cached is computed again"
    value.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(EncodeError, match="lock"):
        pack(value)
