"""Calls of steps: where they are plain calls, and the keys that they have where they are recorded."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, everywhere, lives

from orchestrator import ExecutionStatus, current_attempt, flow, pipeline, step
from orchestrator.errors import ConcurrentNameError, ExecutionFailedError, InputError
from orchestrator.functions import AsyncStep, SyncStep

__all__ = ["lives"]


@step
async def fetch(city: str) -> str:
    """Fetch a city."""
    RAN.append(("fetch", city))
    return city.upper()


@step
def parse(text: str) -> int:
    RAN.append(("parse", text))
    return len(text)


@step
async def both(city: str) -> int:
    return parse(await fetch(city))


# -- plain calls -----------------------------------------------------------------------------------------------------


def test_outside_of_a_pipeline_a_step_is_the_function_that_it_was() -> None:
    assert parse("abc") == 3
    assert asyncio.run(fetch("oslo")) == "OSLO"
    assert asyncio.run(both("oslo")) == 4
    assert parse.map(["a", "bb"]) == [1, 2]
    assert asyncio.run(fetch.map(["a", "b"])) == ["A", "B"]
    assert asyncio.run(parse.aio("abc")) == 3
    assert asyncio.run(parse.amap(["a", "bb"])) == [1, 2]
    assert parse.with_key("k")("abc") == 3


def test_a_step_keeps_the_name_and_the_doc_of_its_function() -> None:
    assert (vars(fetch)["__name__"], fetch.__doc__) == ("fetch", "Fetch a city.")
    assert isinstance(fetch, AsyncStep)
    assert isinstance(parse, SyncStep)
    assert repr(fetch) == "<step fetch>"


def test_outside_of_a_pipeline_a_pipeline_is_the_function_that_it_was() -> None:
    assert asyncio.run(travel("oslo")) == 4
    assert plain_travel("oslo") == 4


@pipeline
async def travel(city: str) -> int:
    return parse(await fetch(city))


@pipeline
def plain_travel(city: str) -> int:
    return parse(city)


@pipeline
async def nests(city: str) -> int:
    return await both(city)


def test_a_step_inside_of_a_step_is_a_plain_call(lives: Lives) -> None:
    assert lives.result(nests, "oslo") == 4
    assert lives.ended() == ["both"]


@step
def reads_in_thread(text: str) -> int:
    return parse(text)


@pipeline
def plain_nests(text: str) -> list[int]:
    return [reads_in_thread(text), *reads_in_thread.map([text])]


def test_a_step_inside_of_a_step_of_a_plain_pipeline_is_a_plain_call(lives: Lives) -> None:
    assert lives.result(plain_nests, "oslo") == [4, 4]
    assert lives.ended() == ["reads_in_thread", "reads_in_thread#2[0]", "reads_in_thread#2"]


# -- keys ------------------------------------------------------------------------------------------------------------


@pipeline
async def child(city: str) -> str:
    return await fetch(city) + await fetch(city)


@pipeline
async def repeats(city: str) -> list[str]:
    gathered = await asyncio.gather(fetch(city), fetch("b"))
    return [*gathered, await child(city), await child(city), *await fetch.map(["x", "y"])]


def test_keys_say_where_and_how_often_a_step_was_called(lives: Lives) -> None:
    assert lives.result(repeats, "a") == ["A", "B", "AA", "AA", "X", "Y"]
    wanted = "fetch fetch#2 child/fetch child/fetch#2 child child#2/fetch child#2/fetch#2 child#2"
    assert lives.ended()[:8] == wanted.split()
    assert sorted(lives.ended()[8:]) == ["fetch#3", "fetch#3[0]", "fetch#3[1]"]


def test_repeats_come_to_the_same_wherever_the_engine_dies() -> None:
    everywhere(repeats, "a")


@pipeline
async def awaited_backwards() -> list[str]:
    first, second = fetch("a"), fetch("b")
    return [await second, await first]


def test_a_key_is_given_when_a_step_is_called_not_when_it_is_awaited(lives: Lives) -> None:
    lives.result(awaited_backwards)
    assert lives.ended() == ["fetch#2", "fetch"]


@step(key="{city}")
async def keyed(city: str, days: int = 2) -> str:
    return city


@step(key="{city}/{days}")
async def two(city: str, days: int = 2) -> str:
    return city


@step(key=lambda city, *rest: f"{city}-{len(rest)}")
async def called(city: str, *rest: str) -> str:
    return city


@step(name="other-name")
async def named(city: str) -> str:
    return city


ODD = "a/b c.d[1]#2:ü%\n"


@pipeline
async def keys() -> list[str]:
    async def one(city: str) -> list[str]:
        return [await keyed(city), await two(city, days=3), await called(city, "x"), await fetch.with_key(city)(city)]

    found = await asyncio.gather(one("oslo"), one(ODD))
    return [*found[0], *found[1], await named("n"), await keyed("rome"), await keyed("rome")]


def test_a_step_with_a_key_of_its_own_is_known_by_that(lives: Lives) -> None:
    assert lives.result(keys) == ["oslo"] * 3 + ["OSLO"] + [ODD] * 3 + [ODD.upper(), "n", "rome", "rome"]
    assert {"keyed:oslo", "two:oslo%2F3", "called:oslo-1", "fetch:oslo"} <= set(lives.ended())
    assert lives.ended()[-3:] == ["other-name", "keyed:rome", "keyed:rome#2"]


def test_odd_keys_come_to_the_same_wherever_the_engine_dies() -> None:
    everywhere(keys)


def test_keys_that_differ_in_odd_characters_are_different_keys(lives: Lives) -> None:
    odd = ["a/b", "a%2Fb", "a.b", "a[0]", "a#2", "a:b", "#2", ".", "..", "[0]", "a\x00", "a ", " a", "ä", "a\u0308"]

    @pipeline
    async def many() -> list[str]:
        return [await fetch.with_key(key)(key) for key in odd]

    assert lives.result(many) == [key.upper() for key in odd]
    assert len(set(lives.ended())) == len(odd)
    RAN.clear()
    assert lives.app(many).check_replay("x").ok
    assert lives.app(many).fork("x", from_step=lives.ended()[3])


def test_a_key_that_is_empty_is_refused(lives: Lives) -> None:
    @pipeline
    async def empty() -> str:
        return await fetch.with_key("")("oslo")

    with pytest.raises(ExecutionFailedError, match="its key is empty"):
        lives.result(empty)


def test_a_key_that_names_no_parameter_says_what_to_write(lives: Lives) -> None:
    @step(key="{town}")
    async def wrong(city: str) -> str:
        return city

    @pipeline
    async def asks() -> str:
        return await wrong("oslo")

    with pytest.raises(ExecutionFailedError, match=r"write \{parameter\}"):
        lives.result(asks)


# -- one name in two tasks -------------------------------------------------------------------------------------------


@pipeline
async def gathers() -> list[str]:
    async def one(city: str) -> str:
        return await fetch(city)

    return [*await asyncio.gather(one("a"), one("b"))]


@pipeline
async def in_group() -> list[str]:
    async def one(city: str) -> str:
        return await fetch(city)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(city)) for city in "ab"]
    return [task.result() for task in tasks]


@pipeline
def in_threads() -> list[str]:
    found: list[Any] = []
    both_are_there = threading.Barrier(2)

    def one(city: str) -> None:
        both_are_there.wait(10)
        try:
            found.append(fetch.wait(city))
        except ConcurrentNameError as exc:
            found.append(exc)
        both_are_there.wait(10)

    threads = [threading.Thread(target=copy_context().run, args=(one, city)) for city in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raise next(one for one in found if isinstance(one, Exception))


@pipeline
def in_threads_one_by_one() -> None:
    raised: list[ConcurrentNameError] = []

    def one(city: str) -> None:
        try:
            fetch.wait(city)
        except ConcurrentNameError as exc:
            raised.append(exc)

    for city in "ab":
        thread = threading.Thread(target=copy_context().run, args=(one, city))
        thread.start()
        thread.join()
    raise raised[0]


@pytest.mark.parametrize("function", [gathers, in_group, in_threads, in_threads_one_by_one])
def test_one_name_in_two_tasks_fails_at_the_first_run_and_says_what_to_write(lives: Lives, function: Any) -> None:
    result = lives.run(function)
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None
    told = repr(result.error)
    assert "with_key" in told
    assert "test_calls.py:" in told


@pipeline
async def flows() -> list[Any]:
    async def one(name: str) -> list[str]:
        async with flow(name):
            return [await fetch(name), await fetch(name + "2"), await child(name)]

    found = await asyncio.gather(one("left"), one("right"))
    with flow("last"):
        return [*found, await fetch("z")]


def test_a_flow_has_names_of_its_own(lives: Lives) -> None:
    assert lives.result(flows) == [["LEFT", "LEFT2", "LEFTLEFT"], ["RIGHT", "RIGHT2", "RIGHTRIGHT"], "Z"]
    wanted = "left:child left:child/fetch left:child/fetch#2 left:fetch left:fetch#2"
    assert sorted(key for key in lives.ended() if key.startswith("left")) == wanted.split()
    assert lives.ended()[-1] == "last:fetch"


def test_flows_come_to_the_same_wherever_the_engine_dies() -> None:
    everywhere(flows)


def test_a_flow_inside_of_a_flow_adds_its_name(lives: Lives) -> None:
    @pipeline
    def deep() -> str:
        with flow("a"), flow("b/c"):
            return fetch.wait("x") + str(parse("y"))

    assert lives.result(deep) == "X1"
    assert lives.ended() == ["a:b%2Fc:fetch", "a:b%2Fc:parse"]


def test_a_flow_without_a_name_and_one_outside_of_a_pipeline_are_refused() -> None:
    with pytest.raises(InputError, match="the name of a flow"):
        flow("")
    with pytest.raises(InputError, match="@pipeline"), flow("a"):
        pass


# -- what a step knows -----------------------------------------------------------------------------------------------


@step
async def tells() -> list[Any]:
    info = current_attempt()
    assert info is not None
    return [info.execution_id, info.step_key, info.attempt, info.generation, info.idempotency_key]


@step
def tells_plainly() -> list[Any]:
    info = current_attempt()
    assert info is not None
    return [info.step_key, info.idempotency_key]


@pipeline
async def asks() -> list[Any]:
    return [*await tells(), *tells_plainly(), *await tells_plainly.aio()]


def test_a_step_knows_its_key_and_its_idempotency_key(lives: Lives) -> None:
    assert lives.result(asks) == [
        *("x", "tells", 1, 1, "x/tells/1"),
        *("tells_plainly", "x/tells_plainly/1"),
        *("tells_plainly#2", "x/tells_plainly#2/1"),
    ]


# -- map -------------------------------------------------------------------------------------------------------------


@step
async def halves(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    RAN.append(number)
    return number // 2


@pipeline
async def maps(numbers: list[int], policy: Any = "stop") -> Any:
    try:
        return await halves.map(numbers, max_parallel=2, on_item_failure=policy)
    except ValueError as exc:
        return str(exc)


def test_a_map_gives_its_results_in_the_order_of_the_items(lives: Lives) -> None:
    assert lives.result(maps, [8, 2, 6]) == [4, 1, 3]


def test_a_map_of_nothing_is_nothing(lives: Lives) -> None:
    assert lives.result(maps, []) == []


def test_the_first_item_that_fails_fails_the_map_with_its_exception(lives: Lives) -> None:
    assert lives.result(maps, [8, 3, 6]) == "3 is odd"


def test_a_map_that_collects_tells_of_each_item(lives: Lives) -> None:
    found = lives.result(maps, [8, 3], "collect")
    assert found[0]["value"] == 4
    assert [item["ok"] for item in found] == [True, False]
    assert found[1]["error"]["message"] == "ValueError: 3 is odd"


def test_maps_come_to_the_same_wherever_the_engine_dies() -> None:
    assert everywhere(maps, [8, 2, 6]) == [4, 1, 3]
    assert everywhere(maps, [8, 3, 6]) == "3 is odd"
    assert len(everywhere(maps, [8, 2, 6], "collect")) == 3


def test_a_map_takes_at_least_one_at_a_time() -> None:
    @pipeline
    async def none() -> Any:
        return await halves.map([1], max_parallel=0)

    with pytest.raises(ExecutionFailedError, match="max_parallel is at least 1"):
        Lives().result(none)
