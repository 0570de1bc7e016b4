"""Variables: versions, copies, and the sharing that templates get."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.variables import RecordedCell, StepScope, VariableManager, VariableScope, VariableType
from orchestrator.journal.codec import Encoded, pack
from orchestrator.testing.clock import FakeClock


def no_blob(_: bytes) -> bytes:
    raise AssertionError("no blob is needed here")


def recorded(value: object) -> RecordedCell:
    return RecordedCell(Encoded(pack(value)), no_blob)


def test_setting_again_keeps_what_is_not_given_and_counts_versions() -> None:
    clock = FakeClock()
    manager = VariableManager(clock=clock)
    manager.set_variable("a", 1, description="first", tags={"t"}, source_step="one")
    created = manager.get_variable_metadata("a")
    clock.advance(5)
    manager.set_variable("a", 2, source_step="two")
    found = manager.get_variable_metadata("a")
    assert created is not None
    assert found is not None
    assert (found.version, found.description, found.tags, found.source_step) == (2, "first", {"t"}, "two")
    assert found.created_at == created.created_at
    assert found.updated_at > created.updated_at
    assert [(v.version, v.value, v.source_step) for v in manager.get_variable_history("a")] == [(1, 1, "one")]


def test_none_is_a_value() -> None:
    manager = VariableManager()
    manager.set_variable("a", None)
    assert manager.has_variable("a")
    assert manager.get_variable("a", "default") is None
    assert manager.get_variable("b", "default") == "default"


def test_a_reader_may_change_what_it_got() -> None:
    manager = VariableManager()
    mine = {"rows": [1]}
    manager.set_variable("a", mine)
    mine["rows"].append(2)
    manager.get_variable("a")["rows"].append(3)
    assert manager.get_variable("a") == {"rows": [1]}


def test_listing_filters() -> None:
    manager = VariableManager()
    manager.set_variable("a", 1, var_type=VariableType.INPUT)
    manager.set_variable("b", 2, scope=VariableScope.LOOP)
    assert manager.list_variables(var_type=VariableType.INPUT) == {"a": 1}
    assert manager.list_variables(scope=VariableScope.LOOP, include_metadata=True)["b"]["metadata"].name == "b"
    assert manager.delete_variable("a")
    assert not manager.delete_variable("a")


@pytest.mark.parametrize("name", ["", "a$", "{a}", "a\n", "a" * 501, "\ud800", 5, None])
def test_a_bad_name_is_refused(name: Any) -> None:
    with pytest.raises(InputError):
        VariableManager().set_variable(name, 1)


def test_other_names_are_fine() -> None:
    manager = VariableManager()
    for name in ("progress.load.percentage", "1 a", "größe", "a" * 500):
        manager.set_variable(name, name)
        assert manager.get_variable(name) == name


def test_what_templates_share_is_copied_for_handlers_and_follows_a_new_version() -> None:
    manager = VariableManager()
    manager.bind("a", recorded({"rows": [1]}), 0.0)
    scope = StepScope(manager, {"item": recorded([5])})
    first, again = scope["a"], scope["a"]
    assert first is again
    given = scope.own(first)
    given["rows"].append(2)
    assert StepScope(manager, {})["a"] == {"rows": [1]}
    assert scope["item"] is not scope["item"]
    manager.bind("a", recorded({"rows": [9]}), 1.0)
    assert StepScope(manager, {})["a"] == {"rows": [9]}
    assert set(scope) == {"a", "item"}


def test_many_threads_lose_no_version() -> None:
    manager = VariableManager()

    def write() -> None:
        for number in range(200):
            manager.set_variable("a", number)

    threads = [threading.Thread(target=write) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = manager.get_variable_metadata("a")
    assert found is not None
    assert found.version == 3200
