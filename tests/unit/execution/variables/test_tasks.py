"""Async tasks and threads: alias scopes and contexts never leak from one to another."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

from orchestrator.execution.variables import VariableContext, VariableManager
from orchestrator.execution.variables.aliases import _STACKS


async def test_concurrent_loop_bodies_see_their_own_aliases() -> None:
    manager = VariableManager()
    for number in range(50):
        manager.set_variable(f"row_{number}", {"n": number})
    meet = asyncio.Barrier(50)

    async def body(number: int) -> None:
        with VariableContext(manager).with_scope({"item": f"row_{number}"}) as block:
            block.set_variable("seen", number)
            await meet.wait()
            assert block.resolve_template("${item.n} ${seen}") == f"{number} {number}"
            manager.push_scope({"inner": "item"})
            await meet.wait()
            assert manager.resolve_template("${inner.n}") == number
            assert manager.pop_scope() == {"inner": "item"}
            await meet.wait()

    await asyncio.gather(*(body(number) for number in range(50)))
    assert manager.pop_scope() is None
    assert not manager.has_variable("item")
    assert manager.export_state()["context_variables"] == {}


async def test_a_child_task_starts_with_a_copy() -> None:
    manager = VariableManager()
    manager.set_variable("a", 1)
    manager.push_scope({"x": "a"})

    async def child() -> None:
        assert manager.get_variable("x") == 1
        assert manager.pop_scope() == {"x": "a"}
        manager.push_scope({"y": "a"})

    await asyncio.create_task(child())
    assert manager.get_variable("x") == 1
    assert not manager.has_variable("y")
    assert manager.pop_scope() == {"x": "a"}


def test_a_new_thread_has_none() -> None:
    manager = VariableManager()
    manager.set_variable("a", 1)
    manager.push_scope({"x": "a"})
    found: list[object] = []

    def look() -> None:
        found.append(manager.get_variable("x"))
        found.append(manager.pop_scope())
        manager.push_scope({"z": "a"})

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [None, None]
    assert not manager.has_variable("z")
    manager.pop_scope()


def test_two_managers_have_stacks_of_their_own_and_are_let_go() -> None:
    def work() -> None:
        first, second = VariableManager(), VariableManager()
        first.push_scope({"x": "a"})
        second.set_variable("a", 1)
        assert not second.has_variable("x")
        assert second.pop_scope() is None
        gone = weakref.ref(first)
        del first
        gc.collect()
        assert gone() is None
        second.push_scope({"y": "a"})
        assert len(_STACKS.get()) == 1
        second.pop_scope()
        assert len(_STACKS.get()) == 0

    contextvars.copy_context().run(work)
