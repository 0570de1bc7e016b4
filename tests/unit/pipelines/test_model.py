"""The model: built from Python or from a file, it is the same; what is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PipelineError, PipelineFileError
from orchestrator.pipelines.model import Defaults, InputSpec, OnError, Pipeline, Retry, Step

REPORT = """\
pipeline: weather-report
inputs:
  data: {type: path, default: data/weather.csv}
  hot: {type: number, default: 25, description: "°C that counts as hot"}
defaults: {timeout: 60s, retry: {max_attempts: 3, on: [network, timeout]}}
steps:
  - id: load
    call: weather:load
    with: {path: "${data}"}
  - id: months
    for_each: ${load.months}
    as: month
    max_parallel: 4
    call: weather:summarise
    with: {rows: "${load.rows}", month: "${month}", hot: "${hot}"}
  - id: chart
    run: [python, chart.py, --width, 800]
    when: ${months | length > 0}
    checkpoint: charted
outputs:
  summary: ${months}
"""

BUILT = Pipeline(
    pipeline="weather-report",
    inputs={
        "data": InputSpec(type="path", default="data/weather.csv"),
        "hot": InputSpec(type="number", default=25, description="°C that counts as hot"),
    },
    defaults=Defaults(timeout=timedelta(minutes=1), retry=Retry(max_attempts=3, on=["network", "timeout"])),
    steps=[
        Step(id="load", call="weather:load", with_={"path": "${data}"}),
        Step(
            id="months",
            for_each="${load.months}",
            as_="month",
            max_parallel=4,
            call="weather:summarise",
            with_={"rows": "${load.rows}", "month": "${month}", "hot": "${hot}"},
        ),
        Step(
            id="chart",
            run=["python", "chart.py", "--width", 800],
            when="${months | length > 0}",
            checkpoint="charted",
        ),
    ],
    outputs={"summary": "${months}"},
)


def module_function(path: str) -> str:
    return path


class Holder:
    @staticmethod
    def inner() -> None: ...

    def method(self) -> None: ...


def test_a_file_and_python_give_the_same() -> None:
    loaded = Pipeline.loads(REPORT)
    assert loaded == BUILT
    assert hash(loaded) == hash(BUILT)
    assert loaded.fingerprint == BUILT.fingerprint
    assert loaded.canonical() == BUILT.canonical()


def test_the_canonical_form_is_plain_and_holds_what_was_set() -> None:
    assert Pipeline.loads(REPORT).canonical()["steps"][1] == {
        "id": "months",
        "call": "weather:summarise",
        "with": {"rows": "${load.rows}", "month": "${month}", "hot": "${hot}"},
        "for_each": "${load.months}",
        "as": "month",
        "max_parallel": 4,
    }
    assert BUILT.canonical()["defaults"] == {
        "timeout": 60.0,
        "retry": {"max_attempts": 3, "on": ["network", "timeout"]},
    }
    assert BUILT.canonical()["steps"][2]["run"] == ["python", "chart.py", "--width", "800"]


def test_a_default_that_is_spelt_out_changes_nothing() -> None:
    short = "pipeline: p\nsteps: [{id: a, run: ls}]\n"
    long = (
        "pipeline: p\ndescription: ''\ninputs: {}\ndefaults: {}\noutputs: {}\n"
        "steps: [{parse: text, run: ls, id: a, needs: null}]\n"
    )
    assert Pipeline.loads(short).fingerprint == Pipeline.loads(long).fingerprint


def test_a_default_of_null_is_not_no_default() -> None:
    pipeline = Pipeline.loads("pipeline: p\ninputs: {a: {default: null}, b: {}}\nsteps: [{id: s, run: ls}]\n")
    again = Pipeline.from_canonical(pipeline.canonical())
    assert [again.inputs[name].required for name in "ab"] == [False, True]
    assert InputSpec().required
    assert not InputSpec(default=None).required


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="$"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
RULES = st.fixed_dictionaries(
    {"status": st.integers(100, 599) | st.lists(st.integers(100, 599), min_size=1, max_size=2)},
    optional={
        "category": st.sampled_from(["network", ["user", "timeout"]]),
        "severity": st.sampled_from(["low", ["high", "critical"]]),
        "exception": st.sampled_from(["KeyError", ["requests.exceptions.Timeout"]]),
        "message": st.text("xyz", min_size=1, max_size=3),
    },
).flatmap(
    lambda matching: st.sampled_from(
        [
            {"strategy": "fail_fast"},
            {"strategy": "skip", "output": [1, {"a": None}]},
            {"strategy": "rollback"},
            {"strategy": "retry", "max_attempts": 3, "initial_delay": "2s", "timeout": "1h"},
            {"strategy": "manual_intervention", "instructions": "look", "timeout": 5},
        ]
    ).map(lambda way: {**matching, **way})
)
STEPS = st.fixed_dictionaries(
    {"call": st.just("m:f")},
    optional={
        "with": st.dictionaries(st.text("abc", min_size=1, max_size=3), PLAIN, max_size=3),
        "timeout": st.sampled_from([1, 2.5, "90s", "5m"]),
        "retry": st.fixed_dictionaries(
            {}, optional={"max_attempts": st.integers(1, 9), "jitter": st.floats(0, 1), "on": st.just(["user"])}
        ),
        "checkpoint": st.text("xyz", min_size=1, max_size=3),
        "runner": st.just("process"),
        "returns": st.sampled_from([["a"], {"a": "list"}]),
        "for_each": st.lists(PLAIN, max_size=3),
        "when": st.booleans(),
        "important": st.booleans(),
        "on_error": st.lists(RULES, min_size=1, max_size=3),
    },
)


@given(st.lists(STEPS, min_size=1, max_size=4), PLAIN)
def test_canonical_comes_back_as_it_was(steps: list[dict[str, Any]], output: Any) -> None:
    numbered = [{"id": f"s{index}", **step} for index, step in enumerate(steps)]
    pipeline = Pipeline.from_canonical({"pipeline": "p", "steps": numbered, "outputs": {"o": output}})
    canonical = pipeline.canonical()
    again = Pipeline.from_canonical(canonical)
    assert again == pipeline
    assert again.canonical() == canonical
    assert again.fingerprint == pipeline.fingerprint


def test_rules_are_canonical_in_whatever_way_they_are_written() -> None:
    text = """\
