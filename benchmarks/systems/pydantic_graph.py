"""pydantic-graph 1.x with its file persistence: one JSON file with every snapshot, written anew for each, never synced.

Version 2 has no persistence.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.probe import BODIES, Case

warnings.simplefilter("ignore")  # deprecations of its own
from pydantic_graph import BaseNode, End, Graph, GraphRunContext  # noqa: E402
from pydantic_graph.persistence.file import FileStatePersistence  # noqa: E402


@dataclass
class Loop:
    size: int
    number: int = 0
    last: dict[str, Any] = field(default_factory=dict)


@dataclass
class Once(BaseNode[Loop, None, int]):
    async def run(self, ctx: GraphRunContext[Loop]) -> Once | End[int]:
        state = ctx.state
        state.last = BODIES.run(state.number)
        state.number += 1
        return Once() if state.number < state.size else End(state.number)


GRAPH = Graph(nodes=[Once])


async def run(path: Path, size: int) -> None:
    """One execution in a file of its own."""
    kept = FileStatePersistence(path)
    kept.set_graph_types(GRAPH)
    await GRAPH.run(Once(), state=Loop(size), persistence=kept)


def chain(case: Case) -> int:
    """W1."""
    asyncio.run(run(case.folder / "warm.json", 3))
    with case.clock():
        asyncio.run(run(case.folder / "run.json", case.size))
    return case.size


def many(case: Case) -> int:
    """W3."""
    slots = asyncio.Semaphore(50)

    async def one(number: int) -> None:
        async with slots:
            await run(case.folder / f"run{number}.json", 10)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(case.size)))

    asyncio.run(run(case.folder / "warm.json", 3))
    with case.clock():
        asyncio.run(all_of_them())
    return case.size * 10
