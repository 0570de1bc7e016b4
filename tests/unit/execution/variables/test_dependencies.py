"""Dependencies: what is shown, and that no circle comes about."""

from __future__ import annotations

import pytest

from orchestrator.errors import CircularDependencyError, InputError
from orchestrator.execution.variables import VariableManager


def test_templates_register_what_they_read() -> None:
    manager = VariableManager()
    manager.set_variable("user", {"name": "Ada"})
    manager.set_template("greeting", "Hello ${user.name}")
    manager.set_template("page", {"title": "${greeting}", "n": "${rows | length}"})
    assert manager.get_dependencies("page") == {"greeting", "rows"}
    assert manager.get_dependencies("page", transitive=True) == {"greeting", "rows", "user"}
    assert manager.get_dependents("user") == {"greeting"}
    assert manager.get_dependents("user", transitive=True) == {"greeting", "page"}
    found = manager.get_variable_metadata("page")
    assert found is not None
    assert found.dependencies == {"greeting", "rows"}
    manager.set_variable("user.name", "Bob")
    assert manager.get_dependencies("greeting") == {"user.name"}
    assert manager.get_dependents("user") == set()


def test_a_circle_is_shown_and_changes_nothing() -> None:
    manager = VariableManager()
    manager.set_template("a", "${b}")
    manager.add_dependency("b", {"c", "d"})
    with pytest.raises(CircularDependencyError, match="c -> a -> b -> c") as caught:
        manager.set_template("c", "${a}")
    assert caught.value.cycle == ("c", "a", "b", "c")
    assert isinstance(caught.value, InputError)
    with pytest.raises(CircularDependencyError):
        manager.add_dependency("c", {"x", "a"})
    with pytest.raises(CircularDependencyError, match="e -> e"):
        manager.add_dependency("e", {"e"})
    assert not manager.has_variable("c")
    assert manager.get_dependencies("c") == set()
    assert manager.get_dependents("x") == set()


def test_circles_over_dotted_names_are_found_before_they_exist() -> None:
    manager = VariableManager()
    manager.set_template("a.x", "${b.x}")
    with pytest.raises(CircularDependencyError):
        manager.set_template("b.x", "${a.x}")
    with pytest.raises(CircularDependencyError):
        manager.set_template("b", "${a.x}")


def test_what_was_added_goes_with_the_variable_and_a_template_with_its_value() -> None:
    manager = VariableManager()
    manager.set_template("t", "${a}")
    manager.add_dependency("t", "b")
    assert manager.get_dependencies("t") == {"a", "b"}
    manager.set_variable("t", 1)
    assert manager.get_dependencies("t") == {"b"}
    manager.delete_variable("t")
    assert manager.get_dependencies("t") == set()
    manager.set_template("a", "${t}")
