"""Durable functions that are measured, and the same as pipelines with declared steps; every step does next to nothing.

The size is what is counted: steps, items or child pipelines.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from typing import Any

from orchestrator import Pipeline, Step, flow, pipeline, step, wait_for_signal

#: When `reach` was begun, each time (`time.perf_counter`).
REACHED: list[float] = []
#: The bytes that were held when `weigh` was called, each time; counted while tracemalloc runs.
WEIGHED: list[int] = []
#: Steps of a task, where tasks go side by side.
TEN = 10


async def bare_async(x: int) -> int:
    return x + 1


def bare(x: int) -> int:
    return x + 1


async def bare_reach(x: int) -> int:
    REACHED.append(time.perf_counter())
    return x


async def bare_weigh(x: int) -> int:
    gc.collect()
    WEIGHED.append(tracemalloc.get_traced_memory()[0])
    return x


add_async = step(bare_async)
add = step(bare)
reach = step(bare_reach)
weigh = step(bare_weigh)

# ---------------------------------------------------------------- functions


@pipeline
async def awaited(size: int) -> int:
    value = 0
    for _ in range(size):
        value = await add_async(value)
    return value


@pipeline
async def in_place(size: int) -> int:
    value = 0
    for _ in range(size):
        value = add(value)
    return value


@pipeline
async def in_thread(size: int) -> int:
    value = 0
    for _ in range(size):
        value = await add.aio(value)
    return value


@pipeline
def plain(size: int) -> int:
    value = 0
    for _ in range(size):
        value = add(value)
    return value


@pipeline
def plain_waits(size: int) -> int:
    value = 0
    for _ in range(size):
        value = add_async.wait(value)
    return value


@pipeline
async def gathered(size: int) -> int:
    return len(await asyncio.gather(*(add_async(number) for number in range(size))))


@pipeline
async def side_by_side(size: int) -> int:
    """Tasks of ten steps each."""

    async def task(number: int) -> int:
        async with flow(f"t{number}"):
            value = 0
            for _ in range(TEN):
                value = await add_async(value)
        return value

    return sum(await asyncio.gather(*(task(number) for number in range(size // TEN))))


@pipeline
async def mapped(size: int) -> int:
    return len(await add_async.map(range(size)))


@pipeline
def plain_mapped(size: int) -> int:
    return len(add.map(range(size)))


@pipeline
async def child(x: int) -> int:
    return await add_async(x)


@pipeline
async def children(size: int) -> int:
    value = 0
    for _ in range(size):
        value = await child(value)
    return value


@pipeline
async def children_gathered(size: int) -> int:
    return len(await asyncio.gather(*(child(number) for number in range(size))))


@pipeline
async def stopped(size: int) -> int:
    value = 0
    for _ in range(size):
        value = await add_async(value)
    await wait_for_signal("go")
    return await reach(value)


@pipeline
def plain_stopped(size: int) -> int:
    value = 0
    for _ in range(size):
        value = add(value)
    wait_for_signal("go")
    return reach.wait(value)


@pipeline
async def weighed(size: int) -> int:
    value = await weigh(0)
    for _ in range(size):
        value = await add_async(value)
    return await weigh(value)


# ---------------------------------------------------------------- declared


def declared_chain(size: int, call: Any = bare_async) -> Pipeline:
    """Each step takes a number from the one before."""
    return Pipeline(pipeline="chain", steps=_chain(size, call), outputs={"result": f"${{s{size - 1}}}"})


def declared_plain(size: int) -> Pipeline:
    """The same with a `def`."""
    return declared_chain(size, bare)


def declared_fan(size: int, call: Any = bare_async) -> Pipeline:
    """A step for each item."""
    many = Step(id="many", for_each=f"${{range({size})}}", as_="i", call=call, with_={"x": "${i}"})
    return Pipeline(pipeline="fan", steps=[many], outputs={"result": "${many | length}"})


def declared_plain_fan(size: int) -> Pipeline:
    """The same with a `def`."""
    return declared_fan(size, bare)


def declared_side_by_side(size: int) -> Pipeline:
    """Chains of ten steps, for as many items."""
    body = Step(
        id="chains",
        for_each=f"${{range({size // TEN})}}",
        as_="i",
        steps=_chain(TEN, bare_async),
        output=f"${{s{TEN - 1}}}",
    )
    return Pipeline(pipeline="side", steps=[body], outputs={"result": "${chains | sum}"})


def declared_children(size: int) -> Pipeline:
    """A pipeline of one step, again and again."""
    first = Step(id="c0", pipeline="child", with_={"x": 0})
    rest = [Step(id=f"c{n}", pipeline="child", with_={"x": f"${{c{n - 1}.y}}"}) for n in range(1, size)]
    outputs = {"result": f"${{c{size - 1}.y}}"}
    return Pipeline(pipeline="children", steps=[first, *rest], pipelines={"child": _child()}, outputs=outputs)


def declared_children_fan(size: int) -> Pipeline:
    """A pipeline of one step for each item."""
    many = Step(id="many", for_each=f"${{range({size})}}", as_="i", pipeline="child", with_={"x": "${i}"})
    outputs = {"result": "${many | length}"}
    return Pipeline(pipeline="children", steps=[many], pipelines={"child": _child()}, outputs=outputs)


def declared_stopped(size: int) -> Pipeline:
    """A chain, a signal, one step more."""
    last = f"s{size - 1}"
    more = [
        Step(id="wait", signal="go", needs=[last]),
        Step(id="reach", call=bare_reach, with_={"x": f"${{{last}}}"}, needs=["wait"]),
    ]
    return Pipeline(pipeline="stopped", steps=[*_chain(size, bare_async), *more])


def declared_weighed(size: int) -> Pipeline:
    """A chain between two weighings."""
    first, *rest = _chain(size + 1, bare_async)
    last = Step(id="last", call=bare_weigh, with_={"x": f"${{s{size}}}"})
    return Pipeline(pipeline="weighed", steps=[Step(id=first.id, call=bare_weigh, with_={"x": 0}), *rest, last])


def _chain(size: int, call: Any) -> list[Step]:
    first = Step(id="s0", call=call, with_={"x": 0})
    return [first, *(Step(id=f"s{n}", call=call, with_={"x": f"${{s{n - 1}}}"}) for n in range(1, size))]


def _child() -> Pipeline:
    body = Step(id="a", call=bare_async, with_={"x": "${x}"})
    return Pipeline(pipeline="child", inputs={"x": {"type": "integer"}}, steps=[body], outputs={"y": "${a}"})
