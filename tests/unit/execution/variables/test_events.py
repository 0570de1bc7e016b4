"""Events: what is told, in which order, and that no lock is held meanwhile."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from orchestrator.execution.variables import VariableManager


def listening(manager: VariableManager) -> list[Any]:
    told: list[Any] = []
    manager.on_variable_created(lambda name, value: told.append(("created", name, value)))
    manager.on_variable_changed(lambda name, old, new: told.append(("changed", name, old, new)))
    manager.on_variable_deleted(lambda name, old: told.append(("deleted", name, old)))
    return told


def test_none_is_a_value_like_any_other() -> None:
    manager = VariableManager()
    told = listening(manager)
    for value in (1, None, None, 1):
        manager.set_variable("a", value)
    manager.delete_variable("a")
    assert told == [
        ("created", "a", 1),
        ("changed", "a", 1, None),
        ("changed", "a", None, None),
        ("changed", "a", None, 1),
        ("deleted", "a", 1),
    ]


def test_every_handler_has_its_own_copies() -> None:
    manager = VariableManager()
    seen: list[Any] = []

    def spoil(name: str, old: list[int], new: list[int]) -> None:
        seen.append((list(old), list(new)))
        old.clear()
        new.clear()

    manager.on_variable_changed(spoil)
    manager.on_variable_changed(spoil)
    manager.set_variable("a", [1])
    manager.set_variable("a", [2])
    assert seen == [([1], [2])] * 2
    assert manager.get_variable("a") == [2]
    assert manager.get_variable_history("a")[0].value == [1]


def test_unsubscribing_and_a_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    manager = VariableManager()
    told = listening(manager)

    def broken(name: str, value: object) -> None:
        raise ValueError("broken")

    stop = manager.on_variable_created(broken)
    late: list[str] = []
    manager.on_variable_created(lambda name, _: late.append(name))
    with caplog.at_level(logging.ERROR):
        manager.set_variable("a", 1)
        manager.set_variable("b", 1)
    assert late == ["a", "b"]
    assert [record for record in caplog.records if "broken" in record.getMessage()]
    stop()
    manager.set_variable("c", 1)
    assert [name for _, name, _ in told] == ["a", "b", "c"]


def test_a_context_that_ends_tells_of_its_variables() -> None:
    manager = VariableManager()
    outer = manager.create_context()
    inner = manager.create_context(outer)
    manager.set_variable("a", 1, context_id=outer)
    manager.set_variable("b", 2, context_id=inner)
    told = listening(manager)
    manager.destroy_context(outer)
    assert told == [("deleted", "a", 1), ("deleted", "b", 2)]


def test_a_handler_may_use_the_manager_and_another_thread_too() -> None:
    manager = VariableManager()
    order: list[str] = []

    def handler(name: str, value: object) -> None:
        order.append(name)
        if name == "a":
            manager.set_variable("b", value)
            other = threading.Thread(target=lambda: manager.set_variable("c", manager.get_variable("a")))
            other.start()
            other.join(10)
            assert not other.is_alive()
            order.append("a ends")

    manager.on_variable_created(handler)
    manager.set_variable("a", 1)
    assert order == ["a", "a ends", "b", "c"]


def test_a_template_is_told_as_it_stands() -> None:
    manager = VariableManager()
    told = listening(manager)
    manager.set_template("t", "${a}")
    manager.set_variable("t", 1)
    assert told == [("created", "t", "${a}"), ("changed", "t", "${a}", 1)]
