"""The adapter behaves as a dict does, over a manager that others use as well."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.errors import InputError
from orchestrator.execution.integration import VariableManagerAdapter
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableManager, VariableScope, VariableType

NAMES = st.sampled_from(["a", "b", "c", "months[3]", "with space"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


class AsADict(RuleBasedStateMachine):
    """Every verb of a mutable mapping, on the adapter and on a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = VariableManager()
        self.manager.set_variable("of the step", 1, VariableScope.STEP)
        self.ours = VariableManagerAdapter(self.manager)
        self.plain: dict[str, Any] = {}

    def both(self, verb: str, *args: Any) -> None:
        def outcome(target: Any) -> Any:
            try:
                return getattr(target, verb)(*args)
            except KeyError:
                return KeyError

        expected = outcome(self.plain)
        got = outcome(self.ours)
        assert got == expected
        assert type(got) is type(expected)

    @rule(name=NAMES, value=VALUES)
    def set_item(self, name: str, value: Any) -> None:
        self.both("__setitem__", name, value)

    @rule(name=NAMES)
    def get_item(self, name: str) -> None:
        self.both("__getitem__", name)

    @rule(name=NAMES)
    def delete_item(self, name: str) -> None:
        self.both("__delitem__", name)

    @rule(name=NAMES | st.integers())
    def contains(self, name: object) -> None:
        self.both("__contains__", name)

    @rule(name=NAMES, args=st.lists(VALUES, max_size=1))
    def get(self, name: str, args: list[Any]) -> None:
        self.both("get", name, *args)

    @rule(name=NAMES, args=st.lists(VALUES, max_size=1))
    def pop(self, name: str, args: list[Any]) -> None:
        self.both("pop", name, *args)

    @rule()
    def pop_item(self) -> None:
        self.both("popitem")

    @rule(name=NAMES, value=VALUES)
    def set_default(self, name: str, value: Any) -> None:
        self.both("setdefault", name, value)

    @rule(items=st.dictionaries(NAMES, VALUES, max_size=3))
    def update(self, items: dict[str, Any]) -> None:
        self.both("update", items)
        self.both("update", list(items.items()))

    @rule()
    def clear(self) -> None:
        self.both("clear")

    @invariant()
    def equal(self) -> None:
        assert self.ours == self.plain
        assert self.plain == self.ours
        assert list(self.ours) == list(self.plain)
        assert list(self.ours.items()) == list(self.plain.items())
        assert list(self.ours.values()) == list(self.plain.values())
        assert len(self.ours) == len(self.plain)
        assert dict(self.ours) == self.ours.copy() == self.plain
        assert self.manager.list_variables(scope=VariableScope.GLOBAL) == self.plain


TestAsADict = AsADict.TestCase
TestAsADict.settings = settings(max_examples=25, stateful_step_count=25)


@pytest.fixture
def manager() -> VariableManager:
    return VariableManager()


@pytest.fixture
def adapter(manager: VariableManager) -> VariableManagerAdapter:
    return VariableManagerAdapter(manager)


def test_it_is_not_equal_to_other_things(adapter: VariableManagerAdapter) -> None:
    nothing: object = []
    assert adapter != nothing
    assert adapter != {"a": 1}
    with pytest.raises(TypeError):
        hash(adapter)


def test_what_the_manager_is_told_is_there_at_once(manager: VariableManager, adapter: VariableManagerAdapter) -> None:
    manager.set_variable("rows", [1])
    assert adapter["rows"] == [1]
    adapter["rows"] = [2]
    assert manager.get_variable("rows") == [2]
    manager.delete_variable("rows")
    assert "rows" not in adapter


def test_a_reader_gets_a_copy(adapter: VariableManagerAdapter) -> None:
    adapter["rows"] = given = [1]
    given.append(2)
    adapter["rows"].append(3)
    for value in adapter.values():
        value.append(4)
    assert adapter["rows"] == [1]


def test_a_template_reads_as_what_it_comes_to(manager: VariableManager, adapter: VariableManagerAdapter) -> None:
    manager.set_template("greeting", "Hello ${name}")
    adapter["name"] = "Ada"
    assert adapter["greeting"] == "Hello Ada"
    assert adapter.copy() == {"greeting": "Hello Ada", "name": "Ada"}


def test_set_says_more_than_a_value(manager: VariableManager, adapter: VariableManagerAdapter) -> None:
    adapter.set(
        "limit", 3, var_type=VariableType.CONFIGURATION, source_step="plan", description="most rows", tags={"daily"}
    )
    adapter["limit"] = 4
    known = manager.get_variable_metadata("limit")
    assert known is not None
    assert (known.var_type, known.description, known.tags) == (VariableType.CONFIGURATION, "most rows", {"daily"})
    assert known.version == 2
    assert [(past.value, past.source_step) for past in manager.get_variable_history("limit")] == [(3, "plan")]


def test_a_name_must_be_one(adapter: VariableManagerAdapter) -> None:
    with pytest.raises(InputError, match="name"):
        adapter["${a}"] = 1
    with pytest.raises(InputError, match="named by a text"):
        adapter[3] = 1  # type: ignore[index]
    assert len(adapter) == 0


def test_only_global_variables_count(manager: VariableManager, adapter: VariableManagerAdapter) -> None:
    inner = manager.create_context()
    manager.set_variable("inner", 1, context_id=inner)
    manager.set_variable("loose", 1, VariableScope.STEP)
    manager.push_scope({"alias": "loose"})
    assert list(adapter) == []
    for name in ("inner", "loose", "alias"):
        with pytest.raises(KeyError):
            adapter[name]
        with pytest.raises(KeyError):
            del adapter[name]
    assert manager.get_variable("loose") == 1


def test_a_running_steps_own_variable_is_not_in_the_way() -> None:
    context = ExecutionContext("run", "pipeline")
    adapter = VariableManagerAdapter(context.variable_manager)
    adapter["rows"] = "global"
    context.start_step("load")
    context.variable_manager.set_variable("rows", "the step's", VariableScope.STEP)
    assert adapter["rows"] == "global"
    del adapter["rows"]
    assert "rows" not in adapter
    assert context.variable_manager.get_variable("rows") == "the step's"


def test_a_parents_variables_are_not_among_them() -> None:
    parent = VariableManager()
    parent.set_variable("of the parent", 1)
    adapter = VariableManagerAdapter(VariableManager(parent=parent))
    assert "of the parent" not in adapter
    assert adapter == {}


def test_iteration_goes_over_a_snapshot(adapter: VariableManagerAdapter) -> None:
    adapter.update(a=1, b=2)
    seen = []
    for name in adapter:
        seen.append(name)
        adapter[name + name] = 0
    assert seen == ["a", "b"]


def test_each_item_is_popped_once(adapter: VariableManagerAdapter) -> None:
    names = [f"v{number}" for number in range(60)]
    adapter.update(dict.fromkeys(names, math.pi))
    popped: list[str] = []
    together = threading.Barrier(4)

    def take_all(start: int) -> None:
        together.wait()
        for name in names[start:] + names[:start]:
            if adapter.pop(name, None) is not None:
                popped.append(name)

    threads = [threading.Thread(target=take_all, args=(start,)) for start in (0, 1, 2, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(popped) == sorted(names)
    assert len(adapter) == 0


def test_it_shows_what_it_holds(adapter: VariableManagerAdapter) -> None:
    adapter["a"] = 1
    assert repr(adapter) == "VariableManagerAdapter({'a': 1})"
