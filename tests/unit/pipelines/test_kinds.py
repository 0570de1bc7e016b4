"""Blocks, branches, waits and endings: what a step of each kind may say, and what it is told of a misuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines.definition import COMPOUND, KINDS, blocks_of, kind_of_step, steps_of
from orchestrator.pipelines.model import Case, Concurrency, Defaults, Effect, FormField, OnError, Pipeline, Retry, Step

EVERYTHING = """\
pipeline: everything
inputs: {n: {type: integer, default: 3}}
defaults: {on_error: [{category: network, strategy: skip}]}
concurrency: {key: "k-${n}", when_busy: queue}
returns: {total: integer}
steps:
  - id: block
    steps:
      - {id: one, call: "m:f", effect: {in_doubt: verify, verify: "m:look"}, retry: {timeout: 1h}}
      - id: inner
        steps: [{id: two, run: [ls, "${one.name}"]}]
    output: ${inner.two.stdout}
  - id: route
    switch:
      - {when: "${n > 2}", steps: [{id: way, set: {q: 1}}], output: "${way.q}"}
      - steps: [{id: way, fail: "n is ${n}"}]
  - id: race
    parallel: [{id: left, wait: 2h}, {id: right, signal: "go-${n}", deadline: 2d, default: null}]
    join: any
  - id: loop
    while: ${n > 5 and round < 3}
    as: round
    max_iterations: 10
    steps: [{id: look, call: "m:f"}]
  - {id: each, for_each: [1, 2], on_item_failure: 10%, call: "m:f"}
  - id: ask
    approve: "Release ${n}?"
    who: ann
    choices: [yes, no]
    form: {amount: {type: number, default: 5, choices: [5, 6], description: How much}}
    deadline: 2d
    default: no
  - {id: early, when: "${n > 9}", return: {total: 5}}
finally:
  - {id: clean, run: "echo ${outcome.status}"}
