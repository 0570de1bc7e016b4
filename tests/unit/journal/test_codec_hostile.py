"""Whatever is read gives a value or a DecodeError: never another exception, never code of the data's choosing."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.journal.codec_strategies import values
from tests.unit.journal.codec_values import NEW_VALUES, VALUES, Point

from orchestrator.errors import BlobMissingError, DecodeError, UnknownTypeError
from orchestrator.journal.codec import from_json, pack, to_json, unpack
from orchestrator.journal.codec.table import ROWS

HERE = "tests.unit.journal.codec_values"
NAMED = {**VALUES, **NEW_VALUES}
WORDS = [*(f"${row.word}" for row in ROWS), "$bytes", "$float", "$blob", "$", "$new", "plain"]


def read_or_refuse(data: bytes) -> None:
    """Read; a BlobMissingError is right where the data asks for a blob, and nothing else."""
    try:
        unpack(data)
    except DecodeError:
        pass
    except BlobMissingError:
        assert b"\x13" in data  # the tag of a reference


def packed_items(value: Any) -> list[bytes]:
    """The bytes of the value; of each item by itself where it is a list of examples."""
    return [pack(item) for item in (value if type(value) is list else [value])]


# -- bytes -------------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60))
def test_arbitrary_bytes(data: bytes) -> None:
    read_or_refuse(data)


@pytest.mark.parametrize("name", NAMED)
def test_truncated_at_every_byte(name: str) -> None:
    for whole in packed_items(NAMED[name]):
        for length in range(len(whole)):
            with pytest.raises(DecodeError):
                unpack(whole[:length])


@pytest.mark.parametrize("name", NAMED)
def test_bits_flipped(name: str) -> None:
    for whole in packed_items(NAMED[name]):
        for i in range(0, len(whole) * 8, 1 + len(whole) // 100):
            flipped = bytearray(whole)
            flipped[i // 8] ^= 1 << i % 8
            read_or_refuse(bytes(flipped))


@settings(max_examples=200)
@given(values, st.data())
def test_bytes_replaced(value: Any, data: st.DataObject) -> None:
    whole = bytearray(pack(value))
    for _ in range(3):
        at = data.draw(st.integers(0, len(whole)))
        whole[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    read_or_refuse(bytes(whole))


def test_bytes_nested_without_end() -> None:
    data = b"\x90"
    for _ in range(3000):
        data = ormsgpack.packb(ormsgpack.Ext(1, b"\x91" + data))
    with pytest.raises(DecodeError):
        unpack(data)
    with pytest.raises(DecodeError):
        unpack(b"\x91" * 100_000)


def test_lengths_that_are_not_there() -> None:
    for head in (b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9"):
        with pytest.raises(DecodeError):
            unpack(head + b"\xff\xff\xff\xff\x01")


def test_an_interrupt_while_reading_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> bool:
        raise KeyboardInterrupt

    data = pack({Point(1)})
    monkeypatch.setattr(Point, "__hash__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(data)


# -- trees -------------------------------------------------------------------------------------------------------------

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from([HERE, "Point", "Colour", "subprocess", "Popen", "builtins", "object", "nan", "10" * 3000]),
        st.sampled_from([10**400, -(10**400), b"", (), {1}, object(), {1: 2}]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(WORDS), inner, min_size=1, max_size=1),
        st.dictionaries(st.sampled_from([*WORDS, "a"]), inner, max_size=2),
    ),
    max_leaves=8,
)


def read_tree(tree: Any) -> None:
    with contextlib.suppress(DecodeError):
        from_json(tree)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of the tree with each of its keys."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from places(tree[key])


@settings(max_examples=300)
@given(junk)
def test_arbitrary_trees(tree: Any) -> None:
    read_tree(tree)


@settings(max_examples=50)
@given(st.sampled_from(sorted(NAMED)), st.lists(junk, min_size=1, max_size=3))
def test_trees_with_a_part_replaced(name: str, parts: list[Any]) -> None:
    whole = to_json(NAMED[name])
    for at in range(len(list(places(whole)))):
        for part in parts:
            tree = copy.deepcopy(whole)
            container, key = list(places(tree))[at]
            container[key] = part
            read_tree(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"$set": "abc"},
        {"$set": [[1]]},
        {"$set": [], "$tuple": []},
        {"$set": [], "a": 1},
        {"a": 1, "$b": 2},
        {1: 2},
        {"a": (1,)},
        {"$tuple": {"$tuple": [1]}},
        {"$int": "1" + "_" * 2},
        {"$int": 5},
        {"$float": 1.5},
        {"$float": "1e5"},
        {"$bytes": "A"},
        {"$bytes": "é"},
        {"$bytes": "QUJD\n"},
        {"$uuid": "00"},
        {"$decimal": 1.5},
        {"$decimal": "x"},
        {"$date": "2026-02-30"},
        {"$time": ["01:00:00", "../../etc/passwd", 0]},
        {"$datetime": ["2026-01-01T00:00:00", "Nowhere/Else", 0]},
        {"$datetime": ["2026-01-01T00:00:00", "Europe", 0]},
        {"$datetime": ["2026-01-01T00:00:00", None, 7]},
        {"$timedelta": [10**20, 0, 0]},
        {"$range": [0, 1, 0]},
        {"$range": [0.5, 1, 1]},
        {"$deque": [[1], -1]},
        {"$deque": ["abc", None]},
        {"$defaultdict": ["Popen", []]},
        {"$defaultdict": [["list"], []]},
        {"$pairs": ["ab", "cd"]},
        {"$pairs": [[[], 1]]},
        {"$blob": ""},
        {"$complex": ["1j", 0]},
        {"$dataclass": [HERE, "Point", ["x"]]},
        {"$dataclass": [HERE, "Point", "xy"]},
        {"$dataclass": [[], "Point", {}]},
        {"$dataclass": [HERE, 5, {}]},
        {"$pydantic": [HERE, "Model", {"name": 1}, "name"]},
        {"$pydantic": [HERE, "Model", {"name": 1}, [], {}]},
        {"$pydantic": [HERE, "Rich", {"a": 1, "b": 2}, [], [], []]},
        {"$enum": [HERE, "Right", None, "READ"]},
        {"$enum": [HERE, "Colour", [], 9]},
        {"$registered": [HERE, "Point3", 5]},
        {"$registered": ["", "fraction", [1, 0]]},
        {"$numpy": ""},
        {"$numpy": base64.b64encode(b"\x02\xff").decode()},
        {"$numpy": base64.b64encode(b"\x00PK\x03\x04" + b"\0" * 40).decode()},
        {"$numpy": base64.b64encode(b"\x00\x80\x04N.").decode()},
    ],
)
def test_what_does_not_fit_is_refused(tree: Any) -> None:
    with pytest.raises(DecodeError):
        from_json(tree)


def npy(header: str, data: bytes = b"12345678") -> dict[str, str]:
    raw = header.encode()
    magic = b"\x93NUMPY\x02\x00" + len(raw).to_bytes(4, "little")
    return {"$numpy": base64.b64encode(b"\x00" + magic + raw + data).decode()}


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 10000000000000000000000)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
        "__import__('antigravity')",
        "-" * 50_000 + "1",
        "[" * 50_000,
        "(" * 90 + ")" * 90,
        " " * 200_000,
    ],
)
def test_headers_of_arrays(header: str) -> None:
    with pytest.raises(DecodeError):
        from_json(npy(header))


@pytest.mark.parametrize("array", [np.zeros(3), NEW_VALUES["arrays"][4]], ids=["plain", "structured"])
def test_an_array_of_another_length_than_it_says(array: np.ndarray[Any, Any]) -> None:
    data = base64.b64decode(to_json(array)["$numpy"])
    for wrong in (data + b"1", data + b"12345678", data[:-1], data[:-8]):
        with pytest.raises(DecodeError):
            from_json({"$numpy": base64.b64encode(wrong).decode()})


@pytest.mark.parametrize(
    "nest", [lambda t: [t], lambda t: {"a": t}, lambda t: {"$tuple": [t]}, lambda t: {"$pairs": [[t, t]]}]
)
def test_trees_nested_without_end(nest: Any) -> None:
    tree: Any = 1
    for _ in range(100_000):
        tree = nest(tree)
    with pytest.raises(DecodeError, match="nested deeper"):
        from_json(tree)


def test_a_tree_that_json_made_of_huge_numbers() -> None:
    assert from_json(json.loads("1e999")) == float("inf")
    assert from_json([10**400]) == [10**400]
    read_tree({"$decimal": "1e" + "9" * 50})
    read_tree({"$enum": [HERE, "Bits", None, {"$int": "0x" + "f" * 100_000}]})


# -- classes -----------------------------------------------------------------------------------------------------------


def both_forms(word: str, parts: list[Any]) -> Iterator[Any]:
    """Readers of an object that the data describes so."""
    tag = next(row.tag for row in ROWS if row.word == word)
    yield lambda: from_json({f"${word}": parts})
    yield lambda: unpack(ormsgpack.packb(ormsgpack.Ext(tag, ormsgpack.packb(parts))))


def test_a_class_is_never_imported_because_the_data_says_so() -> None:
    assert "antigravity" not in sys.modules
    for read in both_forms("dataclass", ["antigravity", "x", {}]):
        with pytest.raises(UnknownTypeError, match="not imported"):
            read()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("word", ["enum", "dataclass", "pydantic", "namedtuple", "registered"])
@pytest.mark.parametrize(
    ("module", "qualname"),
    [
        ("subprocess", "Popen"),
        ("builtins", "dict"),
        ("builtins", "object"),
        ("os", "stat_result"),
        ("builtins", "open"),
    ],
)
def test_only_classes_of_data_are_built(word: str, module: str, qualname: str) -> None:
    parts = {"enum": ["a", 1], "pydantic": [{}, []], "namedtuple": [[]]}.get(word, [{}])
    for read in both_forms(word, [module, qualname, *parts]):
        with pytest.raises(DecodeError):
            read()


def test_looking_for_a_class_asks_no_module_and_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class Touchy:
        """A stand-in that notices whether anything is asked of it."""

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    lazy = Lazy("lazy")
    for module, stands in (("lazy", lazy), ("touchy", Touchy())):
        monkeypatch.setitem(sys.modules, module, stands)  # type: ignore[arg-type]
    plain = ModuleType("plain")
    plain.thing = Touchy()  # type: ignore[attr-defined]
    plain.__getattr__ = lambda name: pytest.fail(f"asked for {name}")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "plain", plain)
    for module, qualname in (("lazy", "A"), ("touchy", "A"), ("plain", "thing"), ("plain", "thing.A"), ("plain", "B")):
        for read in both_forms("dataclass", [module, qualname, {}]):
            with pytest.raises(UnknownTypeError):
                read()


def test_no_module_is_imported_through_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import orchestrator  # its front door fetches each name at its first use

    monkeypatch.delitem(vars(orchestrator), "Pipeline", raising=False)
    assert "__getattr__" in vars(orchestrator)
    for read in both_forms("dataclass", ["orchestrator", "Pipeline", {}]):
        with pytest.raises(UnknownTypeError):
            read()


def test_values_are_written_and_read_by_many_threads_at_once() -> None:
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def work() -> None:
        try:
            start.wait()
            for _ in range(50):
                assert pack(unpack(pack(VALUES["dataclass"]))) == pack(VALUES["dataclass"])
                assert to_json(from_json(to_json(NEW_VALUES["arrays"]))) == to_json(NEW_VALUES["arrays"])
        except BaseException as exc:
            faults.append(exc)
            raise

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_missing_file_of_zones_is_a_damage(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("no zone")
    for name in (str(tmp_path / "zone"), "a\0b", "x" * 5000, "\udc80", ""):
        with pytest.raises(DecodeError):
            from_json({"$datetime": ["2026-01-01T00:00:00", name, 0]})
