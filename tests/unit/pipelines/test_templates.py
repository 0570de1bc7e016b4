"""Templates: native values, text, references, and errors that name the place and what comes near."""

from __future__ import annotations

from collections import UserDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import TemplateError, UnknownNameError
from orchestrator.pipelines.templates import compile_value

NAMES = st.sampled_from(["a", "b", "load", "rows"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="$"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = st.tuples(NAMES, st.lists(NAMES | st.integers(-2, 3), max_size=3)).map(lambda pair: (pair[0], *pair[1]))


def naive(scope: Any, path: tuple[str | int, ...]) -> Any:
    """The model: a dict by key, a list by index, a text by index; else a LookupError."""
    value = scope
    for key in path:
        by_key = isinstance(value, dict) and key in value
        by_index = isinstance(value, list | str) and isinstance(key, int)
        if not by_key and not by_index:
            raise LookupError(key)
        value = value[key]
    return value


def written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


@given(st.dictionaries(NAMES, VALUES), PATHS)
def test_a_path_means_what_the_naive_walk_means(scope: dict[str, Any], path: tuple[str | int, ...]) -> None:
    alone, inside = compile_value(f"${{{written(path)}}}"), compile_value(f"${{({written(path)})}}")
    assert alone.references[0].path == path
    try:
        expected = naive(scope, path)
    except LookupError:
        with pytest.raises(TemplateError):
            alone.resolve(scope)
        with pytest.raises(TemplateError):
            inside.resolve(scope)
        assert alone.resolve(scope, strict=False) == f"${{{written(path)}}}"
    else:
        assert alone.resolve(scope) is expected
        assert inside.resolve(scope) is expected


@given(VALUES)
def test_a_value_without_placeholders_stands_for_itself(value: Any) -> None:
    compiled = compile_value(value)
    assert compiled.constant
    assert compiled.resolve({}) == value


@given(st.text())
def test_a_resolved_value_is_not_scanned_again(text: str) -> None:
    assert compile_value("${x}").resolve({"x": text}) == text
    assert compile_value("<${x}>%s%%").resolve({"x": text}) == f"<{text}>%s%%"


def test_a_lone_placeholder_is_native_and_others_make_text() -> None:
    scope = {"n": 3, "rows": [1, 2], "none": None, "digits": "123"}
    assert compile_value("${n}").resolve(scope) == 3
    assert compile_value("${rows}").resolve(scope) is scope["rows"]
    assert compile_value("${digits}").resolve(scope) == "123"
    assert compile_value(" ${n}").resolve(scope) == " 3"
    assert compile_value("${n}/${rows}/${none}/$${n}").resolve(scope) == "3/[1, 2]/None/${n}"


def test_structures_keep_their_types_and_are_new_each_time() -> None:
    compiled = compile_value({"a": ["${x}", ("${x}", 1)], "b": {"c": 2}})
    first, second = compiled.resolve({"x": 7}), compiled.resolve({"x": 7})
    assert first == {"a": [7, (7, 1)], "b": {"c": 2}}
    first["b"]["c"] = 3
    assert second["b"]["c"] == 2
    assert compiled.names == {"x"}
    assert [reference.location for reference in compiled.references] == [("a", 0), ("a", 1, 0)]


def test_references_tell_text_and_offset() -> None:
    compiled = compile_value("from ${ a.b[0] } to ${c | default(d.e)}")
    assert [(r.path, r.text, r.offset, r.guarded) for r in compiled.references] == [
        (("a", "b", 0), "${ a.b[0] }", 5, False),
        (("d", "e"), "${c | default(d.e)}", 20, False),
        (("c",), "${c | default(d.e)}", 20, True),
    ]


class Point(NamedTuple):
    x: int


@dataclass
class Model:
    name: str
    _hidden: str = "secret"

    @property
    def upper(self) -> str:
        return self.name.upper()

    def method(self) -> str:
        return self.name


def test_attributes_of_objects() -> None:
    scope = {"m": Model("ada"), "p": Point(4), "path": PurePosixPath("data/x.csv"), "u": UserDict(items=1)}
    for template, expected in {
        "${m.name}": "ada",
        "${m.upper}": "ADA",
        "${p.x}": 4,
        "${p[0]}": 4,
        "${path.stem}": "x",
        "${u.items}": 1,
    }.items():
        assert compile_value(template).resolve(scope) == expected
    for template, message in {
        "${m.method}": "is a method of 'm', not a value",
        "${m._hidden}": "attributes that begin with '_' are private",
        "${m.nam}": "did you mean 'name'",
        "${path.as_posix}": "is a method",
    }.items():
        with pytest.raises(TemplateError, match=message):
            compile_value(template).resolve(scope)


def test_data_wins_over_methods_and_keys_may_begin_with_a_dash() -> None:
    scope = {"row": {"items": 1, "keys": 2, "_id": 3}}
    assert compile_value("${row.items} ${row.keys} ${row._id} ${row['_id'] + 1}").resolve(scope) == "1 2 3 4"


def test_the_longest_variable_name_wins() -> None:
    scope = {"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "x.y": 3}
    assert compile_value("${a.b.c}").resolve(scope) == 2
    assert compile_value("${a.b.c + 1}").resolve(scope) == 3
    assert compile_value("${a['b'].c}").resolve(scope) == 2
    assert compile_value("${x.y}").resolve(scope) == 3
    assert compile_value("${a.b.c}").resolve({"a.b.c": 9, **scope}) == 9


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${lod.rows}", r"\$\{lod.rows\}: nothing is named 'lod' \(used in steps.x.with.a\); did you mean 'load'\?"),
        ("${lod + 1}", r"nothing is named 'lod' \(used in steps.x.with.a\); did you mean 'load'"),
        ("${load.row}", "'load' has no 'row'; did you mean 'rows'"),
        ("${load.zzz}", "'load' has no 'zzz'; it has 'rows', 'none'"),
        ("${load.rows[5]}", r"'load.rows' has 2 items, so there is no \[5\]"),
        ("${load.rows.mean}", r"'load.rows' is a list of 2 and has no 'mean'; one item is load.rows\[0\]"),
        ("${load.none.x}", "'load.none' is null, so it has no 'x'"),
        ("${text.x}", "'text' is the text 'abc' and has no 'x'"),
        ("${text.upper}", r"call it, as in \$\{text.upper\(\)\}"),
    ],
)
def test_messages_say_how_far_it_came_and_what_is_near(template: str, message: str) -> None:
    scope = {"load": {"rows": [1, 2], "none": None}, "text": "abc"}
    with pytest.raises(TemplateError, match=message) as caught:
        compile_value({"a": template}, "steps.x.with").resolve(scope)
    assert caught.value.placeholder == template


def test_unknown_names_have_their_own_error() -> None:
    with pytest.raises(UnknownNameError) as caught:
        compile_value("a ${lod}").resolve({"load": 1})
    assert (caught.value.name, caught.value.nearest) == ("lod", ("load",))


def test_not_strict_leaves_what_is_unknown_and_raises_what_is_wrong() -> None:
    scope = {"x": 3, "a": {}}
    compiled = compile_value(["${x} ${y} ${a.b} ${y + 1} $${y}", "${y}"])
    assert compiled.resolve(scope, strict=False) == ["3 ${y} ${a.b} ${y + 1} ${y}", "${y}"]
    with pytest.raises(TemplateError, match="division by zero"):
        compile_value("${x / 0}").resolve(scope, strict=False)


def test_every_fault_is_handed_over_with_its_place() -> None:
    found: list[tuple[object, str]] = []
    value = {"a": ["${", "ok"], "b": "x ${1 +}", "${k}": 1}
    compile_value(value, on_fault=lambda location, error: found.append((location, str(error))))
    assert [location for location, _ in found] == [("${k}",), ("a", 0), ("b",)]
    with pytest.raises(TemplateError):
        compile_value(value)


class Moody:
    @property
    def mood(self) -> str:
        raise KeyError("no mood")


def test_an_attribute_that_fails_is_told_as_such() -> None:
    with pytest.raises(TemplateError, match="'mood' of 'm' could not be read: the property itself failed"):
        compile_value("${m.mood}").resolve({"m": Moody()})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TemplateError, match="nested more than 64 deep"):
        compile_value(value)


def test_one_compiled_template_serves_many_threads() -> None:
    compiled = compile_value("${x + 1}:${x}:${rows | join('-')}")

    def work(n: int) -> bool:
        return all(compiled.resolve({"x": n, "rows": [n, n]}) == f"{n + 1}:{n}:{n}-{n}" for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
