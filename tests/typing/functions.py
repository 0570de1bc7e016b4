"""What a type checker knows of durable functions: `make lint` checks this file, and nothing runs it.

`assert_type` fails where a type is lost. Each ignored line is an error that has to be found: where it is not found any
more, the ignore is an error itself.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from random import Random
from typing import assert_type
from uuid import UUID

import orchestrator
from orchestrator import (
    ExecutionResult,
    Handle,
    arun,
    as_completed,
    current_attempt,
    flow,
    now,
    patched,
    pipeline,
    random,
    resume,
    run,
    start,
    start_child,
    step,
    uuid,
    variables,
)
from orchestrator.execution.variables import VariableManager


@step
async def fetch(city: str, tries: int = 1) -> str:
    return city * tries


@step(retry=3, timeout="30s", key="{text}")
def size(text: str) -> int:
    return len(text)


@step(name="other", effect="ask")
async def refund(amount: float) -> dict[str, float]:
    return {"refunded": amount}


@pipeline
async def trip(city: str, nights: int = 1) -> list[int]:
    assert_type(await fetch(city), str)
    assert_type(await fetch.with_key(city)(city, tries=nights), str)
    assert_type(await fetch.map([city]), list[str])
    assert_type(size(city), int)
    assert_type(await size.aio(city), int)
    assert_type(await size.amap([city], max_parallel=2), list[int])
    assert_type(await refund(1.5), dict[str, float])
    assert_type(await asyncio.gather(fetch(city), fetch("Rome")), tuple[str, str])
    assert_type(await asyncio.gather(*(size.aio(text) for text in city)), list[int])
    async for done in as_completed([fetch(city), fetch("Rome")]):
        assert_type(await done, str)
    async with flow("left"), asyncio.TaskGroup() as group:
        assert_type(await group.create_task(fetch(city)), str)
    assert_type(await plain.aio(city), int)
    assert_type(await inner(2), float)
    assert_type(await start_child(inner, 2), str)
    assert_type(now(), datetime)
    assert_type(random(), Random)
    assert_type(uuid(), UUID)
    assert_type(patched("more"), bool)
    assert_type(variables(), VariableManager)
    await fetch(1)  # type: ignore[arg-type]
    await fetch()  # type: ignore[call-arg]
    await fetch(city, attempts=2)  # type: ignore[call-arg]
    size(2)  # type: ignore[arg-type]
    return [size(city)] * nights


@pipeline
def plain(city: str) -> int:
    assert_type(fetch.wait(city), str)
    assert_type(size.map([city]), list[int])
    assert_type(inner.wait(2), float)
    fetch.wait(2)  # type: ignore[arg-type]
    return size(city)


@pipeline(name="deep", retry=2)
async def inner(number: int) -> float:
    return number / 2


async def asynchronous() -> None:
    assert_type(await arun(trip, "Oslo", nights=2), list[int])
    assert_type(await arun(plain, "Oslo"), int)
    assert_type(await start(trip, "Oslo"), list[int])
    assert_type(await arun("pipeline.yaml"), ExecutionResult)
    await arun(trip, 2)  # type: ignore[call-overload]


def synchronous() -> None:
    assert_type(run(trip, "Oslo", nights=2), list[int])
    assert_type(run(trip.options(execution_id="t-1", store="x.db"), "Oslo"), list[int])
    assert_type(run(plain, "Oslo"), int)
    assert_type(run(inner, 2), float)
    assert_type(run("pipeline.yaml", {"city": "Oslo"}), ExecutionResult)
    assert_type(start(trip, "Oslo"), Handle[list[int]])
    assert_type(start(plain, "Oslo").result(timeout=5), int)
    assert_type(resume("t-1", trip), list[int])
    assert_type(resume("t-1", plain, store="x.db"), int)
    assert_type(resume("t-1"), ExecutionResult)
    assert_type(orchestrator.fork("t-1", from_step="fetch"), orchestrator.types.ExecutionId)
    run(trip)  # type: ignore[call-overload]
    run(trip, "Oslo", night=2)  # type: ignore[call-arg]
    start(plain, 2)  # type: ignore[call-overload]
    attempt = current_attempt()
    assert attempt is not None
    assert_type(attempt.idempotency_key, str)
