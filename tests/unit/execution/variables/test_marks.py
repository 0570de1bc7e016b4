"""Marks: back to where things stood, at the cost of what changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from orchestrator.errors import InputError, TemporaryGoneError
from orchestrator.execution.variables import (
    Change,
    Delete,
    OpenContext,
    RecordedCell,
    VariableManager,
    VariableScope,
    Write,
    encode_cell,
)
from orchestrator.journal.codec import Encoded, decode, pack


def test_what_differs_gets_a_new_version_and_what_came_later_goes() -> None:
    manager = VariableManager()
    manager.set_variable("same", 1)
    manager.set_variable("again", 1)
    manager.set_variable("a", [1], description="first", tags={"t"})
    manager.set_variable("gone", 1)
    mark = manager.mark()
    assert manager.changes_since(mark) == ()
    manager.set_variable("again", 1, description="not at the mark")
    manager.set_variable("a", [2], description="second", tags={"u"})
    manager.delete_variable("gone")
    manager.set_variable("later", 1)
    manager.set_template("later_too", "${a}")
    manager.restore(mark, "restore:1")
    assert manager.list_variables() == {"same": 1, "again": 1, "a": [1], "gone": 1}
    found = manager.list_variables(include_metadata=True)
    versions = {name: (one["metadata"].version, one["metadata"].source_step) for name, one in found.items()}
    assert versions == {
        "same": (1, None),
        "again": (3, "restore:1"),
        "a": (3, "restore:1"),
        "gone": (2, "restore:1"),
    }
    assert (found["a"]["metadata"].description, found["a"]["metadata"].tags) == ("first", {"t"})
    assert found["again"]["metadata"].description is None
    assert [v.value for v in manager.get_variable_history("a")] == [[1], [2]]
    assert manager.restore(mark, "restore:1") == ()


def test_marks_are_independent_of_each_other() -> None:
    manager = VariableManager()
    marks = []
    for number in range(5):
        manager.set_variable("a", number)
        manager.set_variable(f"v{number}", number)
        marks.append(manager.mark())
    manager.forget(marks.pop(2))
    manager.restore(marks[2])
    assert manager.list_variables() == {"a": 3, **{f"v{n}": n for n in range(4)}}
    manager.restore(marks[0])
    assert manager.list_variables() == {"a": 0, "v0": 0}
    manager.restore(marks[3])
    assert manager.list_variables() == {"a": 4, **{f"v{n}": n for n in range(5)}}
    manager.forget(marks[0])
    with pytest.raises(InputError):
        manager.restore(marks[0])
    with pytest.raises(InputError):
        VariableManager().changes_since(marks[1])


def test_contexts_templates_and_dependencies_come_back() -> None:
    manager = VariableManager()
    outer = manager.create_context()
    inner = manager.create_context(outer)
    manager.set_variable("a", 1, context_id=inner)
    manager.set_variable("a", 2, context_id=inner)
    manager.set_template("t", "<${a}>")
    manager.add_dependency("t", {"b"})
    mark = manager.mark()
    made = manager.create_context(outer)
    manager.set_variable("x", 1, context_id=made)
    manager.set_variable("a", 3, context_id=inner)
    manager.destroy_context(outer)
    manager.delete_variable("t")
    changes = manager.restore(mark)
    assert manager.get_variable("t", context_id=inner) == "<2>"
    assert manager.get_dependencies("t") == {"a", "b"}
    found = manager.get_variable_metadata("a", inner)
    assert found is not None
    assert found.version == 4
    assert [type(change) for change in changes[:2]] == [OpenContext, OpenContext]
    with pytest.raises(InputError):
        manager.get_variable("x", context_id=made)


def test_a_temporary_does_not_come_back() -> None:
    manager = VariableManager()
    held = object()
    manager.set_variable("conn", held, VariableScope.TEMPORARY)
    manager.set_variable("kept", held, VariableScope.TEMPORARY)
    before = sys.getrefcount(held)
    mark = manager.mark()
    manager.delete_variable("conn")
    assert sys.getrefcount(held) == before - 1
    manager.set_variable("new", 1, VariableScope.TEMPORARY)
    manager.restore(mark)
    assert manager.get_variable("kept") is held
    assert not manager.has_variable("conn")
    with pytest.raises(TemporaryGoneError):
        manager.get_variable("conn")
    assert manager.get_variable("new", "default") == "default"
    assert manager.restore(mark) == ()


def test_the_cost_is_that_of_the_changes() -> None:
    manager = VariableManager()
    for number in range(10_000):
        manager.set_variable(f"v{number}", number)
    mark = manager.mark()
    for number in range(10):
        manager.set_variable(f"v{number}", -1)

    def count(work: object) -> int:
        lines = 0

        def trace(frame: object, event: str, arg: object) -> object:
            nonlocal lines
            lines += 1
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            work()  # type: ignore[operator]
        finally:
            sys.settrace(None)
        return lines

    before = sys.gettrace()
    try:
        assert count(manager.mark) < 50
        assert count(lambda: manager.restore(mark)) < 3_000
    finally:
        sys.settrace(before)
    assert manager.get_variable("v3") == 3


def test_a_context_that_came_and_went_leaves_nothing_to_undo() -> None:
    manager = VariableManager()
    mark = manager.mark()
    for _ in range(100):
        context = manager.create_context()
        manager.set_variable("item", 1, context_id=context)
        manager.destroy_context(context)
    assert manager.changes_since(mark) == ()
    assert mark._segment is not None
    assert not mark._segment.bindings
    assert not mark._segment.contexts


class Journal:
    """A recorder that applies what it was given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Sequence[Change]] = []

    def record(self, changes: Sequence[Change]) -> None:
        self.waiting.append(changes)

    def unrecorded(self, name: str) -> None:
        return None


