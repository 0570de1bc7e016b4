"""Orchestrator, through its front door: pipelines as objects, `Orchestrator.run`, `arun` and `resume`.

A pipeline is built outside of the clock, as a peer's graph is compiled outside of it; checking it before the run is
part of `run` and so of the time. The variant is the durability.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.probe import BODIES, Case
from benchmarks.systems import steps
from orchestrator import Orchestrator, Pipeline, Step

EXECUTION = "killed"


def opened(case: Case) -> Orchestrator:
    """The case's store, with the durability that its variant names."""
    return Orchestrator(case.database, durability=case.variant or "disk")


def chain_of(size: int, call: Callable[..., Any] = steps.count) -> Pipeline:
    """Each step takes a number from the one before."""
    first = Step(id="s0", call=call, with_={"value": 0})
    rest = [Step(id=f"s{i}", call=call, with_={"value": f"${{s{i - 1}.next}}"}) for i in range(1, size)]
    return Pipeline(pipeline="chain", steps=[first, *rest], outputs={"n": f"${{s{size - 1}.n}}"})


def fan_of(size: int) -> Pipeline:
    """One, many, one."""
    return Pipeline(
        pipeline="fan",
        steps=[
            Step(id="one", call=steps.count, with_={"value": size - 1}),
            Step(id="many", for_each="${range(one.next)}", as_="i", call=steps.count, with_={"value": "${i}"}),
            Step(id="join", call=steps.join, with_={"parts": "${many}"}),
        ],
        outputs={"n": "${join}"},
    )


def ran(orchestrator: Orchestrator, pipeline: Pipeline, execution_id: str | None = None) -> dict[str, Any]:
    """Run to the end and give the outputs."""
    return dict(orchestrator.run(pipeline, execution_id=execution_id).raise_for_status().outputs)


def chain(case: Case, call: Callable[..., Any] = steps.count) -> int:
    """W1."""
    pipeline = chain_of(case.size, call)
    with opened(case) as orchestrator:
        ran(orchestrator, chain_of(3, call))
        with case.clock():
            outputs = ran(orchestrator, pipeline)
    assert outputs["n"] == case.size - 1
    return case.size


def chain_in_threads(case: Case) -> int:
    """W1 with ordinary functions."""
    return chain(case, steps.count_in_thread)


def fan(case: Case) -> int:
    """W2."""
    pipeline = fan_of(case.size)
    with opened(case) as orchestrator:
        ran(orchestrator, fan_of(3))
        with case.clock():
            outputs = ran(orchestrator, pipeline)
    assert outputs["n"] == case.size
    return case.size + 2


def many(case: Case) -> int:
    """W3: executions of ten steps, fifty at once on one loop."""
    pipeline, slots = chain_of(10), asyncio.Semaphore(50)

    async def one(orchestrator: Orchestrator) -> None:
        async with slots:
            (await orchestrator.arun(pipeline)).raise_for_status()

    async def all_of_them(orchestrator: Orchestrator) -> None:
        await asyncio.gather(*(one(orchestrator) for _ in range(case.size)))

    with opened(case) as orchestrator:
        ran(orchestrator, chain_of(3))
        with case.clock():
            asyncio.run(all_of_them(orchestrator))
    return case.size * 10


def kill(case: Case) -> int:
    """W4, first half: the process is killed in a body of this chain."""
    with opened(case) as orchestrator:
        ran(orchestrator, chain_of(case.size), EXECUTION)
    return case.size


def resume(case: Case) -> int:
    """W4, second half: from opening the store to the result."""
    with case.clock(), opened(case) as orchestrator:
        outputs = orchestrator.resume(EXECUTION).raise_for_status().outputs
    assert outputs["n"] == case.size - 1
    return case.size


def carry(case: Case) -> int:
    """W5: one step makes the text, each of the others takes it as an argument."""
    make = Step(id="text", call=steps.make_text)
    first = Step(id="s0", call=steps.take_text, with_={"text": "${text}", "value": 0})
    rest = [
        Step(id=f"s{i}", call=steps.take_text, with_={"text": "${text}", "value": f"${{s{i - 1}.next}}"})
        for i in range(1, case.size)
    ]
    pipeline = Pipeline(pipeline="carry", steps=[make, first, *rest])
    with opened(case) as orchestrator:
        ran(orchestrator, chain_of(3))
        with case.clock():
            ran(orchestrator, pipeline)
    return case.size


def carry_nested(case: Case) -> int:
    """A nested value of so many MB through 20 steps that return it unchanged."""
    make = Step(id="s0", call=steps.make_nested, with_={"megabytes": case.size})
    rest = [Step(id=f"s{i}", call=steps.verify_nested, with_={"value": f"${{s{i - 1}}}"}) for i in range(1, 21)]
    pipeline = Pipeline(pipeline="carry", steps=[make, *rest], outputs={"checksum": "${s20.checksum}"})
    with opened(case) as orchestrator:
        ran(orchestrator, chain_of(3))
        with case.clock():
            ran(orchestrator, pipeline)
    return 21


def idle(case: Case) -> int:
    """W7: open executions that have ended one step and wait in their second."""
    first = Step(id="first", call=steps.count, with_={"value": 0})
    second = Step(id="second", call=steps.wait, with_={"value": "${first.next}"})
    pipeline = Pipeline(pipeline="idle", steps=[first, second])

    async def open_all(orchestrator: Orchestrator) -> None:
        await orchestrator.arun(chain_of(3))
        ran_before = BODIES.ran
        with case.memory():
            tasks = [asyncio.create_task(orchestrator.arun(pipeline)) for _ in range(case.size)]
            while BODIES.ran < ran_before + 2 * case.size:
                await asyncio.sleep(0.02)
        steps.NEVER.set()
        await asyncio.gather(*tasks)

    with opened(case) as orchestrator:
        asyncio.run(open_all(orchestrator))
    return case.size
