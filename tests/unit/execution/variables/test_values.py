"""What a manager holds, and that nobody sees what another does to it."""

from __future__ import annotations

import enum
import socket
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pydantic
import pytest

from orchestrator.errors import InputError, TemporaryGoneError
from orchestrator.execution.variables import Variable, VariableManager, VariableMetadata, VariableScope, VariableType
from orchestrator.testing.clock import FakeClock


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Row:
    name: str
    tags: list[str] = field(default_factory=list)


class Model(pydantic.BaseModel):
    x: int


VALUES = [
    None,
    5,
    10**30,
    1.5,
    "text ${a}",
    b"bytes",
    Decimal("1.50"),
    UUID(int=5),
    Path("a/b"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, tzinfo=UTC),
    timedelta(seconds=5),
    (1, [2]),
    {1, 2},
    frozenset({"a"}),
    {"a": [1, {"b": (2,)}]},
    {1: "a", (2, 3): "b"},
    OrderedDict(a=1),
    Colour.RED,
    Row("a", ["b"]),
    Model(x=1),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_equal_of_equal_types(value: Any) -> None:
    manager = VariableManager()
    manager.set_variable("v", value)
    found = manager.get_variable("v")
    assert found == value
    assert type(found) is type(value)
    assert manager.resolve_template("${v}") == value


def test_an_array_is_copied() -> None:
    manager = VariableManager()
    mine = np.arange(3)
    manager.set_variable("v", mine)
    mine[0] = 9
    manager.get_variable("v")[1] = 9
    assert manager.get_variable("v").tolist() == [0, 1, 2]


def test_what_cannot_be_encoded_is_held_by_reference() -> None:
    class Local:
        pass

    made = type("Vanished", (), {"__module__": "nowhere"})
    itself: list[Any] = []
    itself.append(itself)
    with socket.socket() as sock:
        for value in (sock, threading.Lock(), lambda: 1, object(), Local(), Local, made(), itself):
            manager = VariableManager()
            manager.set_variable("v", value)
            assert manager.get_variable("v") is value
            assert manager.resolve_template("${v}") is value


def test_a_class_that_cannot_be_found_again_is_held_by_reference() -> None:
    lost = enum.Enum("Lost", {"A": 1}, module="a_module_that_is_not_imported")  # type: ignore[misc]
    manager = VariableManager()
    manager.set_variable("v", [lost.A])
    assert manager.get_variable("v") == [lost.A]


def test_a_held_object_beside_shared_values_leaves_those_alone() -> None:
    manager = VariableManager()
    held = object()
    manager.set_variable("held", held)
    manager.set_variable("rows", [1])
    manager.resolve_template("${rows}")
    first = manager.resolve_template(["${held}", "${rows}"])
    assert first[0] is held
    first[1].append(2)
    assert manager.get_variable("rows") == [1]
    assert manager.resolve_template("${rows | length}") == 1


def test_what_a_resolution_gave_is_its_readers_own() -> None:
    manager = VariableManager()
    manager.set_variable("rows", [1])
    for _ in range(2):
        for template, number in (("${rows}", 1), (["${rows}"], 1), ("${rows + [2]}", 2)):
            found = manager.resolve_template(template)
            inner = found[0] if isinstance(template, list) else found
            assert len(inner) == number
            inner.append(9)
    assert manager.resolve_template("${rows | length}") == 1


def test_temporary_is_by_reference_and_never_saved() -> None:
    manager = VariableManager()
    rows = [1]
    manager.set_variable("rows", rows, scope=VariableScope.TEMPORARY)
    assert manager.get_variable("rows") is rows
    state = manager.export_state()
    assert "rows" not in state["global_variables"]
    other = VariableManager()
    other.import_state(state)
    assert not other.has_variable("rows")
    with pytest.raises(TemporaryGoneError, match="TEMPORARY variable 'rows' is gone"):
        other.get_variable("rows", "default")
    with pytest.raises(TemporaryGoneError):
        other.resolve_template("${rows}", strict=True)
    assert other.resolve_template("${rows}") == "${rows}"
    assert other.get_variable("others", "default") == "default"
    other.set_variable("rows", 2)
    assert other.get_variable("rows") == 2
    assert not other.delete_variable("nothing")


def test_history_keeps_no_temporary_alive() -> None:
    manager = VariableManager()
    manager.set_variable("rows", [1], scope=VariableScope.TEMPORARY, source_step="one")
    manager.set_variable("rows", [2])
    assert [(v.version, v.value, v.source_step) for v in manager.get_variable_history("rows")] == [(1, None, "one")]


def test_versions_go_on_after_a_deletion() -> None:
    clock = FakeClock()
    manager = VariableManager(clock=clock)
    manager.set_variable("a", 1, description="first")
    manager.set_variable("a", 2)
    assert manager.delete_variable("a")
    assert [v.value for v in manager.get_variable_history("a")] == [1, 2]
    clock.advance(1)
    manager.set_variable("a", 3)
    found = manager.get_variable_metadata("a")
    assert found is not None
    assert (found.version, found.description, found.created_at.timestamp()) == (3, None, clock.time())
    assert [v.version for v in manager.get_variable_history("a")] == [1, 2]


def test_history_is_bounded_and_limited() -> None:
    manager = VariableManager()
    for number in range(150):
        manager.set_variable("a", number, source_step=f"step{number}")
    kept = manager.get_variable_history("a")
    assert [v.version for v in kept] == list(range(50, 150))
    assert [v.source_step for v in manager.get_variable_history("a", limit=2)] == ["step147", "step148"]
    assert manager.get_variable_history("a", limit=0) == []
    assert manager.get_variable_history("b") == []
    with pytest.raises(InputError):
        manager.get_variable_history("a", limit=-1)


def test_words_of_enums_are_taken_and_others_refused() -> None:
    manager = VariableManager()
    manager.set_variable("a", 1, "loop", "output")  # type: ignore[arg-type]
    assert manager.list_variables(scope=VariableScope.LOOP, var_type=VariableType.OUTPUT) == {"a": 1}
    with pytest.raises(InputError, match="did you mean 'global'"):
        manager.set_variable("a", 1, "globl")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="tags"):
        manager.set_variable("a", 1, tags="daily")  # type: ignore[arg-type]
    assert manager.get_variable("a") == 1