pipeline: p
steps:
  - id: a
    call: m:f
    important: true
    on_error:
      - {category: network, strategy: retry_with_backoff, max_attempts: 3, initial_delay: 2s, severity: null}
      - {status: [502, 503], exception: m.E, strategy: skip, output: []}
"""
    built = Step(
        id="a",
        call="m:f",
        important=True,
        on_error=[
            OnError(
                category=["network"],
                strategy="retry_with_backoff",
                max_attempts=3,
                initial_delay=timedelta(seconds=2),
            ),
            {"status": (502, 503), "exception": ["m.E"], "strategy": "skip", "output": ()},
        ],
    )
    step = Pipeline.loads(text).canonical()["steps"][0]
    assert step == built.canonical()
    assert step["important"] is True
    assert step["on_error"] == [
        {"category": ["network"], "strategy": "retry_with_backoff", "max_attempts": 3, "initial_delay": 2.0},
        {"exception": ["m.E"], "status": [502, 503], "strategy": "skip", "output": []},
    ]


def test_what_is_not_said_about_errors_leaves_no_trace() -> None:
    assert Pipeline.loads(REPORT).fingerprint == "3a1e6e04c1a14fd0"
    step = Step(id="a", call="m:f", important=False, on_error=None)
    assert step.canonical() == {"id": "a", "call": "m:f"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "<rule>: a rule needs the key 'strategy'"),
        ({"strategy": "skip", "steps": ["a"]}, "steps: 'steps' belongs to alternative_path"),
        (
            {"strategy": "retry", "backoff_factor": 2},
            "belongs to retry_with_backoff, the strategy of this rule is 'retry'",
        ),
        ({"strategy": "retry_with_backoff", "initial_delay": 90}, "is longer than max_delay"),
        ({"strategy": "alternative_path", "steps": []}, "there is no step in this list"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_where_it_is_built(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineFileError, match=message):
        OnError(**fields)


def test_the_canonical_form_is_a_copy() -> None:
    given: dict[str, Any] = {"rows": [1, {"a": 2}]}
    step = Step(id="a", call="m:f", with_=given)
    given["rows"].append(3)
    step.canonical()["with"]["rows"].append(4)
    assert step.canonical()["with"] == {"rows": [1, {"a": 2}]}


def test_the_fingerprint_tells_pipelines_apart() -> None:
    prints = {
        Pipeline.loads(REPORT.replace(old, new)).fingerprint
        for old, new in [("", ""), ("hot: {type", "warm: {type"), ("60s", "61s"), ("charted", "drawn"), ("4\n", "5\n")]
        if "warm" not in new
    }
    assert len(prints) == 4


def test_the_folder_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.yaml").write_text(REPORT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Pipeline.load("p.yaml").base_dir == tmp_path
    assert Pipeline.loads(REPORT).base_dir is None
    assert Pipeline.from_canonical(BUILT.canonical(), tmp_path).base_dir == tmp_path
    assert Pipeline.from_canonical(BUILT.canonical(), "").base_dir is None


def test_functions_are_kept_by_name() -> None:
    assert Step(id="a", call=module_function).call == f"{__name__}:module_function"
    assert Step(id="a", call=Holder.inner).call == f"{__name__}:Holder.inner"
    assert Step(id="a", call=len).call == "builtins:len"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 1, "a lambda has no name to be found by after a restart"),
        (partial(module_function, "x"), "has no name to be found by after a restart"),
        (Holder().method, "has no name to be found by after a restart"),
    ],
)
def test_functions_that_cannot_be_found_again(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        Step(id="a", call=function)


def test_a_nested_function_cannot_be_found_again() -> None:
    def nested() -> None: ...

    with pytest.raises(PipelineFileError, match="<step a>: call: 'nested' is defined inside of a function"):
        Step(id="a", call=nested)


def test_faults_of_python_have_a_path_instead_of_a_line() -> None:
    with pytest.raises(PipelineFileError) as caught:
        Step(id="a b", call="m.f", with_={"when": date(2020, 1, 1), 3: 4}, retry={"on": ["netwrok"], "x": 1}, nope=1)  # type: ignore[call-arg, dict-item]
    assert [(fault.path, fault.line) for fault in caught.value.faults] == [
        ("id", 0),
        ("call", 0),
        ("with.when", 0),
        ("with.3", 0),
        ("retry.on[0]", 0),
        ("retry.x", 0),
        ("nope", 0),
    ]
    assert "<step a b>: retry.on[0]: expected validation" in str(caught.value)
    assert "did you mean 'network'?" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "a step is one of call, run, set, .* and fail; this one has none of them"),
        ({"call": "m:f", "run": "ls"}, "this one has call and run"),
        ({"run": "ls", "with_": {}}, "'with' belongs to call"),
        ({"call": "m:f", "as_": "x"}, "'as' belongs to for_each"),
    ],
)
def test_a_step_that_makes_no_sense_is_told_where_it_is_built(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineFileError, match=message):
        Step(id="a", **fields)


def test_a_pipeline_of_mappings_is_checked_like_one_of_objects() -> None:
    with pytest.raises(
        PipelineFileError, match=r"<pipeline p>: steps\[0\]\.cal: unknown key 'cal' \(did you mean 'call'\?\)"
    ):
        Pipeline.from_canonical({"pipeline": "p", "steps": [{"id": "a", "cal": "m:f"}]})


def test_it_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BUILT.pipeline = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        BUILT.steps[0].id = "x"  # type: ignore[misc]


def test_a_value_that_contains_itself() -> None:
    rows: list[Any] = []
    rows.append(rows)
    with pytest.raises(PipelineFileError, match="nested more than 60 deep, or contains itself"):
        Step(id="a", call="m:f", with_={"rows": rows})
