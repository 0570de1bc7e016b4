"""Export and import: everything or nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CircularDependencyError, InputError, OrchestratorError, TemplateError
from orchestrator.execution.variables import VariableManager, VariableScope, VariableType
from orchestrator.journal.codec import pack, unpack


def filled() -> tuple[VariableManager, str, str]:
    manager = VariableManager("p")
    outer = manager.create_context()
    inner = manager.create_context(outer)
    manager.set_variable("rows", [{"n": (1, 2)}], var_type=VariableType.INPUT, description="d", tags={"b", "a"})
    manager.set_variable("rows", [{"n": (1, 3)}], source_step="load")
    manager.set_variable("item", 5, VariableScope.LOOP, context_id=inner)
    manager.set_variable("conn", object(), VariableScope.TEMPORARY)
    manager.set_template("t", ["${rows[0].n}", "${item}"])
    manager.add_dependency("rows", {"source"})
    return manager, outer, inner


def test_a_round_trip_gives_an_equal_state() -> None:
    manager, _, inner = filled()
    state = manager.export_state()
    assert set(state) == {
        "pipeline_id",
        "global_variables",
        "context_variables",
        "dependency_graph",
        "variable_templates",
        "format_version",
    }
    other = VariableManager("other")
    other.import_state(unpack(pack(state)))
    assert other.pipeline_id == "p"
    assert other.export_state() == state
    assert other.get_variable("t", context_id=inner) == [(1, 3), 5]
    assert other.get_variable_metadata("rows") == manager.get_variable_metadata("rows")
    assert other.get_variable_metadata("item", inner) == manager.get_variable_metadata("item", inner)
    assert other.create_context() not in state["context_variables"]
    state["global_variables"]["rows"]["value"].clear()
    assert manager.get_variable("rows") == other.get_variable("rows") == [{"n": (1, 3)}]


def test_one_context_with_those_around_it() -> None:
    manager, outer, inner = filled()
    other = manager.create_context()
    assert set(manager.export_state(inner)["context_variables"]) - {""} == {outer, inner}
    assert set(manager.export_state(other)["context_variables"]) - {""} == {other}
    with pytest.raises(InputError):
        manager.export_state("nowhere")


def test_import_replaces_all_and_versions_go_on() -> None:
    manager, outer, _ = filled()
    state = manager.export_state()
    mark = manager.mark()
    manager.set_variable("rows", 1)
    manager.set_variable("later", 1)
    manager.destroy_context(outer)
    manager.import_state(state)
    assert not manager.has_variable("later")
    found = manager.get_variable_metadata("rows")
    assert found is not None
    assert (found.version, found.source_step) == (4, "load")
    assert manager.export_state(outer)["context_variables"].keys() == {"", outer}
    manager.restore(mark)
    assert manager.get_variable("rows") == [{"n": (1, 3)}]


def damage(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        *way, last = path.split("/")
        for key in way:
            state = state[key]
        if value is Ellipsis:
            del state[last]
        else:
            state[last] = value

    return change


DAMAGED = [
    ("pipeline_id", 5, "pipeline_id"),
    ("pipeline_id", ..., "pipeline_id"),
    ("format_version", 2, "newer"),
    ("format_version", "1", "format_version"),
    ("format_version", True, "format_version"),
    ("extra", 1, "extra"),
    ("global_variables", [], "global_variables"),
    ("global_variables/rows", 5, "global_variables.rows"),
    ("global_variables/rows/value", ..., "value"),
    ("global_variables/rows/more", 1, "more"),
    ("global_variables/a$", {"value": 1, "metadata": {}}, "cannot name"),
    ("global_variables/rows/metadata/version", 0, "global_variables.rows.metadata.version"),
    ("global_variables/rows/metadata/scope", "far", "global_variables.rows.metadata.scope"),
    ("global_variables/rows/metadata/scope", "temporary", "TEMPORARY"),
    ("global_variables/rows/metadata/name", "other", "not the name"),
    ("global_variables/rows/metadata/created_at", "now", "created_at"),
    ("global_variables/rows/metadata/updated_at", datetime.max, "updated_at"),
    ("global_variables/rows/metadata/tags", [1], "tags"),
    ("global_variables/rows/metadata", ..., "metadata"),
    ("variable_templates/t", "${", "closed"),
    ("variable_templates/other", "x", "variable_templates.other"),
    ("dependency_graph/rows", "a", "dependency_graph.rows"),
    ("dependency_graph/rows", ["${"], "cannot name"),
    ("dependency_graph/rows", ["t"], "t -> rows -> t|rows -> t -> rows"),
    ("context_variables/INNER/parent_id", "nowhere", "nowhere"),
    ("context_variables/OUTER/parent_id", "INNER", "inside of itself"),
    ("context_variables/OUTER/variables", None, "variables"),
    ("context_variables/OUTER/dropped", "x", "dropped"),
    ("context_variables/OUTER", ..., "there is no context"),
    ("context_variables//parent_id", "OUTER", "root"),
    ("context_variables", {5: {}}, "context_variables"),
]


@pytest.mark.parametrize(("path", "value", "words"), DAMAGED, ids=lambda part: str(part)[:40])
def test_a_damaged_state_is_refused_and_changes_nothing(path: str, value: Any, words: str) -> None:
    manager, outer, inner = filled()
    path = path.replace("OUTER", outer).replace("INNER", inner)
    value = inner if value == "INNER" else outer if value == "OUTER" else value
    state = manager.export_state()
    damage(path, value)(state)
    before = manager.export_state()
    with pytest.raises((InputError, TemplateError, CircularDependencyError), match=words):
        manager.import_state(state)
    assert manager.export_state() == before
    assert isinstance(manager.get_variable("conn"), object)


JUNK = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just({"a": 1})


@given(st.data())
def test_any_part_may_be_junk(data: st.DataObject) -> None:
    manager, _, _ = filled()
    state = copy.deepcopy(manager.export_state())
    before = manager.export_state()
    part: Any = state
    while True:
        key = data.draw(st.sampled_from(sorted(part)))
        if isinstance(part[key], dict) and part[key] and key != "value" and data.draw(st.booleans()):
            part = part[key]
            continue
        part[key] = data.draw(JUNK)
        break
    try:
        manager.import_state(state)
    except OrchestratorError as error:
        assert str(error)
        assert manager.export_state() == before
    else:
        manager.export_state()


@pytest.mark.parametrize("state", [None, 5, [], {}, "x"])
def test_what_is_no_state_at_all(state: Any) -> None:
    with pytest.raises(InputError):
        VariableManager().import_state(state)


def test_the_versions_of_deleted_names_go_on() -> None:
    manager, outer, _ = filled()
    for context_id in (None, outer):
        manager.set_variable("gone", 1, context_id=context_id)
        manager.set_variable("gone", 2, context_id=context_id)
        manager.delete_variable("gone", context_id)
    state = manager.export_state()
    again = VariableManager()
    again.import_state(state)
    assert again.export_state() == state
    for context_id in (None, outer):
        again.set_variable("gone", 3, context_id=context_id)
        metadata = again.get_variable_metadata("gone", context_id)
        assert metadata is not None
        assert metadata.version == 3


@pytest.mark.parametrize(
    "last",
    [{}, [["", "x"]], [["", "x", 0]], [["nowhere", "x", 1]], [["", "rows", 1]], [["", "$", 1]], [[None, "x", 1]]],
)
def test_bad_last_versions(last: Any) -> None:
    manager, _, _ = filled()
    state = manager.export_state()
    with pytest.raises(InputError, match="last_versions"):
        manager.import_state({**state, "last_versions": last})
    assert manager.export_state() == state


def test_times_without_a_zone_are_kept_as_given() -> None:
    manager, _, _ = filled()
    state = manager.export_state()
    given = state["global_variables"]["rows"]["metadata"]
    given["created_at"], given["updated_at"] = datetime(2026, 1, 2, 3), datetime(2026, 1, 2, 4)
    again = VariableManager()
    again.import_state(state)
    assert again.export_state() == state
    mark = again.mark()
    again.set_variable("rows", 1)
    metadata = again.get_variable_metadata("rows")
    assert metadata is not None
    assert metadata.created_at == datetime(2026, 1, 2, 3)
    assert metadata.updated_at > datetime(2026, 1, 2, 4).astimezone()
    again.restore(mark)