def test_a_variable_keeps_its_metadata_in_step() -> None:
    variable = Variable("a", [1], VariableMetadata("other"))
    assert variable.metadata.name == variable.name == "a"
    twin = variable.copy()
    twin.value.append(2)
    twin.metadata.tags.add("t")
    assert variable.value == [1]
    assert variable.metadata.tags == set()
    before = variable.metadata.updated_at
    variable.update_value(5, "step")
    assert (variable.value, variable.metadata.version, variable.metadata.source_step) == (5, 2, "step")
    assert variable.metadata.updated_at > before
    variable.metadata = VariableMetadata("c", updated_at=datetime(2999, 1, 1))
    assert variable.metadata.name == "a"
    variable.metadata.update_timestamp()
    assert variable.metadata.updated_at > datetime(2999, 1, 1).astimezone()
    variable.name = "b"
    assert variable.metadata.name == "b"


def test_metadata_as_plain_data() -> None:
    metadata = VariableMetadata("a", VariableScope.LOOP, VariableType.INPUT, tags={"x"}, version=3)
    assert VariableMetadata.from_dict(metadata.to_dict()) == metadata
    for part, wrong in {"version": True, "scope": "far", "tags": "x", "created_at": 5, "name": None}.items():
        with pytest.raises(InputError, match=f"metadata.{part}"):
            VariableMetadata.from_dict({**metadata.to_dict(), part: wrong})


@pytest.mark.parametrize("last", [datetime.max, datetime.max.replace(tzinfo=UTC)])
def test_time_stands_still_at_its_end(last: datetime) -> None:
    metadata = VariableMetadata("n", updated_at=last)
    metadata.update_timestamp()
    assert (metadata.updated_at, metadata.version) == (datetime.max.replace(tzinfo=UTC), 2)
