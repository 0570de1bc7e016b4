"""Both sides written to at once: who wins, who is told, and that all comes to rest."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from orchestrator.execution.integration import ExecutionStateBridge
from orchestrator.execution.integration.sides import ManagerSide
from orchestrator.execution.state import GONE, ExecutionContext, PipelineExecutionState
from orchestrator.execution.variables import VariableManager, VariableScope, VariableType

#: Names whose events are slow to be handled.
GATES = ("state gate", "manager gate")


class Both:
    """A bridge with its two sides, and the conflicts that it told of."""

    def __init__(self) -> None:
        context = ExecutionContext("run-1", "report")
        self.manager = context.variable_manager
        self.state = PipelineExecutionState()
        self.bridge = ExecutionStateBridge(context, self.state)
        self.variables = self.state.global_context.variables
        self.conflicts: list[tuple[str, Any, Any]] = []
        self.bridge.on_conflict(lambda *conflict: self.conflicts.append(conflict))

    def equal(self) -> bool:
        known = self.manager.list_variables(VariableScope.GLOBAL, include_metadata=True)
        results = {name for name, found in known.items() if found["metadata"].var_type is VariableType.OUTPUT}
        context = self.state.global_context
        return {name: found["value"] for name, found in known.items()} == {**context.variables, **context.results} and (
            set(context.results) == results
        )


@pytest.fixture
def both() -> Both:
    return Both()


@contextmanager
def busy(write_gate: Callable[[], object], on_gate: Callable[[Callable[..., None]], object]) -> Iterator[None]:
    """While another thread delivers a side's events and is kept by a slow handler, so that all others must wait."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(*change: Any) -> None:
        if any(name in change for name in GATES):
            entered.set()
            go_on.wait(20)

    unsubscribe = on_gate(slow)
    thread = threading.Thread(target=write_gate)
    thread.start()
    assert entered.wait(20)
    yield
    go_on.set()
    thread.join(20)
    assert not thread.is_alive()
    unsubscribe()  # type: ignore[operator]


def busy_state(both: Both) -> Any:
    return busy(lambda: both.variables.update({"state gate": 1}), both.state.on_change)


def busy_manager(both: Both) -> Any:
    both.manager.delete_variable("manager gate")
    return busy(lambda: both.manager.set_variable("manager gate", 1), both.manager.on_variable_created)


def test_one_after_the_other_is_no_conflict(both: Both) -> None:
    both.manager.set_variable("rows", 1)
    both.variables["rows"] = 2
    both.manager.set_variable("rows", 3)
    assert both.conflicts == []
    assert both.variables == {"rows": 3}


def test_the_states_change_that_is_heard_of_later_wins(both: Both) -> None:
    with busy_state(both):
        both.variables["rows"] = ["the state's"]
        both.manager.set_variable("rows", ["the manager's"])
    assert both.conflicts == [("rows", ["the state's"], ["the manager's"])]
    assert both.manager.get_variable("rows") == both.variables["rows"] == ["the state's"]


def test_the_managers_change_that_is_heard_of_later_wins(both: Both) -> None:
    with busy_manager(both):
        both.manager.set_variable("rows", ["the manager's"])
        both.variables["rows"] = ["the state's"]
    assert both.conflicts == [("rows", ["the manager's"], ["the state's"])]
    assert both.manager.get_variable("rows") == both.variables["rows"] == ["the manager's"]


def test_a_deletion_is_a_write_as_well(both: Both) -> None:
    both.variables.update(rows=1, limit=2)
    with busy_manager(both):
        both.manager.delete_variable("rows")
        both.variables["rows"] = 3
    with busy_state(both):
        del both.variables["limit"]
        both.manager.set_variable("limit", 4)
    assert both.conflicts == [("rows", GONE, 3), ("limit", GONE, 4)]
    assert both.equal()
    assert set(both.variables) == set(GATES)


def test_the_same_word_from_both_sides_is_no_conflict(both: Both) -> None:
    with busy_state(both):
        both.variables["rows"] = [1]
        both.manager.set_variable("rows", [1])
    with busy_manager(both):
        both.manager.set_variable("rows", [2])
        both.variables["rows"] = [2]
    assert both.conflicts == []
    assert both.variables["rows"] == [2]


