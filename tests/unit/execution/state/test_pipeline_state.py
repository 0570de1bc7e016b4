"""The plain state object."""

from __future__ import annotations

import copy
import json
import threading
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.state import GONE, LoopContext, PipelineExecutionState


@pytest.fixture
def state() -> PipelineExecutionState:
    return PipelineExecutionState("weather")


def test_what_it_holds(state: PipelineExecutionState) -> None:
    assert PipelineExecutionState().pipeline_id == "default"
    state.pending_tasks.update({"load", "plot"})
    state.register_variable("hot", 25)
    state.register_result("load", {"rows": 3})
    state.mark_task_failed("plot", ValueError("no rows"))
    assert state.global_context["variables"]["hot"] == state.global_context.variables["hot"] == 25
    assert state.global_context.results == {"load": {"rows": 3}}
    assert set(state.global_context) == {"variables", "results", "templates"}
    assert json.dumps(state.global_context["variables"]) == '{"hot": 25}'
    assert (state.executed_tasks, state.pending_tasks) == ({"load"}, set())
    assert state.failed_tasks == {"plot": "no rows"}
    summary = state.get_execution_summary()
    assert (summary["variables"], summary["executed_tasks"], summary["pending_tasks"]) == (1, 1, 0)
    assert summary["failed_tasks"] == {"plot": "no rows"}
    assert summary["execution_time"] >= 0
    with pytest.raises(KeyError):
        state.global_context["other"]


def test_the_context_of_a_template_is_flat_and_the_innermost_wins(state: PipelineExecutionState) -> None:
    state.register_template("greeting", "hello")
    state.register_variable("item", "global")
    state.register_variable("load", "a variable")
    state.register_result("load", [1])
    assert state.get_available_context() == {"greeting": "hello", "item": "global", "load": [1]}
    state.push_loop_context("outer", LoopContext("outer", item="x", total_items=1, variables={"month": 1}))
    state.push_loop_context("inner", LoopContext("inner", iteration=1, item="y", total_items=3))
    found = state.get_available_context()
    assert (found["item"], found["index"], found["is_first"], found["is_last"]) == ("y", 1, False, False)
    assert found["month"] == 1
    assert state.active_loops == ["outer", "inner"]
    popped = state.pop_loop_context()
    assert popped is not None
    assert popped.loop_id == "inner"
    assert state.get_available_context()["is_last"] is True
    state.pop_loop_context()
    assert state.pop_loop_context() is None
    assert state.get_available_context()["item"] == "global"


def test_every_change_is_told_however_it_is_made(state: PipelineExecutionState) -> None:
    told: list[tuple[str, str, Any]] = []
    end = state.on_change(lambda *change: told.append(change))
    state.register_variable("a", 1)
    state.global_context["variables"]["a"] = None
    state.global_context.variables.update(b=2)
    state.global_context.variables.setdefault("c", 3)
    state.global_context.variables.pop("b")
    state.global_context.variables |= {"d": 4}
    del state.global_context.variables["d"]
    assert state.global_context.variables.pop("nothing", 0) == 0
    with pytest.raises(KeyError):
        state.global_context.variables.pop("nothing")
    with pytest.raises(KeyError):
        state.global_context.results.popitem()
    state.register_result("t", 4)
    state.register_template("g", "x")
    assert told == [
        ("variables", "a", 1),
        ("variables", "a", None),
        ("variables", "b", 2),
        ("variables", "c", 3),
        ("variables", "b", GONE),
        ("variables", "d", 4),
        ("variables", "d", GONE),
        ("results", "t", 4),
        ("templates", "g", "x"),
    ]
    told.clear()
    state.import_state(PipelineExecutionState().export_state())
    assert sorted(told, key=str) == [
        ("results", "t", GONE),
        ("templates", "g", GONE),
        ("variables", "a", GONE),
        ("variables", "c", GONE),
    ]
    end()
    state.register_variable("a", 1)
    assert len(told) == 4


def test_no_handler_runs_under_a_lock(state: PipelineExecutionState) -> None:
    stuck = []

    def from_elsewhere(kind: str, name: str, value: Any) -> None:
        if name == "a":
            other = threading.Thread(target=state.register_variable, args=("b", 1))
            other.start()
            other.join(10)
            stuck.append(other.is_alive())

    state.on_change(from_elsewhere)
    state.register_variable("a", 1)
    assert stuck == [False]
    assert state.global_context.variables == {"a": 1, "b": 1}