outputs: {total: "${n}"}
"""

BUILT = Pipeline(
    pipeline="everything",
    inputs={"n": {"type": "integer", "default": 3}},
    defaults=Defaults(on_error=[OnError(category="network", strategy="skip")]),
    concurrency=Concurrency(key="k-${n}"),
    returns={"total": "integer"},
    steps=[
        Step(
            id="block",
            steps=[
                Step(
                    id="one",
                    call="m:f",
                    effect=Effect(in_doubt="verify", verify="m:look"),
                    retry=Retry(timeout=timedelta(hours=1)),
                ),
                Step(id="inner", steps=[Step(id="two", run=["ls", "${one.name}"])]),
            ],
            output="${inner.two.stdout}",
        ),
        Step(
            id="route",
            switch=[
                Case(when="${n > 2}", steps=[Step(id="way", set_={"q": 1})], output="${way.q}"),
                {"steps": [{"id": "way", "fail": "n is ${n}"}]},
            ],
        ),
        Step(
            id="race",
            parallel=[
                Step(id="left", wait=timedelta(hours=2)),
                Step(id="right", signal="go-${n}", deadline="2d", default=None),
            ],
            join="any",
        ),
        Step(
            id="loop",
            while_="${n > 5 and round < 3}",
            as_="round",
            max_iterations=10,
            steps=[Step(id="look", call="m:f")],
        ),
        Step(id="each", for_each=[1, 2], on_item_failure=0.1, call="m:f"),
        Step(
            id="ask",
            approve="Release ${n}?",
            who=["ann"],
            choices=("yes", "no"),
            form={"amount": FormField(type="number", default=5, choices=[5, 6], description="How much")},
            deadline=timedelta(days=2),
            default="no",
        ),
        Step(id="early", when="${n > 9}", return_={"total": 5}),
    ],
    finally_=[Step(id="clean", run="echo ${outcome.status}")],
    outputs={"total": "${n}"},
)


def test_a_file_and_python_give_the_same() -> None:
    loaded = Pipeline.loads(EVERYTHING)
    assert loaded.canonical() == BUILT.canonical()
    assert loaded == BUILT
    assert hash(loaded) == hash(BUILT)
    again = Pipeline.from_canonical(loaded.canonical())
    assert (again, again.fingerprint) == (loaded, loaded.fingerprint)
    assert again.canonical() == loaded.canonical()


def test_the_canonical_form_is_plain() -> None:
    canonical = BUILT.canonical()
    steps = {step["id"]: step for _, step in steps_of(canonical)}
    assert steps["left"] == {"id": "left", "wait": 7200.0}
    assert steps["right"]["default"] is None
    assert steps["right"]["deadline"] == 172_800.0
    assert steps["ask"]["who"] == ["ann"]
    assert steps["ask"]["form"] == {
        "amount": {"type": "number", "default": 5, "description": "How much", "choices": [5, 6]}
    }
    assert steps["each"]["on_item_failure"] == 0.1
    assert steps["one"]["retry"] == {"timeout": 3600.0}
    assert canonical["concurrency"] == {"key": "k-${n}"}
    assert canonical["finally"] == [{"id": "clean", "run": "echo ${outcome.status}"}]


def test_steps_are_found_at_every_depth() -> None:
    places = {step["id"]: place for place, step in steps_of(BUILT.canonical()) if step["id"] != "way"}
    assert places["two"] == ("steps", 0, "steps", 1, "steps", 0)
    assert places["right"] == ("steps", 2, "parallel", 1)
    assert places["clean"] == ("finally", 0)
    switch = BUILT.canonical()["steps"][1]
    assert [place for place, _ in blocks_of(switch)] == [("switch", 0, "steps"), ("switch", 1, "steps")]
    assert list(blocks_of({"steps": 3, "switch": [4, {"steps": None}]})) == []
    assert [kind_of_step(step) for step in BUILT.canonical()["steps"]] == [
        "steps", "switch", "parallel", "steps", "call", "approve", "return",
    ]  # fmt: skip
    assert set(COMPOUND) < set(KINDS)


def test_what_is_spelt_out_though_it_is_the_default_changes_nothing() -> None:
    short = "pipeline: p\nsteps: [{id: a, for_each: [1], parallel: [{id: b, run: ls}]}, {id: c, approve: Go?}]\n"
    long = (
        "pipeline: p\nreturns: {}\npipelines: {}\nconcurrency: null\nfinally: null\nsteps:\n"
        "  - {id: a, for_each: [1], on_item_failure: stop, parallel: [{id: b, run: ls}], join: all, output: null}\n"
        "  - {id: c, approve: Go?, choices: [approve, reject]}\n"
    )
    assert Pipeline.loads(short).fingerprint == Pipeline.loads(long).fingerprint


RULES = [
    ({"steps": []}, "steps: a block needs at least one step"),
    ({"switch": []}, "switch: a switch needs at least one case"),
    ({"parallel": []}, "parallel: a parallel step needs at least one branch"),
    ({"switch": [{"when": True}]}, r"switch\[0\]: a case needs the key 'steps'"),
    ({"run": "ls", "effect": {}}, "effect: effect needs the key 'in_doubt'"),
    ({"run": "ls", "join": 2}, "'join' belongs to parallel, this step is 'run'"),
    ({"run": "ls", "output": 2}, "'output' belongs to steps or parallel, this step is 'run'"),
    ({"switch": [{"steps": [{"id": "b", "fail": "x"}]}], "output": 1}, "each case has its own"),
    ({"set_": {"a": 1}, "effect": {"in_doubt": "ask"}}, "'effect' belongs to call or run, this step is 'set'"),
    ({"wait": 5, "timeout": 5}, "'timeout' does not go with 'wait'"),
    ({"signal": "x", "retry": {}}, "'retry' does not go with 'signal'"),
    ({"fail": "x", "on_error": [{"strategy": "skip"}]}, "'on_error' does not go with 'fail'"),
    ({"return_": {}, "timeout": 3}, "'timeout' does not go with 'return'"),
    ({"signal": "x", "who": "ann"}, "'who' belongs to approve, this step is 'signal'"),
    ({"run": "ls", "deadline": 3}, "'deadline' belongs to signal or approve"),
    ({"pipeline": ".", "runner": "process"}, "'runner' belongs to call, this step is 'pipeline'"),
    ({"run": "ls", "as_": "x"}, "'as' belongs to for_each or while, neither of which this step has"),
    ({"run": "ls", "max_iterations": 5}, "'max_iterations' belongs to while, which this step has not"),
    ({"run": "ls", "while_": True, "on_item_failure": "collect"}, "'on_item_failure' belongs to for_each"),
    ({"run": "ls", "while_": True, "for_each": [1]}, "'while' and 'for_each' cannot stand in one step"),
    ({"run": "ls", "while_": "n > 3"}, r"while: the condition has no \$\{…\}: a text is always true"),
    ({"run": "ls", "for_each": [1], "on_item_failure": "colect"}, "did you mean 'collect'"),
    ({"run": "ls", "for_each": [1], "on_item_failure": "110%"}, "expected stop, collect or a share such as 10% or 0.1"),
    ({"parallel": [{"id": "b", "run": "ls"}], "join": "al"}, "did you mean 'all'"),
    ({"parallel": [{"id": "b", "run": "ls"}], "join": 2}, "join waits for 2 branches, and there is one"),
    ({"signal": "x", "default": 1}, "'default' holds after the deadline, which this step has not"),
    ({"signal": "x", "deadline": 1, "default": ["${a}"]}, r"default\[0\]: this payload is a plain value"),
    ({"approve": "x", "deadline": 1, "default": "aprove"}, "did you mean 'approve'"),
    ({"approve": "x", "choices": []}, "nobody can choose from an empty list"),
    ({"approve": "x", "choices": ["a", "a"]}, "the choice 'a' stands here twice"),
    ({"approve": "x", "form": {"a": {"type": "text"}}}, "form.a.type: expected any, string"),
    ({"approve": "x", "form": {"a": {"type": "path"}}}, "form.a.type: expected any, string"),
    ({"approve": "x", "form": {"a": {"type": "number", "default": "x"}}}, "form.a.default: expected a number"),
    ({"approve": "x", "form": {"a": {"default": 3, "choices": [1, 2]}}}, "none of the choices 1 or 2"),
    ({"approve": "x", "form": {"a": {"type": "string", "choices": [1]}}}, r"form.a.choices\[0\]: expected text"),
    ({"approve": "x", "form": {"a": {"default": "${b}"}}}, "form.a.default: this default is a plain value"),
    ({"run": "ls", "effect": {"in_doubt": "verify"}}, "verify needs the key 'verify'"),
    ({"run": "ls", "effect": {"in_doubt": "ask", "verify": "m:f"}}, "'verify' belongs to `in_doubt: verify`"),
    ({"run": "ls", "effect": {"in_doubt": "asks"}}, "did you mean 'ask'"),
    ({"run": "ls", "retry": {"timeout": 0}}, "retry.timeout: a timeout is longer than 0"),
    ({"approve": " "}, "approve: expected a text, got an empty one"),
    ({"wait": "3 hours"}, "write 3h"),
    ({"pipeline": "${x}"}, "pipeline: this name is fixed"),
]


@pytest.mark.parametrize(("fields", "message"), RULES, ids=[message for _, message in RULES])
def test_a_step_that_makes_no_sense_is_told_where_it_is_built(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineFileError, match=message) as caught:
        Step(id="a", **fields)
    assert len(caught.value.faults) == 1


def test_steps_inside_of_each_other_are_told_too() -> None:
    inner: dict[str, Any] = {"id": "b", "run": "ls", "with": {}}
    for fields, place in (
        ({"steps": [inner]}, "steps"),
        ({"parallel": [inner]}, "parallel"),
        ({"switch": [{"steps": [{"id": "c", "steps": [inner]}]}]}, "switch[0].steps[0].steps"),
    ):
        with pytest.raises(PipelineFileError) as caught:
            Step(id="a", **fields)
        assert [fault.path for fault in caught.value.faults] == [f"{place}[0].with"]


def test_a_place_inside_of_blocks_is_named_by_the_ids() -> None:
    text = "pipeline: p\nsteps: [{id: a, steps: [{id: b, parallel: [{id: c, run: ls, retry: {jitter: 2}}]}]}]\n"
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.loads(text)
    assert [fault.path for fault in caught.value.faults] == ["steps.a.steps.b.parallel.c.retry.jitter"]


def test_blocks_have_a_depth() -> None:
    step = Step(id="s0", run="ls")
    with pytest.raises(PipelineFileError, match="blocks are nested more than 20 deep"):
        for number in range(1, 30):
            step = Step(id=f"s{number}", steps=[step])
    assert step.id == "s20"


def test_every_fault_of_a_nested_file_is_told_with_its_place() -> None:
    text = """\