def test_the_last_of_several_is_what_stays(both: Both) -> None:
    told: list[Any] = []
    both.state.on_change(lambda _kind, name, value: told.append(value) if name == "rows" else None)
    with busy_state(both):
        both.variables["rows"] = 1
        both.manager.set_variable("rows", 2)
        both.variables["rows"] = 1
        both.variables["rows"] = 3
    assert both.manager.get_variable("rows") == both.variables["rows"] == 3
    assert told == [1, 2, 1, 3]  # never back from a later one to an earlier one
    with busy_manager(both):
        both.manager.set_variable("rows", 4)
        both.manager.delete_variable("rows")
        both.variables["rows"] = 5
    assert not both.manager.has_variable("rows")
    assert "rows" not in both.variables


def test_what_was_written_in_between_is_known() -> None:
    """Between a look at the manager and the write there is a moment; who used it is told of."""
    manager = VariableManager()
    side = ManagerSide(manager)
    found = side.look("rows")
    manager.set_variable("rows", 1)
    manager.set_variable("rows", 2)
    assert side.write("variables", "rows", 3, found) == [1, 2]
    assert not side.is_news("rows", side.look("rows"))
    found = side.look("rows")
    manager.set_variable("rows", 4)
    assert side.write("variables", "rows", GONE, found) == [4]
    assert not side.is_news("rows", side.look("rows"))


def test_who_is_faster_after_a_write_is_news() -> None:
    manager = VariableManager()
    side = ManagerSide(manager)
    manager.on_variable_created(lambda name, _: manager.set_variable(name, "faster"))
    assert side.write("variables", "rows", "slower", None) == []
    assert side.is_news("rows", side.look("rows"))


def test_a_conflict_is_told_with_no_lock_held(both: Both) -> None:
    def write() -> None:
        both.manager.set_variable("b", 1)
        both.variables["c"] = 2

    def write_from_elsewhere(*_: Any) -> None:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        both.bridge.register_variable("told", value=True)

    unsubscribe = both.bridge.on_conflict(write_from_elsewhere)
    with busy_state(both):
        both.variables["a"] = 1
        both.manager.set_variable("a", 2)
    assert both.variables == {"state gate": 1, "a": 1, "b": 1, "c": 2, "told": True}
    assert both.equal()
    unsubscribe()
    both.manager.delete_variable("told")
    with busy_state(both):
        both.variables["a"] = 3
        both.manager.set_variable("a", 4)
    assert "told" not in both.variables
    assert len(both.conflicts) == 2


def test_a_handler_that_raises_breaks_nothing(both: Both) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    both.bridge.on_conflict(fail)
    with busy_state(both):
        both.variables["a"] = 1
        both.manager.set_variable("a", 2)
    assert both.equal()
    assert both.bridge.refused == 0


def test_two_bridges_around_one_pair_come_to_rest(both: Both) -> None:
    second = ExecutionStateBridge(both.bridge.execution_context, both.state)
    both.manager.set_variable("rows", [1])
    both.variables["rows"] = [2]
    both.variables["live"] = threading.Lock()
    both.variables["nan"] = float("nan")
    del both.variables["rows"]
    assert set(both.variables) == {"live", "nan"}
    assert both.equal()
    assert second.refused == both.bridge.refused == 0


def test_many_threads_on_both_sides(both: Both) -> None:
    """Nothing hangs, both sides end equal, and what stays of a name is the last word of whoever wrote it."""
    names = ["a", "b", "c"]
    last: dict[tuple[int, str], Any] = {}
    together = threading.Barrier(8)

    def write(number: int) -> None:
        chance = random.Random(number)
        together.wait()
        for count in range(150):
            name, value = chance.choice(names), [number, count]
            if chance.random() < 0.15:
                last[number, name] = None
                if number % 2:
                    both.manager.delete_variable(name)
                else:
                    for items in (both.variables, both.state.global_context.results):
                        with suppress(KeyError):  # another thread was faster
                            del items[name]
                continue
            last[number, name] = value
            if number % 2:
                output = chance.random() < 0.3
                both.manager.set_variable(
                    name,
                    value,
                    var_type=VariableType.OUTPUT if output else VariableType.INTERMEDIATE,
                    source_step=name if output else None,
                )
            elif chance.random() < 0.3:
                both.state.register_result(name, value)
            else:
                both.variables[name] = value

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert both.equal()
    for name in names:
        value = both.manager.get_variable(name)
        assert value is None or last[value[0], name] == value
    assert both.bridge.refused == 0
    for _, winner, loser in both.conflicts:
        assert winner != loser
    assert both.bridge._pair.link._state._awaited == {}