def full() -> PipelineExecutionState:
    state = PipelineExecutionState("p")
    state.register_variable("x", [1])
    state.register_result("t", {"a": 1})
    state.register_template("g", "hello")
    state.mark_task_failed("f", "why")
    state.pending_tasks.add("later")
    state.push_loop_context("l", LoopContext("l", iteration=2, item="i"))
    return state


def test_there_and_back() -> None:
    state = full()
    exported = state.export_state()
    other = PipelineExecutionState()
    other.import_state(exported)
    assert other.export_state() == exported
    state.global_context.variables["x"].append(2)
    assert other.global_context.variables["x"] == [1]
    exported["global_context"]["variables"]["x"].append(3)
    assert other.global_context.variables["x"] == [1]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("format_version",), 9),
        (("pipeline_id",), 3),
        (("global_context",), []),
        (("global_context", "variables"), [1]),
        (("global_context", "results"), {1: 2}),
        (("global_context", "more"), {}),
        (("executed_tasks",), "t"),
        (("pending_tasks",), [1]),
        (("failed_tasks",), {"f": 1}),
        (("loop_contexts",), {}),
        (("loop_contexts", 0, "context"), {"item": 1}),
        (("loop_contexts", 0, "context", "variables"), None),
        (("surprise",), 1),
    ],
)
def test_a_bad_state_changes_nothing(path: tuple[Any, ...], wrong: Any) -> None:
    state = full()
    before = state.export_state()
    bad = copy.deepcopy(before)
    bad["pipeline_id"] = "other"
    part: Any = bad
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = wrong
    with pytest.raises(InputError):
        PipelineExecutionState().import_state(bad)
    told: list[object] = []
    state.on_change(lambda *change: told.append(change))
    with pytest.raises(InputError):
        state.import_state(bad)
    assert state.export_state() == before
    assert told == []
    for key in before:
        with pytest.raises(InputError):
            state.import_state({name: value for name, value in before.items() if name != key})
    assert state.export_state() == before


class _Hurried(str):
    """A name that others take away as often as it is looked at once more."""

    __slots__ = ("looks", "take")
    looks: int
    take: Any

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        self.looks += 1
        if self.looks > 1:
            self.take()
        return str.__eq__(self, other)


def test_a_pop_with_a_default_never_raises_although_others_pop_too(state: PipelineExecutionState) -> None:
    variables, others = state.global_context.variables, []
    name = _Hurried("a")

    def take_in_another_thread() -> None:
        other = threading.Thread(target=lambda: others.append(variables.pop("a", "gone")))
        other.start()
        other.join(0.2)

    name.looks, name.take = 0, take_in_another_thread
    variables["a"] = 1
    assert variables.pop(name, "default") == 1
    assert "a" not in variables
    assert variables.pop(name, None) is None
    with pytest.raises(KeyError):
        variables.pop("a")


def test_a_change_is_announced_right_before_it_is_told(state: PipelineExecutionState) -> None:
    told: list[Any] = []
    state.on_change(lambda *change: told.append(change))
    assert state.change("variables", "a", 1, announce=lambda: told.append("mine"))
    state.register_variable("a", 2)
    assert state.change("variables", "a", GONE, announce=lambda: told.append("mine"))
    assert not state.change("variables", "a", GONE, announce=lambda: told.append("nothing"))
    assert told == [
        "mine",
        ("variables", "a", 1),
        ("variables", "a", 2),
        "mine",
        ("variables", "a", GONE),
    ]
    assert state.change("results", "t", 3)
    assert state.executed_tasks == {"t"}
    with pytest.raises(KeyError):
        state.change("other", "a", 1)


def test_a_task_is_in_one_place(state: PipelineExecutionState) -> None:
    for mark in (
        state.mark_task_pending,
        lambda task: state.mark_task_failed(task, "no"),
        state.mark_task_pending,
        state.mark_task_executed,
        lambda task: state.mark_task_failed(task, "no"),
        state.mark_task_executed,
        state.mark_task_pending,
    ):
        mark("t")
        places = [state.pending_tasks, state.executed_tasks, set(state.failed_tasks)]
        assert sorted(map(sorted, places)) == [[], [], ["t"]]
    assert state.pending_tasks == {"t"}
    state.forget_task("t")
    assert not (state.pending_tasks or state.executed_tasks or state.failed_tasks)