def test_a_recorder_decides_when_changes_are_applied() -> None:
    manager, journal = VariableManager(), Journal()
    manager.recorder = journal
    manager.set_variable("a", {"x": 1}, source_step="load", tags={"t"})
    manager.set_template("t", "${a.x}")
    context = manager.create_context()
    assert manager.list_variables() == {}
    assert not manager.delete_variable("a")
    (write,), (template,), (opened,) = journal.waiting
    assert isinstance(write, Write)
    assert isinstance(template, Write)
    assert (write.name, write.source_step, write.tags, decode(encode_cell(write.cell))) == (
        "a",
        "load",
        {"t"},
        {"x": 1},
    )
    assert decode(encode_cell(template.cell)) == "${a.x}"
    assert opened == OpenContext(context)
    for changes in journal.waiting:
        manager.apply(changes, at=5.0)
    assert manager.get_variable("t") == 1
    found = manager.get_variable_metadata("a")
    assert found is not None
    assert found.updated_at.timestamp() == 5.0
    journal.waiting.clear()
    assert manager.delete_variable("a")
    assert journal.waiting == [(Delete("a"),)]
    manager.apply([Write("b", RecordedCell(Encoded(pack(1)), lambda _: b""), context_id="no context")])
    assert manager.list_variables() == {"a": {"x": 1}, "t": 1}


def test_the_history_of_a_context_goes_with_the_last_mark_that_knows_it() -> None:
    manager = VariableManager()
    manager.mark()
    inner = manager.create_context()
    manager.set_variable("n", 1, context_id=inner)
    later = manager.mark()
    manager.destroy_context(inner)
    log = manager._table.log()
    assert list(log._histories) == [inner]
    manager.forget(later)
    assert not log._histories


def test_what_a_restore_gives_back_never_has_its_old_version_again() -> None:
    manager = VariableManager()
    manager.set_variable("n", 1)
    manager.set_variable("n", 2)
    mark = manager.mark()
    manager.delete_variable("n")
    manager.release()  # takes the history, from which the versions would go on
    manager.restore(mark)
    metadata = manager.get_variable_metadata("n")
    assert metadata is not None
    assert metadata.version == 3
