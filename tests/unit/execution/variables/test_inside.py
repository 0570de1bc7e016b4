"""What rooms that are built over a manager use: its inside, and its root binding by binding."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.variables import (
    Cell,
    Inside,
    LiveCell,
    OpenContext,
    Root,
    VariableManager,
    VariableScope,
    VariableType,
    Write,
)


@pytest.fixture
def manager() -> VariableManager:
    return VariableManager()


def test_nobody_is_told_before_deliver(manager: VariableManager) -> None:
    told: list[tuple[str, Any]] = []
    manager.on_variable_created(lambda name, value: told.append((name, value)))
    inside = Inside(manager)
    inside.put("a", LiveCell(1), 5.0, "load", VariableType.OUTPUT)
    inside.apply([Write("b", LiveCell(2)), OpenContext("c")], 5.0)
    assert told == []
    inside.deliver()
    assert told == [("a", 1), ("b", 2)]
    known = manager.get_variable_metadata("a")
    assert known is not None
    assert (known.source_step, known.var_type, known.updated_at.timestamp()) == ("load", VariableType.OUTPUT, 5.0)
    assert inside.has_context("c")
    assert not inside.has_context("d")


def test_every_write_is_counted_and_every_change_touches(manager: VariableManager) -> None:
    counted: list[bool] = []
    touches: list[None] = []
    inside = Inside(manager)
    inside.count(counted.append)
    inside.touch(lambda: touches.append(None))

    def touched() -> bool:
        found = bool(touches)
        touches.clear()
        return found

    manager.set_variable("a", 1)
    assert touched()
    manager.set_variable("a", 2)
    assert touched()
    context_id = manager.create_context()
    assert touched()
    manager.add_dependency("a", {"b"})
    assert touched()
    manager.delete_variable("a")
    assert touched()
    manager.destroy_context(context_id)
    assert touched()
    manager.get_variable("a")
    mark = manager.mark()
    manager.forget(mark)
    assert not touched()
    assert counted == [True, False]


def test_marks_go_out_and_come_in(manager: VariableManager) -> None:
    manager.set_variable("a", 1)
    manager.set_variable("live", object(), VariableScope.TEMPORARY)
    manager.set_template("t", "${a} and more")
    first = manager.mark()
    manager.set_variable("a", 2)
    manager.mark()  # somebody else's: what it notes goes to the first
    manager.set_variable("b", 3)
    manager.delete_variable("t")
    manager.delete_variable("live")
    second = manager.mark()
    manager.set_variable("a", 4)
    noted = Inside(manager).export_marks([first, second])

    again = VariableManager()
    again.import_state(manager.export_state())
    marks = Inside(again).import_marks({"one": noted[0], "two": noted[1]})
    again.restore(marks[1])
    assert (again.get_variable("a"), again.get_variable("b")) == (2, 3)
    again.restore(marks[0])
    assert (again.get_variable("a"), again.has_variable("b")) == (1, False)
    assert again.get_variable("t") == "1 and more"


@pytest.mark.parametrize(
    ("noted", "where"),
    [
        ({"bindings": [["", "a"]], "contexts": {}, "added": {}}, "two.bindings[0]"),
        ({"bindings": [[None, "a", None]], "contexts": {}, "added": {}}, "two.bindings[0][0]"),
        (
            {"bindings": [["", "a", {"value": 1, "metadata": {}, "template": False}]], "contexts": {}, "added": {}},
            "two",
        ),
        ({"bindings": [], "contexts": {"c": 1}, "added": {}}, "two.contexts.c"),
        ({"bindings": [], "contexts": {}, "added": {"a": "b"}}, "two.added.a"),
        ({"bindings": [], "contexts": {}}, "two: 'added'"),
        ({"bindings": [], "contexts": {}, "added": {}, "more": 1}, "two: 'more'"),
    ],
)
def test_bad_marks_are_named_and_none_comes_in(manager: VariableManager, noted: Any, where: str) -> None:
    good = {"bindings": [], "contexts": {}, "added": {}}
    with pytest.raises(InputError) as caught:
        Inside(manager).import_marks({"one": good, "two": noted})
    assert str(caught.value).startswith(where)
    assert Inside(manager).import_marks({}) == []


def test_the_root_is_neither_a_context_nor_the_parent() -> None:
    parent = VariableManager()
    parent.set_variable("above", 1)
    manager = VariableManager(parent=parent)
    context_id = manager.create_context()
    manager.running_step = lambda step: context_id
    manager.set_variable("a", 1)
    manager.set_variable("a", 2, VariableScope.STEP)
    manager.set_variable("inner", 3, context_id=context_id)
    root = Root(manager)
    found = root.get("a")
    assert found is not None
    assert (found.cell.read(), found.version) == (1, 1)
    assert root.get("above") is root.get("inner") is None
    assert root.names() == ["a"]
    assert root.delete("a")
    assert not root.delete("a")
    assert manager.get_variable("a") == 2  # the running step's
    assert [binding.serial for binding in root.past("a")] == [found.serial]
    assert root.names() == ["a"]


def test_a_change_that_was_told_is_known_by_its_cell(manager: VariableManager) -> None:
    told: list[tuple[str, Cell, bool]] = []
    root = Root(manager)
    ends = root.follow(lambda *change: told.append(change))
    manager.set_variable("a", 1)
    manager.set_variable("a", 1)
    assert [root.is_latest(*change) for change in told] == [False, True]
    manager.delete_variable("a")
    assert [root.is_latest(*change) for change in told] == [False, False, True]
    context_id = manager.create_context()
    manager.set_variable("a", 2, context_id=context_id)
    assert [root.is_latest(*change) for change in told] == [False, False, True, False]
    for end in ends:
        end()
    manager.set_variable("a", 3)
    assert len(told) == 4