pipeline: bad
steps:
  - id: block
    steps:
      - {id: one, call: "m:f", tiemout: 3}
      - {id: two, call: "m:f", with: {a: "${onee}"}}
      - {id: three, call: "m:f", timeout: 3 minutes}
  - id: route
    switch:
      - steps: [{id: big, run: ls}]
      - when: ${three}
        steps: []
  - {id: ask, approve: hey, deadline: 1h, form: {n: {type: numbr}, m: {type: number, default: x}}}
  - {id: early, return: {x: 1}}
finally:
  - {id: last, cal: "m:f"}
"""
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.loads(text)
    assert [(fault.line, fault.column, fault.message.split(":")[0]) for fault in caught.value.faults] == [
        (5, 32, "unknown key 'tiemout'"),
        (6, 43, "nothing is named 'onee'"),
        (7, 43, "expected a duration such as 90, 90s, 5m, 1h30m or 250ms, got '3 minutes'"),
        (10, 9, "only the last case may have no `when`"),
        (11, 15, caught.value.faults[4].message),
        (12, 16, "a case needs at least one step"),
        (13, 60, "expected any, string, number, integer, boolean, list or mapping as type, got the text 'numbr'"),
        (13, 95, "expected a number, got the text 'x' as default"),
        (14, 26, "the pipeline has no output 'x'"),
        (16, 16, "unknown key 'cal'"),
    ]
    assert "'three'" in caught.value.faults[4].message


LEAVES = st.sampled_from(
    [
        {"run": "ls"},
        {"call": "m:f", "effect": {"in_doubt": "ask"}},
        {"wait": "2h"},
        {"wait": "2026-12-01"},
        {"signal": "s", "deadline": 5, "default": [None, {"a": 1}]},
        {"approve": "Go?", "who": "ann", "form": {"a": {}}},
        {"fail": "no"},
        {"set": {"v": 1}},
        {"return": {}},
        {"pipeline": ".", "when": False},
    ]
)
MODIFIERS = st.sampled_from(
    [
        {},
        {"when": True},
        {"while": False, "max_iterations": 3},
        {"for_each": [1, 2], "on_item_failure": "collect"},
        {"for_each": [1], "on_item_failure": "10%", "max_parallel": 2},
    ]
)


def blocks(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    case = st.fixed_dictionaries({"when": st.booleans(), "steps": several}, optional={"output": st.just("x")})
    return (
        st.fixed_dictionaries({"steps": several}, optional={"output": st.just([1]), "timeout": st.just("5m")})
        | st.fixed_dictionaries({"parallel": several}, optional={"join": st.sampled_from([1, "any", "all"])})
        | st.fixed_dictionaries({"switch": st.lists(case, min_size=1, max_size=2)})
    ).flatmap(lambda step: MODIFIERS.map(lambda modifier: {**step, **modifier}))


STEPS = st.recursive(LEAVES.flatmap(lambda step: MODIFIERS.map(lambda more: {**step, **more})), blocks, max_leaves=12)


def numbered(step: dict[str, Any], name: str) -> dict[str, Any]:
    """The step and those inside with ids of their own."""
    named = {"id": name, **step}
    for key in ("steps", "parallel"):
        if key in step:
            named[key] = [numbered(inner, f"{name}_{index}") for index, inner in enumerate(step[key])]
    if "switch" in step:
        named["switch"] = [
            {**case, "steps": [numbered(inner, f"{name}_{place}_{index}") for index, inner in enumerate(case["steps"])]}
            for place, case in enumerate(step["switch"])
        ]
    return named


@given(st.lists(STEPS, min_size=1, max_size=3), st.lists(LEAVES, max_size=1))
def test_canonical_comes_back_as_it_was(steps: list[dict[str, Any]], last: list[dict[str, Any]]) -> None:
    given_steps = [numbered(step, f"s{index}") for index, step in enumerate(steps)]
    ends = {"finally": [numbered(step, f"f{index}") for index, step in enumerate(last)]} if last else {}
    pipeline = Pipeline.from_canonical({"pipeline": "p", "steps": given_steps, **ends})
    canonical = pipeline.canonical()
    again = Pipeline.from_canonical(canonical)
    assert again == pipeline
    assert again.canonical() == canonical
    assert again.fingerprint == pipeline.fingerprint
    assert [place for place, _ in steps_of(canonical)] == [
        place for place, _ in steps_of({"steps": given_steps, **ends})
    ]  # type: ignore[typeddict-item]
