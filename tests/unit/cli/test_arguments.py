"""Arguments of a durable function: read from texts and from data by the annotations of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from orchestrator.cli.arguments import bind_arguments, parameters_of
from orchestrator.errors import InputError


class Colour(Enum):
    RED = "red"
    TWO = 2


@dataclass
class Guest:
    name: str
    age: int = 30


class Room(BaseModel):
    beds: int
    price: Decimal = Decimal("9.50")


ID = UUID("12345678-1234-5678-1234-567812345678")


def bound(annotation: Any, text: str) -> Any:
    """What a text is read as by a parameter with this annotation."""

    def function(it): ...

    function.__annotations__["it"] = annotation
    return bind_arguments(function, {"it": text}, {})["it"]


def taken(annotation: Any, value: Any) -> Any:
    """What data of a file are read as."""

    def function(it): ...

    function.__annotations__["it"] = annotation
    return bind_arguments(function, {}, {"it": value})["it"]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "5", 5),
        (float, "5", 5.0),
        (float, "nan", pytest.approx(float("nan"), nan_ok=True)),
        (bool, "yes", True),
        (bool, "false", False),
        (str, "5", "5"),
        (str, '"x"', '"x"'),
        (str, "", ""),
        (str | None, "5", "5"),
        (int | None, "5", 5),
        (int | None, "null", None),
        (int | None, "", None),
        (int | str, "5", 5),
        (int | str, "five", "five"),
        (date, "2026-01-02", date(2026, 1, 2)),
        (datetime, "2026-01-02T03:04", datetime(2026, 1, 2, 3, 4)),
        (timedelta, "90s", timedelta(seconds=90)),
        (timedelta, "90", timedelta(seconds=90)),
        (timedelta, "PT5M", timedelta(minutes=5)),
        (timedelta | None, "1h30m", timedelta(minutes=90)),
        (Decimal, "1.50", Decimal("1.50")),
        (UUID, ID.hex, ID),
        (Colour, "red", Colour.RED),
        (Colour, "RED", Colour.RED),
        (Colour, "2", Colour.TWO),
        (Colour | None, "TWO", Colour.TWO),
        (Literal["a", 2], "a", "a"),
        (Literal["a", 2], "2", 2),
        (list[int], "[1, 2]", [1, 2]),
        (list[str], "[a, b]", ["a", "b"]),
        (dict[str, date], '{"from": "2026-01-02"}', {"from": date(2026, 1, 2)}),
        (set[int], "[1, 1]", {1}),
        (tuple[int, str], '[1, "x"]', (1, "x")),
        (Guest, '{"name": "Ann"}', Guest("Ann")),
        (list[Guest], "[{name: Ann, age: 4}]", [Guest("Ann", 4)]),
        (Room, '{"beds": 2}', Room(beds=2)),
        (Annotated[int, Field(gt=0)], "3", 3),
        (Any, "{a: 1}", {"a": 1}),
        (object, "5", 5),
        ("Ghost", "[1]", [1]),
        ("list[Nowhere]", "x", "x"),
    ],
)
def test_a_text_is_read_by_the_annotation(annotation: Any, text: str, value: Any) -> None:
    read = bound(annotation, text)
    assert read == value
    assert type(read) is type(value) or isinstance(value, type(pytest.approx(1)))


def test_paths_are_seen_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bound(Path, "data/x.csv") == tmp_path / "data/x.csv"
    assert bound(Path | None, "data/x.csv") == tmp_path / "data/x.csv"
    assert taken(Path, "/etc/x") == Path("/etc/x")


@pytest.mark.parametrize(
    ("annotation", "text", "told"),
    [
        (int, "two", "input 'it' expects int, got 'two'"),
        (int, "5.5", "input 'it' expects int, got '5.5'"),
        (int, "true", "input 'it' expects int, got 'true'"),
        (bool, "maybe", "input 'it' expects bool, got 'maybe'"),
        (date | None, "soon", "input 'it' expects date | None, got 'soon'"),
        (timedelta, "fast", "input 'it' expects timedelta, got 'fast'"),
        (Colour, "blue", "input 'it' expects 'red' or 2, got 'blue'"),
        (Literal["a", "b"], "c", "input 'it' expects 'a' or 'b', got 'c'"),
        (list[int], "5", "input 'it' expects list[int], got '5'"),
        (
            list[int],
            '[1, "2"]',
            "input 'it' expects list[int], got '[1, \"2\"]'; at [1]: input should be a valid integer, got '2'",
        ),
        (Guest, "{}", "input 'it' expects Guest, got '{}'; at name: field required"),
        (
            list[Guest],
            "[{name: Bob, age: old}]",
            "input 'it' expects list[Guest], got '[{name: Bob, age: old}]'; at [0].age: input should be a valid "
            "integer, got 'old'",
        ),
        (Annotated[int, Field(gt=0)], "-1", "input 'it' expects int, got '-1'; input should be greater than 0"),
        (int | list[int], "x", "input 'it' expects int | list[int], got 'x'"),
        (Any, "{a", "input 'it' cannot be read as YAML: "),
    ],
)
def test_a_text_that_does_not_fit_is_told_with_what_is_expected(annotation: Any, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        bound(annotation, text)
    assert str(caught.value) == told or (told.endswith(": ") and str(caught.value).startswith(told))


@pytest.mark.parametrize(
    ("annotation", "value", "read"),
    [
        (int, 5, 5),
        (float, 5, 5.0),
        (str, "5", "5"),
        (date, "2026-01-02", date(2026, 1, 2)),
        (timedelta, "5m", timedelta(minutes=5)),
        (timedelta, 90, timedelta(seconds=90)),
        (list[Guest], [{"name": "Ann"}], [Guest("Ann")]),
        (Any, {"a": [1]}, {"a": [1]}),
    ],
)
def test_data_of_a_file_keep_their_types(annotation: Any, value: Any, read: Any) -> None:
    assert taken(annotation, value) == read
    assert type(taken(annotation, value)) is type(read)


@pytest.mark.parametrize(("annotation", "value"), [(int, "5"), (int, True), (bool, 1), (str, 5), (list[int], ["1"])])
def test_data_of_a_file_of_another_type_are_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(InputError, match="input 'it' expects"):
        taken(annotation, value)


def test_every_fault_is_told_at_once() -> None:
    def book(city: str, nights: int = 2, *, when): ...

    with pytest.raises(InputError) as caught:
        bind_arguments(book, {"nights": "two", "cty": "x"}, {})
    assert str(caught.value).splitlines() == [
        "input 'nights' expects int, got 'two'",
        "the pipeline has no input 'cty'; did you mean 'city'?",
        "input 'city' (str) is required; give it with -i city=…",
        "input 'when' is required; give it with -i when=…",
    ]
    with pytest.raises(InputError, match="it has none"):
        bind_arguments(lambda: None, {"x": "1"}, {})


def test_texts_override_data_and_defaults_are_left_to_the_function() -> None:
    def book(city: str, nights: int = 2): ...

    assert bind_arguments(book, {"city": "Oslo"}, {"city": "Rome"}) == {"city": "Oslo"}


def test_more_arguments_by_position_and_by_name() -> None:
    def book(*cities: str, **nights: int): ...

    assert bind_arguments(book, {"cities": '["Oslo"]', "rome": "3"}, {}) == {"cities": ["Oslo"], "rome": 3}
    with pytest.raises(InputError, match="input 'rome' expects int"):
        bind_arguments(book, {"rome": "x"}, {})


def test_what_a_parameter_is_said_to_take() -> None:
    def book(city: str, day: date | None = None, colour: Colour = Colour.RED, *more: int, **rest): ...

    shown = {p.shown: (p.expects, *p.about()) for p in parameters_of(book).values()}
    assert shown == {
        "city": ("str", "required"),
        "day": ("date | None", "default null"),
        "colour": ("'red' or 2", "default red"),
        "*more": ("list[int]",),
        "**rest": ("any",),
    }
