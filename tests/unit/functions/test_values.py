"""What goes into steps and what comes out of them: recorded forms, each reader's own."""

from __future__ import annotations

import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from tests.unit.functions.lives import RAN, Lives, at_the_end, everywhere, lives

from orchestrator import ExecutionStatus, pipeline, step
from orchestrator.errors import ExecutionFailedError
from orchestrator.journal import events as ev

__all__ = ["lives"]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    BIG = 3


class Point(NamedTuple):
    x: int
    y: int


Pair = namedtuple("Pair", "a b")


@dataclass
class Trip:
    city: str
    nights: int = 1
    tags: list[str] = field(default_factory=list)
    colour: Colour = Colour.RED


VALUES: dict[str, Any] = {
    "none": None,
    "tuple": (1, ("a", [2])),
    "set": {3, 1, 2},
    "bytes": b"\x00\xff",
    "dict": {1: "a", "b": (2,), (3, 4): None},
    "time": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "date": date(2026, 1, 2),
    "span": timedelta(days=1, microseconds=3),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=7),
    "path": Path("a/b"),
    "enum": Colour.BLUE,
    "int_enum": Size.BIG,
    "named": Point(1, 2),
    "pair": Pair(1, [2]),
    "dataclass": Trip("oslo", 2, ["a"], Colour.BLUE),
    "big_int": 2**200,
    "float": float("inf"),
    "complex_text": "a\x00ü\U0001f600",
    "nested": [[[{"a": [1, (2, {3})]}]]],
    "large": ["x" * 70_000, b"y" * 70_000],
    "deep_large": {"a": {"b": [list(range(9_000)), "z" * 70_000]}},
}


@step
async def gives(name: str) -> Any:
    RAN.append(name)
    return VALUES[name]


@step
def gives_plainly(name: str) -> Any:
    return VALUES[name]


@step
async def takes(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def form(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@pipeline
async def tells(names: list[str]) -> list[Any]:
    found = []
    for name in names:
        value, other, third = await gives(name), gives_plainly(name), await gives_plainly.aio(name)
        found.append((name, {form(value), form(other), form(third), await takes(value)}, value))
    return found


@pipeline
def tells_plainly(names: list[str]) -> list[Any]:
    found = []
    for name in names:
        value, other = gives.wait(name), gives_plainly(name)
        found.append((name, {form(value), form(other), takes.wait(value)}, value))
    return found


@pytest.mark.parametrize("function", [tells, tells_plainly])
def test_a_value_is_of_the_same_type_in_the_first_life_and_in_every_later_one(function: Any) -> None:
    assert at_the_end(function, [*VALUES]) == [(name, {form(value)}, value) for name, value in VALUES.items()]


@step
async def spoils(rows: list[int], more: dict[str, Any]) -> int:
    rows.append(9)
    more["spoilt"] = True
    return len(rows)


@step
def spoils_plainly(rows: list[int]) -> int:
    rows.clear()
    return 0


@pipeline
async def passes_on() -> list[Any]:
    rows, more = [1, 2], {"a": [1]}
    found = [await spoils(rows, more=more), await spoils(rows, more), await spoils_plainly.aio(rows)]
    spoils_plainly(rows)
    return [*found, rows, more]


def test_what_a_step_changes_of_its_arguments_nobody_else_sees() -> None:
    assert everywhere(passes_on) == [3, 3, 0, [1, 2], {"a": [1]}]


@step(retry={"max_attempts": 3, "initial_delay": 0})
async def spoils_and_fails(rows: list[int]) -> int:
    rows.append(0)
    RAN.append(len(rows))
    if len(RAN) < 3:
        raise ConnectionError("again")
    return len(rows)


@pipeline
async def tries() -> int:
    return await spoils_and_fails([1])


def test_each_attempt_has_arguments_of_its_own(lives: Lives) -> None:
    assert lives.result(tries) == 2
    assert RAN == [2, 2, 2]


@pipeline
async def changes_afterwards() -> list[Any]:
    rows = [1]
    call = takes(rows)
    rows.append(2)
    return [await call, rows]


def test_arguments_are_those_of_when_the_step_is_called(lives: Lives) -> None:
    """As for any coroutine the list is the caller's until it is awaited; the step sees one state of it."""
    text, rows = lives.result(changes_afterwards)
    assert text in ("list [1]", "list [1, 2]")
    assert rows == [1, 2]


@step
async def shared() -> dict[str, list[int]]:
    return {"a": [1]}


@pipeline
async def changes_outputs() -> list[Any]:
    first = await shared()
    first["a"].append(2)
    again = await shared()
    return [first, again]


def test_an_output_is_the_readers_own() -> None:
    assert everywhere(changes_outputs) == [{"a": [1, 2]}, {"a": [1]}]


class Client:
    """A connection: it cannot be recorded, nor copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0


@step
async def uses(client: Client, name: str) -> str:
    client.calls += 1
    return name.upper()


@pipeline
async def with_client() -> list[Any]:
    client = Client()
    return [await uses(client, "a"), await uses(client, "b"), client.calls <= 2]


def test_an_argument_that_cannot_be_recorded_is_passed_as_it_is() -> None:
    assert everywhere(with_client) == ["A", "B", True]


@step
async def opens() -> Any:
    return threading.Lock()


@pipeline
async def keeps_lock() -> Any:
    await opens()


@pipeline
def keeps_lock_plainly() -> Any:
    opens.wait()


@pytest.mark.parametrize("function", [keeps_lock, keeps_lock_plainly])
def test_an_output_that_cannot_be_recorded_fails_its_step_and_says_what_it_is(lives: Lives, function: Any) -> None:
    result = lives.run(function)
    assert result.status is ExecutionStatus.FAILED
    assert result.failed_step == "opens"
    assert result.error is not None
    assert "lock" in result.error["message"]


@pipeline
async def returns_lock() -> Any:
    return threading.Lock()


def test_a_result_that_cannot_be_recorded_fails_the_execution(lives: Lives) -> None:
    with pytest.raises(ExecutionFailedError, match="lock"):
        lives.result(returns_lock)


def test_an_input_that_cannot_be_recorded_is_refused_before_anything_ran(lives: Lives) -> None:
    from orchestrator.errors import EncodeError

    with pytest.raises(EncodeError):
        lives.run(tells, threading.Lock())


@pipeline
async def many_inputs(first: Trip, /, second: Any, *rest: int, key: Colour = Colour.RED, **more: Any) -> Any:
    return [first.city, second, list(rest), key, await takes(more)]


def test_arguments_of_every_kind_come_to_the_function_in_every_life() -> None:
    found = everywhere(many_inputs, Trip("oslo"), (1, 2), 3, 4, key=Colour.BLUE, extra=[1])
    assert found == ["oslo", (1, 2), [3, 4], Colour.BLUE, "dict {'extra': [1]}"]


def test_a_large_value_is_kept_beside_the_journal(lives: Lives) -> None:
    lives.result(tells, ["large"])
    [succeeded] = [event for event in lives.history(ev.StepSucceeded) if event.key == "gives"]
    assert len(succeeded.output.data) < 2000


@pipeline
async def map_of_points() -> Any:
    return await takes.map([Point(1, 2), Trip("a"), OrderedDict(a=1)], max_parallel=1)


def test_the_items_of_a_map_keep_their_types(lives: Lives) -> None:
    found = lives.result(map_of_points)
    assert found[0] == "Point Point(x=1, y=2)"
    assert found[1].startswith("Trip Trip(city='a'")
