"""Classes and values for the tests of the codec: everything that is carried, by name."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from orchestrator.journal.codec import register_type

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"
    CRIMSON = 1  # noqa: PIE796 - an alias


class Planet(enum.Enum):
    """Its values cannot be recorded; its names can."""

    EARTH = (5.97e24, object())


class Size(enum.Enum):
    SMALL = (1, 2)


class Word(enum.StrEnum):
    YES = "yes"


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    A = 1
    B = 2


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0


@dataclass(slots=True)
class Base:
    a: Any
    kind: ClassVar[str] = "base"


@dataclass(slots=True)
class Derived(Base):
    start: InitVar[int]
    b: Any = field(init=False)
    c: list[Any] = field(default_factory=list, repr=False)

    def __post_init__(self, start: int) -> None:
        self.b = start + 1


@dataclass
class Box(Generic[T]):
    content: T


@pydantic_dataclass
class Checked:
    n: int


@dataclass
class Outer:
    """With a class inside."""

    @dataclass
    class Inner:
        n: int

    inner: Inner


Pair = namedtuple("Pair", "left right")


class Named(NamedTuple):
    left: Any
    right: Any = None


class Model(BaseModel):
    name: Any
    parts: list[Any] = []


class Rich(BaseModel):
    """Aliases that would be swapped by a reader that fills by alias; extra fields and private attributes."""

    model_config = ConfigDict(extra="allow", frozen=True, validate_by_name=True)

    a: Any = Field(alias="b")
    b: Any = Field(alias="a")
    _seen: Any = PrivateAttr(default_factory=list)
    _unset: int = PrivateAttr()


class Root(RootModel[list[Any]]):
    def __iter__(self) -> Any:  # as pydantic's documentation advises
        return iter(self.root)


class Generic_(BaseModel, Generic[T]):
    content: T


IntBox = Generic_[int]


class Point3:
    """What the codec does not know by itself."""

    def __init__(self, *numbers: Any) -> None:
        self.numbers = numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point3) and self.numbers == other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)


register_type(Point3, encode=lambda p: {"numbers": p.numbers}, decode=lambda data: Point3(*data["numbers"]))
register_type(Fraction, name="fraction", encode=lambda f: [f.numerator, f.denominator], decode=lambda d: Fraction(*d))


def model_with(**attributes: Any) -> Rich:
    """A model with extra fields and private attributes."""
    model = Rich(a=1, b="two", **attributes)
    model._seen.append(attributes)
    return model


ZONES = [None, dt.UTC, ZoneInfo("Europe/Paris"), dt.timezone(dt.timedelta(hours=3)), dt.timezone(dt.timedelta(0, 1, 2))]
PARIS = ZoneInfo("Europe/Paris")
STRUCTURED = np.dtype([("a", "i1"), ("b", ">f8", (2,)), ("c", [("d", "S3"), ("e", "U2")])], align=True)

#: One value or more of everything that is carried, by name; the names stand in the golden file.
VALUES: dict[str, Any] = {
    "none": None,
    "bools": [True, False],
    "ints": [0, -1, 2**63, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**50],
    "floats": [0.0, -0.0, 1.0, 1e300, math.nan, math.inf, -math.inf, 5e-324],
    "texts": ["", "$set", "é\0", "\U0001f600"],
    "bytes": [b"", b"\x00\xff"],
    "list": [[], [1, [2]]],
    "mappings": [{}, {"b": 1, "a": 2}, {1: "a", (2, "x"): {None: 0.5}}, {True: 1, 2.5: 2, b"k": 3}],
    "dollars": [{"$set": [1]}, {"$": 1}, {"a": 1, "$b": {"$c": 2}}],
    "tuple": ((), (1, ("a",))),
    "set": [set(), {3, 1, 2}, {"a", 1, (2,)}],
    "frozenset": frozenset({frozenset({1}), "x"}),
    "datetime": [dt.datetime(1, 1, 1), dt.datetime.max, dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)],
    "zones": [dt.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=zone) for zone in ZONES for fold in (0, 1)],
    "date": dt.date(2026, 2, 28),
    "time": [dt.time(1, 2, 3, 4), dt.time(1, tzinfo=dt.UTC)],
    "timedelta": [dt.timedelta(-1, 2, 3), dt.timedelta.max],
    "decimal": [
        Decimal("1.10"),
        Decimal("-0"),
        Decimal("NaN"),
        Decimal("sNaN12"),
        Decimal("-Infinity"),
        Decimal("1E+9"),
    ],
    "uuid": uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF),
    "path": [Path("a/b"), Path("/"), Path("é")],
    "enum": [Colour.RED, Colour.BLUE, Colour.CRIMSON, Word.YES, Level.LOW],
    "flags": [Right.READ, Right.READ | Right.WRITE, Right(0), Bits.A | Bits.B, Bits(12)],
    "dataclass": [Point(1, [Point(2)]), Box([1])],
    "derived": Derived(1, 2),
    "nested class": Outer(Outer.Inner(1)),
    "pydantic": [Model(name="a", parts=[1]), Model(name=(1,))],
    "numpy": [np.arange(6, dtype="<f4").reshape(2, 3), np.array(5), np.int16(3), np.float64(-0.0), np.bool_(True)],
    "complex": [1j, complex(-0.0, math.nan)],
    "namedtuple": [Pair(1, [2]), Named(1), Named(1, 2)],
    "ordered": OrderedDict([("b", 1), (2, OrderedDict())]),
}
#: What a later version learned to carry.
NEW_VALUES: dict[str, Any] = {
    "time in a zone": [dt.time(1, 2, fold=1), dt.time(1, 2, 3, 4, tzinfo=PARIS, fold=1), dt.time(1, tzinfo=PARIS)],
    "pure paths": [PurePosixPath("a/b"), PureWindowsPath("c:/a\\b"), PurePosixPath()],
    "defaultdict": [defaultdict(list, {"a": [1]}), defaultdict(None, {2: 3}), defaultdict(int)],
    "counter": Counter("abca"),
    "deque": [deque([1, 2], maxlen=3), deque()],
    "range": [range(3), range(10**30, 0, -7)],
    "enum by name": Planet.EARTH,
    "pydantic, all of it": [model_with(), model_with(extra={1}, more=Model(name=1)), Root([1]), IntBox(content=1)],
    "pydantic dataclass": Checked(1),
    "registered": [Point3(1, (2, Point3())), {Fraction(1, 3): Fraction(2)}],
    "arrays": [
        np.zeros((0, 3)),
        np.array(["2026-01-02", "NaT"], "M8[s]"),
        np.array([1, -1], "m8[25us]"),
        np.arange(4, dtype=">i8")[::-2],
        np.zeros(3, STRUCTURED),
        np.zeros(3, STRUCTURED)[1],
        np.array(["a", "bc\0d"]),
        np.array([b"a\0b", b""]),
        np.array([1 + 2j], "c8"),
        np.array([np.nan, -0.0], "f2"),
    ],
    "array scalars": [np.str_("a\0"), np.bytes_(b"b\0"), np.datetime64("2026-01-02T03", "h"), np.complex64(1j)],
}
#: What earlier versions wrote in another form than this one does; their bytes stand in the golden file.
OLD_FORMS: dict[str, Any] = {
    "enum with its tuple": Size.SMALL,
    "pydantic, extra fields among the others": Rich(a=1, b="two", more=[3]),
    "array in the other order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text of numpy as an array": np.str_("ab"),
}
