"""States that somebody else has made: every missing, extra or wrong-typed part is one clear error."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.execution.state.states import rich

from orchestrator.errors import InputError
from orchestrator.execution.state import ExecutionContext

Path = tuple[Any, ...]

#: Under these stands what a program or a person has put there: names, and values of any kind.
FREE = {"value", "error", "plan"}
#: Mappings of names, where one more or one less may be right.
NAMED = {
    "steps",
    "contexts",
    "added",
    "global_variables",
    "context_variables",
    "dependency_graph",
    "variables",
    "nested",
}
NAMED |= {"variable_templates", "rollbacks"}


def parts(tree: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every part of a tree that is checked."""
    yield path
    if path and path[-1] in FREE:
        return
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from parts(child, (*path, key))
    elif isinstance(tree, list):
        for place, child in enumerate(tree):
            yield from parts(child, (*path, place))


def at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    return rich().export_state()


def spoilt(tree: Any, path: Path, part: Any) -> Any:
    """The tree with another part at a path. What is not on the way there is shared: a copy of all costs more."""
    if not path:
        return part
    made = copy.copy(tree)
    made[path[0]] = spoilt(tree[path[0]], path[1:], part)
    return made


def refused(state: Any) -> str:
    with pytest.raises(InputError) as found:
        ExecutionContext.from_state(state)
    return str(found.value)


def test_a_state_comes_back(state: dict[str, Any]) -> None:
    assert ExecutionContext.from_state(copy.deepcopy(state)).export_state() == state


@pytest.mark.parametrize("bad", [None, [], "state", 3, {}, {"format_version": 2}, {1: 2}])
def test_what_is_no_state(bad: Any) -> None:
    assert refused(bad).startswith("state")


def test_a_part_that_is_missing(state: dict[str, Any]) -> None:
    tried = 0
    for path in parts(state):
        if not path or isinstance(path[-1], int) or (len(path) > 1 and path[-2] in NAMED):
            continue
        rest = {name: part for name, part in at(state, path[:-1]).items() if name != path[-1]}
        assert str(path[-1]) in refused(spoilt(state, path[:-1], rest))
        tried += 1
    assert tried > 200


def test_a_part_too_much(state: dict[str, Any]) -> None:
    tried = 0
    for path in parts(state):
        found = at(state, path)
        if not isinstance(found, dict) or (path and (path[-1] in FREE or path[-1] in NAMED)):
            continue
        assert "surprise" in refused(spoilt(state, path, {**found, "surprise": 1}))
        tried += 1
    assert tried > 20


class Alien:
    """No type that a state has."""


@pytest.mark.parametrize("wrong", [Alien(), [Alien()], {"x": Alien()}, -1, True, "\ud800"])
def test_a_part_of_the_wrong_type(state: dict[str, Any], wrong: Any) -> None:
    """Refused, or, where it happens to fit, taken: never another error."""
    tried = 0
    for path in parts(state):
        if not path or path[-1] in FREE:
            continue
        try:
            ExecutionContext.from_state(spoilt(state, path, wrong))
        except InputError as error:
            assert len(str(error)) < 2000
            tried += 1
    assert tried > 150


@pytest.mark.parametrize(
    ("path", "wrong", "says"),
    [
        (("running",), [["mail", None]], "mail"),
        (("running",), [["slow"]], "running[0]"),
        (("nested", 0, "name"), "other", "other"),
        (("nested", 1, "present"), "yes", "present"),
        (("marks", 1, "states", 0), [9, 0], "9"),
        (("marks", 1, "states", 0), [0, 9], "9"),
        (("marks", 1, "nested", "lost"), 7, "7"),
        (("touched",), [5], "5"),
        (("marks", 1, "checkpoint", "id"), "short", "8 characters"),
        (("marks", 1, "checkpoint", "id"), "00000001", "no other"),
        (("steps", "load", "status"), "flying", "flying"),
        (("status",), "asleep", "asleep"),
        (("marks", 0, "variables", "bindings", 0, 2), "half", "bindings[0]"),
        (("format_version",), 2, "format 2"),
    ],
)
def test_what_does_not_go_together(state: dict[str, Any], path: Path, wrong: Any, says: str) -> None:
    assert says in refused(spoilt(state, path, wrong))


def test_contexts_nested_without_end() -> None:
    one = ExecutionContext("r", "p").export_state()
    state = copy.deepcopy(one)
    inner = state
    name = "r"
    for _ in range(2000):
        name += ".x"
        deeper = {**copy.copy(one), "execution_id": name, "nested": []}
        inner["nested"] = [{"name": "x", "present": True, "state": deeper}]
        inner = deeper
    assert "too deeply" in refused(state)
