"""The steps of random programs. Each gives its key; it fails in its first `fail` attempts, all of them where it is to.

`number` is that of the statement, so that a step which runs outside of its execution is seen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.machine.functions.world import Boom, World, the_world, where

from orchestrator import step

#: How often a step fails that is to fail for good.
ALWAYS = 99


@step
async def work(number: int, fail: int = 0, delay: float = 0.0) -> str:
    """On the loop."""
    return await _at_work("work", number, fail, delay)


@step(retry=3)
async def retried(number: int, fail: int = 0, delay: float = 0.0) -> str:
    """Tried three times."""
    return await _at_work("retried", number, fail, delay)


@step(on_error={"strategy": "skip", "output": "skipped"})
async def skipped(number: int, fail: int = 0, delay: float = 0.0) -> str:
    """Left out where it fails."""
    return await _at_work("skipped", number, fail, delay)


@step
def quick(number: int, fail: int = 0) -> str:
    """A plain function."""
    return _quickly("quick", number, fail)


@step(retry=3)
def quick_retried(number: int, fail: int = 0) -> str:
    """A plain function, tried three times."""
    return _quickly("quick_retried", number, fail)


@step
async def hangs() -> None:
    """Does not end by itself."""
    await asyncio.get_running_loop().create_future()


@step
async def each(item: list[int]) -> list[Any]:
    """One item: [statement, its number, how many may run at once, whether it fails]."""
    with _item(item):
        await the_world().clock.sleep(item[1] % 3)
        return _item_value(item)


@step
def quick_each(item: list[int]) -> list[Any]:
    """One item, in a plain function."""
    with _item(item):
        return _item_value(item)


@step
async def generation() -> int:
    """Which generation of it this is."""
    return where()[1]


@step
def quick_generation() -> int:
    """The same, of a plain function."""
    return where()[1]


async def _at_work(name: str, number: int, fail: int, delay: float) -> str:
    with _witnessed(name, number) as (world, key, attempt):
        if delay:
            await world.clock.sleep(delay)
        return _outcome(number, fail, key, attempt)


def _quickly(name: str, number: int, fail: int) -> str:
    with _witnessed(name, number) as (_, key, attempt):
        return _outcome(number, fail, key, attempt)


def _outcome(number: int, fail: int, key: str, attempt: int) -> str:
    if attempt <= fail:
        raise Boom(f"boom {number}")
    return key


def _item_value(item: list[int]) -> list[Any]:
    if item[3]:
        raise Boom(f"boom {item[0]}.{item[1]}")
    return [where()[0], item[1]]


@contextmanager
def _witnessed(name: str, number: int) -> Iterator[tuple[World, str, int]]:
    world, (key, generation_, attempt) = the_world(), where()
    if not re.search(rf"(?:^|[/:]){name}(?:[#:][^/]*)?$", key):
        world.faults.append(f"step {name} of statement {number} runs as a part of {key}")
    world.enter(key, generation_, attempt, None)
    phase = "cancelled"
    try:
        yield world, key, attempt
        phase = "end"
    except Boom:
        phase = "fail"
        raise
    finally:
        world.leave(key, generation_, attempt, phase)


@contextmanager
def _item(item: list[int]) -> Iterator[None]:
    world = the_world()
    key, generation_, attempt = where()
    loop = key.rpartition("[")[0]
    world.enter(key, generation_, attempt, None)
    world.items[loop] += 1
    if item[2] and world.items[loop] > item[2]:
        world.faults.append(f"more than {item[2]} items of {loop} run at once")
    try:
        yield
    finally:
        world.items[loop] -= 1
        world.leave(key, generation_, attempt, "end")
