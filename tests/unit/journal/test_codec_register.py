"""`register_type`: names of its own for a class, and classes that the codec does not know by itself."""

from __future__ import annotations

import enum
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel
from tests.unit.journal.codec_values import Point3

from orchestrator.errors import DecodeError, EncodeError, InputError, UnknownTypeError
from orchestrator.journal.codec import from_json, pack, register_type, to_json, unpack

Carry = Callable[[Any], Any]
both = pytest.mark.parametrize("carry", [lambda v: unpack(pack(v)), lambda v: from_json(to_json(v))])


class Plain:
    """No class that the codec carries by itself."""

    def __init__(self, n: int) -> None:
        self.n = n


def make(name: str) -> list[Any]:
    """A value of a class of each sort, made in a function and registered under names that begin so."""

    @register_type(name=f"{name}.Data")
    @dataclass
    class Data:
        n: int

    @register_type(name=f"{name}.Model")
    class Model(BaseModel):
        n: int

    @register_type(name=f"{name}.Couple")
    class Couple(NamedTuple):
        n: int

    @register_type(name=f"{name}.Word")
    class Word(enum.StrEnum):
        A = "a"

    return [Data(1), Model(n=1), Couple(1), Word.A]


@both
def test_a_class_made_in_a_function_is_carried_under_its_name(carry: Carry) -> None:
    for value in make(f"made.{id(carry)}"):
        back = carry([value])[0]
        assert back == value
        assert type(back) is type(value)


def test_the_bare_decorator_takes_the_class_by_its_own_name() -> None:
    @register_type
    @dataclass
    class Local:
        n: int

    qualname = f"{test_the_bare_decorator_takes_the_class_by_its_own_name.__name__}.<locals>.Local"
    assert to_json(Local(1)) == {"$dataclass": [__name__, qualname, {"n": 1}]}
    assert unpack(pack(Local(1))) == Local(1)


def test_a_class_that_moved_reads_what_it_wrote_before() -> None:
    @dataclass
    class New:
        n: int

    old = {"$dataclass": ["gone.module", "Outer.Old", {"n": 1}]}
    with pytest.raises(UnknownTypeError, match="register_type"):
        from_json(old)
    assert register_type(New, name="gone.module.Outer.Old") is New
    register_type(New, name="another.Older")
    assert from_json(old) == New(1)
    assert from_json({"$dataclass": ["another", "Older", {"n": 2}]}) == New(2)
    assert from_json(to_json(New(3))) == New(3)
    assert "gone.module" in str(to_json(New(3)))  # the first name is the one that is written


def test_a_name_without_a_dot() -> None:
    @register_type(name="dotless")
    @dataclass
    class Local:
        n: int

    assert to_json(Local(1)) == {"$dataclass": ["", "dotless", {"n": 1}]}
    assert from_json(to_json(Local(1))) == Local(1)


def test_a_name_is_taken_once() -> None:
    @dataclass
    class One:
        n: int

    @dataclass
    class Two:
        n: int

    register_type(One, name="taken.once")
    register_type(One, name="taken.once")
    with pytest.raises(InputError, match=r"'taken\.once' is taken by another class .*One"):
        register_type(Two, name="taken.once")
    with pytest.raises(EncodeError):
        pack(Two(1))
    register_type(Two, name="taken.by_two")
    assert from_json(to_json([One(1), Two(1)])) == [One(1), Two(1)]


@both
def test_encode_and_decode_carry_any_class(carry: Carry) -> None:
    value = {Point3(1, (2,)): [Point3(Point3(b"x"))]}
    back = carry(value)
    assert back == value
    assert type(next(iter(back)).numbers[1]) is tuple


@both
def test_subclasses_are_not_covered(carry: Carry) -> None:
    class Sub(Point3):
        pass

    with pytest.raises(EncodeError, match="Sub"):
        carry(Sub(1))


def test_a_dataclass_may_be_carried_otherwise_and_its_older_form_still_reads() -> None:
    @dataclass
    class Secretive:
        user: str
        password: str = "none"

    register_type(Secretive, name="secretive.First")
    older = pack(Secretive("ann", "x"))

    register_type(Secretive, name="secretive.First", encode=lambda s: s.user, decode=Secretive)
    assert unpack(older) == Secretive("ann", "x")
    assert unpack(pack(Secretive("ann", "x"))) == Secretive("ann")
    assert unpack(pack(Secretive("ann", "x")), plain=True) == Secretive("ann")


@both
def test_what_encode_and_decode_raise_is_told(carry: Carry) -> None:
    class Broken(Plain):
        pass

    class Halfway(Plain):
        pass

    class Another(Plain):
        pass

    class Deep(Plain):
        pass

    def fail(value: Any) -> Any:
        raise LookupError(f"no {value}")

    register_type(Broken, name=f"broken.{id(carry)}", encode=fail, decode=fail)
    register_type(Halfway, name=f"halfway.{id(carry)}", encode=lambda v: v.n, decode=fail)
    register_type(Another, name=f"another.{id(carry)}", encode=lambda v: v.n, decode=lambda n: n)
    register_type(Deep, name=f"deep.{id(carry)}", encode=lambda v: {"n": v.n}, decode=Deep)
    with pytest.raises(EncodeError, match="its encode failed: LookupError: no"):
        carry(Broken(1))
    with pytest.raises(DecodeError, match="failed: LookupError: no 1"):
        carry(Halfway(1))
    with pytest.raises(DecodeError, match="gave a int"):
        carry(Another(1))
    with pytest.raises(EncodeError) as caught:
        carry([Deep(object())])  # type: ignore[arg-type]
    assert caught.value.path == "[0].n"


def test_a_registered_class_that_is_not_known_here_is_shown_as_its_data() -> None:
    script = (
        "from orchestrator.journal.codec import pack, register_type\n"
        "class Far:\n    pass\n"
        "register_type(Far, name='far.Far', encode=lambda far: {'n': [1]}, decode=lambda data: Far())\n"
        "print(pack([Far()]).hex())\n"
    )
    data = bytes.fromhex(
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.decode()
    )
    with pytest.raises(UnknownTypeError, match=r"far\.Far"):
        unpack(data)
    assert unpack(data, plain=True) == [{"n": [1]}]


@pytest.mark.parametrize(
    ("cls", "options", "why"),
    [
        (5, {}, "is no class"),
        (Plain, {}, "give an encode and a decode"),
        (Plain, {"encode": str}, "without the other"),
        (Plain, {"decode": str}, "without the other"),
        (dict, {"encode": str, "decode": str}, "carried by the codec itself"),
        (set, {}, "carried by the codec itself"),
        (Plain, {"name": "", "encode": str, "decode": str}, "is no name"),
        (Plain, {"name": 5, "encode": str, "decode": str}, "is no name"),
        (Point3, {"encode": str, "decode": str}, "declared once"),
    ],
)
def test_registrations_that_make_no_sense(cls: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        register_type(cls, **options)
    assert from_json(to_json(Point3(1))) == Point3(1)


def test_one_of_many_threads_gets_a_name() -> None:
    classes = [dataclass(type(f"Racer{i}", (), {"__annotations__": {"n": int}})) for i in range(16)]
    start, winners = threading.Barrier(len(classes)), []

    def race(cls: Any) -> None:
        start.wait()
        try:
            register_type(cls, name="race.Winner")
        except InputError:
            return
        winners.append(cls)

    threads = [threading.Thread(target=race, args=(cls,)) for cls in classes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = winners
    assert type(from_json({"$dataclass": ["race", "Winner", {"n": 1}]})) is winner
