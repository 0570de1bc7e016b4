"""Binding inputs: types, paths, and the texts of a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.pipelines.model import InputSpec, Pipeline, Step, bind_inputs

BASE, WORK = Path("/base"), Path("/work dir")


def bind(specs: dict[str, InputSpec], *, as_text: bool = False, **given: Any) -> dict[str, Any]:
    pipeline = Pipeline(pipeline="p", inputs=specs, steps=[Step(id="a", run="ls")])
    return bind_inputs(pipeline, given, base_dir=BASE, working_dir=WORK, as_text=as_text)


def test_what_is_given_wins_over_the_default() -> None:
    specs = {"a": InputSpec(default=1), "b": InputSpec(default=[1]), "c": InputSpec(default=None)}
    assert bind(specs, a=2) == {"a": 2, "b": [1], "c": None}
    assert bind(specs, a=None) == {"a": None, "b": [1], "c": None}


def test_a_path_is_seen_from_where_it_was_written() -> None:
    specs = {"data": InputSpec(type="path", default="d/x.csv"), "opt": InputSpec(type="path", default=None)}
    assert bind(specs) == {"data": BASE / "d/x.csv", "opt": None}
    assert bind(specs, data="y.csv", opt=Path("z")) == {"data": WORK / "y.csv", "opt": WORK / "z"}
    assert bind(specs, data="/abs/y.csv")["data"] == Path("/abs/y.csv")


def test_every_fault_is_told_at_once() -> None:
    specs = {
        "hot": InputSpec(type="number", description="°C that counts as hot"),
        "rows": InputSpec(type="list", default=[]),
        "n": InputSpec(type="integer", default=1),
    }
    with pytest.raises(InputError) as caught:
        bind(specs, rows="a,b", n=True, rowz=1)
    assert str(caught.value).split("\n") == [
        "the pipeline has no input 'rowz'; did you mean 'rows'?",
        "input 'hot' (°C that counts as hot) is required; give it with -i hot=…",
        "input 'rows': expected a list, got the text 'a,b'",
        "input 'n': expected a whole number, got true",
    ]


@pytest.mark.parametrize(
    ("type_word", "good", "bad"),
    [
        ("string", ["", "x"], [1, None, ["x"]]),
        ("number", [1, 1.5], ["1", True, None]),
        ("integer", [1, -1], [1.0, True, "1"]),
        ("boolean", [True, False], [0, 1, "true"]),
        ("list", [[], (1,)], ["x", {}, None]),
        ("mapping", [{}, {"a": 1}], [[], "x"]),
        ("path", ["x", Path("x")], ["", 1, None]),
        ("any", [None, 1, "x", [], object()], []),
    ],
)
def test_types(type_word: Any, good: list[Any], bad: list[Any]) -> None:
    specs = {"x": InputSpec(type=type_word)}
    for value in good:
        assert bind(specs, x=value)["x"] == (WORK / value if type_word == "path" else value)
    for value in bad:
        with pytest.raises(InputError, match="input 'x': expected"):
            bind(specs, x=value)


@pytest.mark.parametrize(
    ("type_word", "text", "value"),
    [
        ("string", "3", "3"),
        ("string", "[a]", "[a]"),
        ("number", "3", 3),
        ("number", "1e3", 1000.0),
        ("integer", "-7", -7),
        ("boolean", "true", True),
        ("list", "[1, two, '3']", [1, "two", "3"]),
        ("list", "- 1\n- 2", [1, 2]),
        ("mapping", '{"a": ["\\ud83d\\ude00"]}', {"a": ["😀"]}),
        ("mapping", "{a: 1}", {"a": 1}),
        ("mapping", "a: 1", {"a": 1}),
        ("any", "3", 3),
        ("any", "hello world", "hello world"),
        ("any", "", ""),
        ("any", '"3"', "3"),
        ("any", "2020-01-01", "2020-01-01"),
    ],
)
def test_texts_of_a_command_line(type_word: Any, text: str, value: Any) -> None:
    bound = bind({"x": InputSpec(type=type_word)}, as_text=True, x=text)["x"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("type_word", "text", "message"),
    [
        ("number", "many", "expected a number, got the text 'many'"),
        ("boolean", "yes", "expected true or false, got the text 'yes'"),
        ("list", "[1", "cannot be read as YAML: a ',' or '\\]' is missing"),
        ("mapping", "{a: 1, a: 2}", "duplicate key 'a'"),
        ("mapping", '{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("any", "!!python/none x", "tags are not allowed"),
        ("list", "[" * 100_000, "nested more than 64 deep"),
        ("path", "", "expected a path"),
    ],
)
def test_texts_that_do_not_fit(type_word: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bind({"x": InputSpec(type=type_word)}, as_text=True, x=text)


def test_what_is_not_text_is_taken_as_it_is() -> None:
    assert bind({"x": InputSpec(type="list")}, as_text=True, x=[1]) == {"x": [1]}


def test_without_a_file_a_default_is_seen_from_the_working_folder() -> None:
    pipeline = Pipeline(pipeline="p", inputs={"d": InputSpec(type="path", default="x")}, steps=[Step(id="a", run="ls")])
    assert bind_inputs(pipeline, {}, base_dir=None, working_dir=WORK) == {"d": WORK / "x"}
