"""LangGraph with its SQLite saver and `durability="sync"`, the only mode that keeps each finished step.

One node that loops; the state holds the last result only, as keeping all of them makes each checkpoint larger. The
ordinary (not async) form was taken where both were possible: it is the faster one. Variant "functional" is the
functional API, an entrypoint that calls a task for each step.
"""

from __future__ import annotations

import asyncio
import operator
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.probe import BODIES, Case, large_text


class Loop(TypedDict, total=False):
    number: int
    size: int
    last: dict[str, Any]
    text: str


class Fan(TypedDict, total=False):
    size: int
    parts: Annotated[list[dict[str, Any]], operator.add]
    joined: int


def saver(case: Case) -> SqliteSaver:
    """The case's file, opened as the documentation does."""
    return SqliteSaver(sqlite3.connect(case.database, check_same_thread=False))


def thread(name: str, size: int) -> dict[str, Any]:
    """Where one execution is kept."""
    return {"configurable": {"thread_id": name}, "recursion_limit": size + 10}


def invoke(graph: Any, start: Any, name: str, size: int) -> Any:
    """Run one execution to its end, or on where `start` is None."""
    return graph.invoke(start, thread(name, size), durability="sync")


def loop_graph(kept: SqliteSaver) -> Any:
    """A node, again and again."""

    def body(state: Loop) -> Loop:
        return {"number": state["number"] + 1, "last": BODIES.run(state["number"])}

    graph = StateGraph(Loop)
    graph.add_node("step", body)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if s["number"] < s["size"] else END, ["step", END])
    return graph.compile(checkpointer=kept)


def fan_graph(kept: SqliteSaver) -> Any:
    """One, many, one."""
    graph = StateGraph(Fan)
    graph.add_node("one", lambda state: {"joined": 0})
    graph.add_node("many", lambda state: {"parts": [BODIES.run(state["number"])]})
    graph.add_node("join", lambda state: {"joined": len(state["parts"])})
    graph.add_edge(START, "one")
    graph.add_conditional_edges("one", lambda s: [Send("many", {"number": i}) for i in range(s["size"])], ["many"])
    graph.add_edge("many", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=kept)


def functional(kept: SqliteSaver) -> Any:
    """The functional API."""

    @task
    def step(number: int) -> dict[str, Any]:
        return BODIES.run(number)

    @entrypoint(checkpointer=kept)
    def flow(size: int) -> dict[str, Any]:
        return {"number": [step(number).result()["n"] for number in range(size)][-1] + 1}

    return flow


def made(case: Case) -> tuple[Any, Any]:
    """The variant's graph, and what to start it with, given a size."""
    if case.variant == "functional":
        return functional(saver(case)), lambda size: size
    return loop_graph(saver(case)), lambda size: {"number": 0, "size": size}


def chain(case: Case) -> int:
    """W1."""
    graph, start = made(case)
    invoke(graph, start(3), "warm", 3)
    with case.clock():
        assert invoke(graph, start(case.size), "run", case.size)["number"] == case.size
    return case.size


def fan(case: Case) -> int:
    """W2."""
    graph = fan_graph(saver(case))
    invoke(graph, {"size": 2}, "warm", 2)
    with case.clock():
        assert invoke(graph, {"size": case.size}, "run", case.size)["joined"] == case.size
    return case.size + 2


def many(case: Case) -> int:
    """W3: fifty threads."""
    graph, start = made(case)
    invoke(graph, start(3), "warm", 3)
    with ThreadPoolExecutor(50) as pool, case.clock():
        list(pool.map(lambda i: invoke(graph, start(10), f"run{i}", 10), range(case.size)))
    return case.size * 10


def kill(case: Case) -> int:
    """W4, first half."""
    graph, start = made(case)
    invoke(graph, start(case.size), "run", case.size)
    return case.size


def resume(case: Case) -> int:
    """W4, second half."""
    with case.clock():
        graph, _ = made(case)
        assert invoke(graph, None, "run", case.size)["number"] == case.size
    return case.size


def carry(case: Case) -> int:
    """W5: the text is in the state."""
    graph, start = made(case)
    invoke(graph, start(3), "warm", 3)
    with case.clock():
        invoke(graph, {**start(case.size), "text": large_text()}, "run", case.size)
    return case.size


def idle(case: Case) -> int:
    """W7: executions that have ended one node and wait in their second."""

    async def open_all(kept: AsyncSqliteSaver) -> None:
        event = asyncio.Event()

        async def wait(state: Loop) -> Loop:
            BODIES.run(state["number"])
            await event.wait()
            return {"last": {}}

        graph = StateGraph(Loop)
        graph.add_node("first", lambda state: {"last": BODIES.run(state["number"])})
        graph.add_node("second", wait)
        graph.add_edge(START, "first")
        graph.add_edge("first", "second")
        built = graph.compile(checkpointer=kept)
        with case.memory():
            runs = [built.ainvoke({"number": i}, thread(f"run{i}", 10), durability="sync") for i in range(case.size)]
            tasks = [asyncio.create_task(run) for run in runs]
            while BODIES.ran < 2 * case.size:
                await asyncio.sleep(0.02)
        for waiting in tasks:
            waiting.cancel()

    async def opened() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(case.database)) as kept:
            await open_all(kept)

    asyncio.run(opened())
    return case.size
