"""What annotations say of an output before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple, NotRequired, Optional, TypedDict, Union

import pytest
from pydantic import BaseModel, ConfigDict

from orchestrator.pipelines.shapes import Shape, shape_of


class Row(TypedDict):
    day: str
    rain: NotRequired[float]


@dataclass
class Summary:
    mean: float

    @property
    def rounded(self) -> int:
        return round(self.mean)

    def method(self) -> None: ...


class Point(NamedTuple):
    x: int
    y: int


class Model(BaseModel):
    name: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


ROW = Shape(frozenset({"day", "rain"}))


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (Row, ROW),
        (Summary, Shape(frozenset({"mean", "rounded"}))),
        (Point, Shape(frozenset({"x", "y"}))),
        (Model, Shape(frozenset({"name"}))),
        (Open, None),
        (list[Row], Shape(item=ROW)),
        (Sequence[Row], Shape(item=ROW)),
        (tuple[Row, ...], Shape(item=ROW)),
        (list[list[Row]], Shape(item=Shape(item=ROW))),
        (list[Any], Shape(item=Shape())),
        (list, Shape(item=Shape())),
        (Row | None, ROW),
        (Optional[Row], ROW),  # noqa: UP045
        (Annotated[Row, "note"], ROW),
        (Union[Row, Point], None),  # noqa: UP007
        (tuple[Row, Point], None),
        (dict[str, Row], None),
        (Mapping[str, Any], None),
        (Iterator[Row], None),
        (str, None),
        (int, None),
        (Any, None),
        (None, None),
    ],
)
def test_annotations(annotation: Any, shape: Shape | None) -> None:
    assert shape_of(annotation) == shape


def gives_rows() -> list[Row]:
    return []


async def gives_later() -> Row:
    return {"day": ""}


def says_nothing():  # type: ignore[no-untyped-def]
    return 1


def says_the_unknown() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return 1


def test_functions() -> None:
    assert shape_of(gives_rows) == Shape(item=ROW)
    assert shape_of(gives_later) == ROW
    assert shape_of(says_nothing) is None
    assert shape_of(says_the_unknown) is None
    assert shape_of(partial(gives_rows)) is None
    assert shape_of(len) is None


def test_an_annotation_is_never_run_as_code() -> None:
    assert shape_of("__import__('os').system('false')") is None
