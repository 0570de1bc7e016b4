"""Templates that mean harm, by way of the manager: one clear error each, within a second, and nothing leaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import CircularDependencyError, OrchestratorError, TemplateError
from orchestrator.execution.variables import VariableManager

HOSTILE = [
    "${a.__class__}",
    "${''.__class__.__mro__[1].__subclasses__()}",
    "${(a).__init__.__globals__}",
    "${a['__class__']}",
    "${rows | map(attribute='__class__') | list}",
    "${rows | attr('__class__')}",
    "${'{0.__class__}'.format(a)}",
    "${'{x.__class__}'.format_map(a)}",
    "${'%999999999d' | format(1)}",
    "${2 ** (2 ** 30)}",
    "${10 ** 10000000}",
    "${'a' * 10**9}",
    "${[0] * 10**9}",
    "${[[0] * 1000] * 1000}",
    "${range(10**9) | list}",
    "${cycler.__init__.__globals__}",
    "${" + "(" * 5_000 + "a" + ")" * 5_000 + "}",
    "${a" + " + a" * 5_000 + "}",
    "${a}" * 100_000,
    "${" * 10_000,
    "${file.unlink()}",
    "${file.read_text()}",
    "${call()}",
]


def manager_with_values() -> VariableManager:
    manager = VariableManager()
    manager.set_variable("a", {"x": 1})
    manager.set_variable("rows", [1, 2])
    manager.set_variable("call", lambda: 1)
    manager.set_variable("file", Path(__file__))
    return manager


@pytest.mark.parametrize("template", HOSTILE, ids=lambda text: text[:30])
@pytest.mark.parametrize("strict", [True, False])
def test_hostile_templates_are_refused(template: str, strict: bool) -> None:
    manager = manager_with_values()
    began = time.perf_counter()
    with pytest.raises(TemplateError):
        manager.resolve_template(template, strict=strict)
    with pytest.raises(TemplateError):
        manager.resolve_template({"inside": [template]}, strict=strict)
    assert time.perf_counter() - began < 1
    assert manager.list_variables().keys() == {"a", "rows", "call", "file"}
    assert Path(__file__).exists()


def doubled_text(manager: VariableManager) -> None:
    manager.set_variable("t0", "x" * 100)
    for number in range(1, 40):
        manager.set_template(f"t{number}", f"${{t{number - 1}}}${{t{number - 1}}}")


def doubled_list(manager: VariableManager) -> None:
    manager.set_template("t0", ["x"])
    for number in range(1, 40):
        manager.set_template(f"t{number}", [f"${{t{number - 1}}}"] * 2)


def doubled_in_an_expression(manager: VariableManager) -> None:
    manager.set_template("t0", ["x"])
    for number in range(1, 40):
        manager.set_template(f"t{number}", f"${{[t{number - 1}, t{number - 1}]}}")


def joined_in_an_expression(manager: VariableManager) -> None:
    manager.set_template("t0", "xx")
    for number in range(1, 40):
        manager.set_template(f"t{number}", f"${{t{number - 1} ~ t{number - 1}}}")


def large_texts_by_other_names(manager: VariableManager) -> None:
    manager.set_variable("text", "x" * 1_000_000)
    manager.set_template("t0", "${text}")
    manager.set_template("t39", "${t0}" * 900)


@pytest.mark.parametrize(
    "build",
    [doubled_text, doubled_list, doubled_in_an_expression, joined_in_an_expression, large_texts_by_other_names],
)
def test_templates_cannot_multiply(build: Callable[[VariableManager], None]) -> None:
    manager = VariableManager()
    build(manager)
    began = time.perf_counter()
    for read in (
        lambda: manager.get_variable("t39"),
        lambda: manager.resolve_template("${t39}"),
        lambda: manager.resolve_template("${[t39, t39]}"),
    ):
        with pytest.raises(TemplateError):
            read()
    assert time.perf_counter() - began < 3


def test_the_last_line_cannot_multiply_either() -> None:
    manager = VariableManager()
    manager.set_template("t", ["x"] * 200_000)
    with pytest.raises(TemplateError, match="allowed"):
        manager.resolve_template("${[" + ", ".join(["t"] * 100) + "]}")
    manager.set_variable("text", "x" * 1_000_000)
    with pytest.raises(TemplateError, match="allowed"):
        manager.resolve_template("${text}" * 500)
    assert len(manager.resolve_template("${text}" * 5)) == 5_000_000


def test_deep_nesting_is_refused() -> None:
    manager = VariableManager()
    deep: object = "${a}"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(TemplateError, match="deep"):
        manager.resolve_template(deep)
    with pytest.raises(TemplateError, match="deep"):
        manager.set_template("t", deep)
    level: object = "${t0}"
    manager.set_variable("t0", 1)
    for number in range(1, 45):
        level = f"${{t{number - 1}}}"
        for _ in range(60):
            level = [level]
        manager.set_template(f"t{number}", level)
    with pytest.raises(TemplateError):
        manager.get_variable("t44")


def test_a_template_cannot_read_itself() -> None:
    manager = VariableManager()
    for template in ("${t}", "${t.x}", "${other ~ t}", "${t | default(1)}"):
        with pytest.raises(CircularDependencyError):
            manager.set_template("t", template)
    assert not manager.has_variable("t")
    with pytest.raises(OrchestratorError):
        manager.set_template("t", "${")
    assert not manager.has_variable("t")
