"""Expressions: the language of Jinja2, on plain data, strict, with nothing undefined in a result."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest

from orchestrator.errors import TemplateError, UnknownNameError
from orchestrator.pipelines.sandbox import LEFT_OUT
from orchestrator.pipelines.templates import compile_value

SCOPE: dict[str, Any] = {
    "x": 3,
    "name": "Ada",
    "rows": [{"m": "jan", "v": 1}, {"m": "feb", "v": 5}, {"m": "jan", "v": 2}],
    "empty": [],
    "row": {"a": 1, "b": None},
    "day": date(2020, 2, 29),
    "price": Decimal("1.10"),
    "file": PurePosixPath("data/x.csv"),
}


def value_of(expression: str) -> Any:
    return compile_value(f"${{{expression}}}").resolve(SCOPE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x + 1", 4),
        ("x ** 2 // 2", 4),
        ("7 % x", 1),
        ("[1] + [x]", [1, 3]),
        ("name + '!'", "Ada!"),
        ("'ab' * 2", "abab"),
        ("('a\nb') | indent(2)", "a\n  b"),
        ("name | replace('a', 'o') | center(7)", "  Ado  "),
        ("1.25 | round(1)", 1.2),
        ("x > 2 and name == 'Ada'", True),
        ("'big' if x > 2 else 'small'", "big"),
        ("rows | length > 0", True),
        ("rows | map(attribute='v') | sum", 8),
        ("rows | map(attribute='v')", [1, 5, 2]),
        ("rows | selectattr('v', 'gt', 1) | map(attribute='m')", ["feb", "jan"]),
        ("rows | map(attribute='m') | unique | sort", ["feb", "jan"]),
        ("rows | sort(attribute='v') | last", {"m": "feb", "v": 5}),
        ("rows | batch(2) | map('length')", [2, 1]),
        ("rows | first", {"m": "jan", "v": 1}),
        ("rows[x - 1].v", 2),
        ("rows[1:] | length", 2),
        ("range(x)", [0, 1, 2]),
        ("row.keys()", ["a", "b"]),
        ("row | items", [("a", 1), ("b", None)]),
        ("dict(a=x)", {"a": 3}),
        ("{'k': [x, {'n': name}]}", {"k": [3, {"n": "Ada"}]}),
        ("[x, (name, 1)]", [3, ("Ada", 1)]),
        ("name ~ '-' ~ x", "Ada-3"),
        ("name | upper", "ADA"),
        ("name.lower()", "ada"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("'-'.join(['a', 'b'])", "a-b"),
        ("'%05.1f %s' | format(x, name)", "003.0 Ada"),
        ("rows | tojson", '[{"m": "jan", "v": 1}, {"m": "feb", "v": 5}, {"m": "jan", "v": 2}]'),
        ("'<é>' | tojson", '"<é>"'),
        ("'<é>' | escape", "&lt;é&gt;"),
        ("day.isoformat()", "2020-02-29"),
        ("day.strftime('%Y-%m')", "2020-02"),
        ("price * 2", Decimal("2.20")),
        ("file.with_suffix('.svg')", PurePosixPath("data/x.svg")),
        ("file / 'y'", PurePosixPath("data/x.csv/y")),
        ("true", True),
        ("none", None),
        ("x is odd", True),
        ("'}' ~ '{'", "}{"),
        (
            "rows | groupby('m')",
            [
                {"grouper": "feb", "list": [{"m": "feb", "v": 5}]},
                {"grouper": "jan", "list": [{"m": "jan", "v": 1}, {"m": "jan", "v": 2}]},
            ],
        ),
    ],
)
def test_values(expression: str, expected: Any) -> None:
    result = value_of(expression)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("nobody | default('d')", "d"),
        ("row.c | default(x)", 3),
        ("row.c.d.e | default('deep')", "deep"),
        ("row.b | default('null is a value')", None),
        ("nobody is defined", False),
        ("row.a is defined", True),
        ("row.c is undefined", True),
        ("x if x else nobody", 3),
        ("empty | first | default(0)", 0),
        ("x or nobody", 3),
    ],
)
def test_what_may_be_missing(expression: str, expected: Any) -> None:
    assert value_of(expression) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "nobody + 1",
        "[nobody]",
        "{'a': [nobody]}",
        "dict(a=nobody)",
        "nobody | items",
        "nobody | tojson",
        "nobody | length",
        "nobody ~ 'x'",
        "nobody.upper()",
        "x and nobody",
        "nobody | list",
        "[1, nobody] | first",
    ],
)
def test_nothing_unknown_slips_through(expression: str) -> None:
    with pytest.raises(UnknownNameError, match="nothing is named 'nobody'"):
        value_of(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "rows | map(attribute='q')",
        "rows[0:1] | groupby('q')",
        "[empty | first]",
        "row['q' ~ '']",
        "[rows[x + 9]]",
        "row.a.b.c",
    ],
)
def test_no_missing_field_slips_through(expression: str) -> None:
    with pytest.raises(TemplateError):
        value_of(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("x +", "this is no expression"),
        ("x y", "'y' does not fit here"),
        ("x | uper", "there is no filter 'uper'; did you mean 'upper'"),
        ("x is odt", "there is no test 'odt'; did you mean 'odd'"),
        ("x if x", "an 'if' needs an 'else'"),
        ("range(*rows)", "a call cannot take '\\*'"),
        ("lipsum()", "only range\\(\\), dict\\(\\) and methods of plain values"),
    ],
)
def test_what_cannot_be_compiled(expression: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        compile_value(f"${{{expression}}}")


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_filters_that_are_left_out_say_why(name: str) -> None:
    with pytest.raises(TemplateError, match=f"there is no filter '{name}' here"):
        compile_value(f"${{x | {name}}}")


def test_an_error_of_the_expression_is_one_sentence_with_its_place() -> None:
    with pytest.raises(TemplateError) as caught:
        compile_value("n = ${x / 0}", "steps.a.with.n").resolve(SCOPE)
    assert str(caught.value) == "${x / 0}: ZeroDivisionError: division by zero (used in steps.a.with.n)"


def test_paths_in_expressions_are_known_before_the_run() -> None:
    compiled = compile_value("${rows[0].m ~ row['a'] ~ (x if row.b is defined else day.year) ~ rows[x]}")
    assert [(use.path, use.guarded) for use in compiled.references] == [
        (("rows", 0, "m"), False),
        (("row", "a"), False),
        (("row", "b"), True),
        (("x",), False),
        (("day", "year"), False),
        (("rows",), False),
    ]


def test_values_are_not_changed() -> None:
    before = repr(SCOPE)
    for expression in ("row.update({})", "rows.append(1)", "rows.sort()", "row.pop('a')", "rows.clear()"):
        with pytest.raises(TemplateError):
            value_of(expression)
    assert repr(SCOPE) == before
