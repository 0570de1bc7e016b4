"""Contexts, the running step, a parent manager, and blocks."""

from __future__ import annotations

import pytest

from orchestrator.errors import InputError, UnknownContextError
from orchestrator.execution.variables import VariableContext, VariableManager, VariableScope


def test_a_context_sees_what_is_around_it() -> None:
    manager = VariableManager()
    outer = manager.create_context()
    inner = manager.create_context(outer)
    manager.set_variable("a", "global")
    manager.set_variable("b", "outer", context_id=outer)
    manager.set_variable("a", "inner", context_id=inner)
    assert manager.get_variable("a", context_id=inner) == "inner"
    assert manager.get_variable("b", context_id=inner) == "outer"
    assert manager.get_variable("a", context_id=outer) == "global"
    assert manager.get_variable("b") is None
    assert manager.list_variables(context_id=inner) == {"a": "inner", "b": "outer"}
    assert manager.list_variables() == {"a": "global"}
    assert not manager.delete_variable("b", inner)
    assert manager.delete_variable("a", inner)
    assert manager.get_variable("a", context_id=inner) == "global"


def test_destroying_takes_what_is_inside_along() -> None:
    manager = VariableManager()
    outer = manager.create_context()
    inner = manager.create_context(outer)
    other = manager.create_context()
    manager.destroy_context(outer)
    for gone in (outer, inner, "never"):
        with pytest.raises(UnknownContextError) as caught:
            manager.set_variable("a", 1, context_id=gone)
        assert caught.value.context_id == gone
        with pytest.raises(UnknownContextError):
            manager.get_variable("a", "default", gone)
        with pytest.raises(UnknownContextError):
            manager.create_context(gone)
        with pytest.raises(UnknownContextError):
            manager.destroy_context(gone)
    assert manager.create_context() not in (outer, inner, other)
    manager.set_variable("a", 1, context_id=other)


def test_variables_of_a_step_go_to_the_running_step() -> None:
    manager = VariableManager()
    contexts = {"load": manager.create_context()}
    running: list[str] = []
    manager.running_step = lambda step: contexts.get(step or (running[-1] if running else ""))
    manager.set_variable("outside", 1, VariableScope.STEP)
    running.append("load")
    manager.set_variable("rows", 2, VariableScope.STEP)
    manager.set_variable("conn", 3, VariableScope.TEMPORARY, source_step="load")
    manager.set_variable("wide", 4, VariableScope.GLOBAL)
    assert (manager.get_variable("rows"), manager.get_variable("conn")) == (2, 3)
    assert manager.resolve_template("${rows} ${wide}") == "2 4"
    assert manager.delete_variable("conn")
    assert manager.delete_variable("outside")
    running.clear()
    assert manager.get_variable("rows") is None
    manager.destroy_context(contexts["load"])
    running.append("load")
    assert manager.get_variable("wide") == 4
    assert manager.list_variables() == {"wide": 4}


def test_only_a_write_enters_the_step() -> None:
    manager = VariableManager()
    made: dict[str, str] = {}
    manager.running_step = lambda step: made.get(step or "load")
    manager.entering_step = lambda step: made.setdefault(step or "load", manager.create_context())
    manager.set_variable("wide", 1)
    assert manager.get_variable("wide") == 1
    assert manager.resolve_template("${wide}") == 1
    assert made == {}
    manager.set_variable("rows", 2, VariableScope.STEP)
    manager.set_variable("rows", 3, VariableScope.STEP, source_step="plot")
    assert sorted(made) == ["load", "plot"]
    assert manager.get_variable("rows") == 2
    assert manager.get_variable("rows", context_id=made["plot"]) == 3


def test_a_child_reads_its_parents_global_variables() -> None:
    parent = VariableManager("parent")
    child = VariableManager("child", parent=parent)
    parent.set_variable("a", [1])
    parent.set_variable("tagged", 1, VariableScope.STEP)
    assert child.get_variable("a") == [1]
    assert not child.has_variable("tagged")
    assert child.resolve_template("${a[0]}") == 1
    parent.set_variable("a", [2])
    assert child.resolve_template("${a[0]}") == 2
    child.set_variable("a", [3])
    assert (child.resolve_template("${a[0]}"), parent.get_variable("a")) == (3, [2])
    assert child.delete_variable("a")
    assert not child.delete_variable("a")
    assert child.resolve_template("${a[0]}") == 2
    assert child.list_variables() == {}


def test_a_block_leaves_nothing_behind() -> None:
    manager = VariableManager()
    manager.set_variable("user", "Ada")
    with VariableContext(manager).with_scope({"who": "user"}) as block:
        block.set_variable("x", 1)
        gone = block.context_id
        with block.with_scope({"inner": "x"}):
            assert (block.get_variable("inner"), block.resolve_template("${who}")) == (1, "Ada")
        assert not block.has_variable("inner")
        block.with_scope({"more": "user"})
        manager.push_scope({"left": "over"})
        assert block.get_variable("more") == "Ada"
        assert block.delete_variable("x")
        assert not block.delete_variable("user")
    assert manager.pop_scope() is None
    assert not manager.has_variable("who")
    with pytest.raises(UnknownContextError):
        manager.get_variable("x", context_id=gone)
    with pytest.raises(InputError, match="with"):
        block.set_variable("x", 1)


def test_a_block_ends_when_it_raises() -> None:
    manager = VariableManager()
    with pytest.raises(ZeroDivisionError), VariableContext(manager) as block:
        gone = block.context_id
        block.with_scope({"a": "b"})
        raise ZeroDivisionError
    assert manager.pop_scope() is None
    with pytest.raises(UnknownContextError):
        manager.destroy_context(gone)


def test_aliases_come_last_and_follow_outer_ones() -> None:
    manager = VariableManager()
    manager.set_variable("row_3", {"name": "third"})
    manager.push_scope({"row": "row_3", "own": "row_3", "round": "about", "about": "row_3"})
    manager.set_variable("own", "mine")
    manager.push_scope({"item": "row"})
    assert manager.get_variable("item") == {"name": "third"}
    assert manager.resolve_template("${item.name}") == "third"
    assert manager.get_variable("own") == "mine"
    assert manager.get_variable("round", "not two aliases of one scope") == "not two aliases of one scope"
    found = manager.get_variable_metadata("item")
    assert found is not None
    assert found.name == "row_3"
    assert manager.pop_scope() == {"item": "row"}
    assert manager.resolve_template("${item.name}") == "${item.name}"
    manager.pop_scope()
    assert manager.pop_scope() is None
    with pytest.raises(InputError):
        manager.push_scope({"a": "${b}"})
