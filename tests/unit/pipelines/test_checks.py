"""What is known to be wrong before the run. Single faults are in the acceptance table of malformed files; here: what
is *not* a fault, shapes from outside, and several faults together."""

from __future__ import annotations

import pytest

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines.checks import check
from orchestrator.pipelines.model import InputSpec, Pipeline, Step
from orchestrator.pipelines.shapes import Shape


def loads(*steps: str, inputs: str = "{given: {default: 1}}", outputs: str = "{}") -> Pipeline:
    lines = "".join(f"  - {step}\n" for step in steps)
    return Pipeline.loads(f"pipeline: p\ninputs: {inputs}\nsteps:\n{lines}outputs: {outputs}\n", "p.yaml")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["{id: b, call: 'm:f', with: {x: '${a}'}}", "{id: a, call: 'm:f'}"], id="a later step"),
        pytest.param(["{id: a, call: 'm:f', with: {x: '${n}'}}", "{id: b, set: {n: 1}}"], id="a later variable"),
        pytest.param(["{id: a, set: {given: '${given + 1}'}}"], id="a variable over an input, seeing it"),
        pytest.param(["{id: a, set: {n: 1}}", "{id: b, set: {n: '${n + 1}'}}"], id="a counter"),
        pytest.param(["{id: a, call: 'm:f', for_each: [1], with: {x: '${item}'}, when: '${item > 0}'}"], id="the item"),
        pytest.param(
            ["{id: a, call: 'm:f', for_each: [1], as: row}", "{id: b, call: 'm:f', for_each: [2], as: row}"],
            id="one loop variable twice",
        ),
        pytest.param(["{id: a, run: ls}", "{id: b, run: 'echo ${a.stdout} ${a.exit_code}'}"], id="run"),
        pytest.param(["{id: a, run: ls, parse: json}", "{id: b, run: 'echo ${a.json.deep[0].x}'}"], id="run with json"),
        pytest.param(["{id: a, set: {n: 1}}", "{id: b, run: 'echo ${a.n}'}"], id="the output of set"),
        pytest.param(["{id: a, call: 'm:f'}", "{id: b, run: 'echo ${a.any.thing[0]}'}"], id="an unknown output"),
        pytest.param(
            ["{id: a, call: 'm:f', returns: [x]}", "{id: b, run: 'echo ${a.y | default(0)}'}"], id="a guarded field"
        ),
        pytest.param(
            ["{id: a, call: 'm:f', returns: [x], for_each: [1]}", "{id: b, run: 'echo ${a[0].x} ${a | length}'}"],
            id="an item of a list",
        ),
        pytest.param(["{id: a, call: 'm:f', when: true}", "{id: b, call: 'm:f', when: '${a}'}"], id="conditions"),
        pytest.param(["{id: a, call: 'm:f', for_each: {x: 1}}", "{id: b, run: ls, for_each: ['${a}']}"], id="loops"),
        pytest.param(["{id: a, run: \"echo '$${x}' $${HOME}\"}"], id="the shell's own"),
        pytest.param(["{id: a, call: 'm:f', timeout: null, needs: null}"], id="null is not set"),
        pytest.param(["{id: in_, call: 'm:f', with: {if: 1, class: 2}}"], id="words that are reserved elsewhere"),
        pytest.param(
            [
                "{id: a, call: 'm:f', checkpoint: c}",
                "{id: b, call: 'm:f', on_error: [{status: 500, strategy: rollback, checkpoint: c}, {strategy: skip}]}",
            ],
            id="back to a checkpoint",
        ),
        pytest.param(
            [
                "{id: a, run: 'echo ${given}'}",
                "{id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}",
            ],
            id="an alternative that runs by itself, too",
        ),
        pytest.param(
            [
                "{id: a, call: 'm:f', on_error: [{strategy: alternative_path, steps: [b]}]}",
                "{id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}",
            ],
            id="alternatives of each other",
        ),
        pytest.param(
            [
                "{id: a, run: 'echo ${row.x}', env: {Y: '${row.y}'}, when: false}",
                "{id: b, call: 'm:f', for_each: [1], as: row, on_error: [{strategy: alternative_path, steps: [a]}]}",
                "{id: c, call: 'm:f', for_each: [1], as: row, on_error: [{strategy: alternative_path, steps: [a]}]}",
            ],
            id="the loop variable in an alternative",
        ),
        pytest.param(["{id: a, call: 'm:f', on_error: [{strategy: skip, output: '$${x} {y}'}]}"], id="$$ in an output"),
    ],
)  # fmt: skip
def test_what_is_sound(steps: list[str]) -> None:
    loads(*steps)


def test_shapes_from_outside() -> None:
    pipeline = loads("{id: a, call: 'm:f'}", "{id: b, call: 'm:g', with: {x: '${a.meen}', y: '${a[0]}'}}")
    check(pipeline)
    check(pipeline, {"a": Shape(frozenset({"meen"}))})
    check(pipeline, {"b": Shape(frozenset())})
    with pytest.raises(
        PipelineFileError,
        match=r"p.yaml:5:37: the output of 'a' has no 'meen'; it has mean, n \(did you mean 'mean'\?\)",
    ):
        check(pipeline, {"a": Shape(frozenset({"mean", "n"}))})


def test_the_shape_of_a_loop_is_that_of_an_item() -> None:
    steps = (
        "{id: a, call: 'm:f', for_each: [1]}",
        "{id: b, call: 'm:g', with: {x: '${a[0].meen}', y: '${a[1].mean}'}}",
    )
    with pytest.raises(PipelineFileError, match=r"'a\[0\]' has no 'meen'") as caught:
        check(loads(*steps), {"a": Shape(frozenset({"mean"}))})
    assert len(caught.value.faults) == 1


def test_lists_inside_of_lists() -> None:
    rows = Shape(item=Shape(frozenset({"x"})))
    pipeline = loads("{id: a, call: 'm:f', for_each: [1]}", "{id: b, run: 'echo ${a[0][1].x} ${a[0].x} ${a[0][1].y}'}")
    with pytest.raises(PipelineFileError) as caught:
        check(pipeline, {"a": rows})
    assert [fault.message for fault in caught.value.faults] == [
        "the output of 'a[0]' is a list and has no 'x'; one item is a[0][0]",
        "the output of 'a[0][1]' has no 'y'; it has x",
    ]


def test_a_declaration_counts_more_than_an_annotation() -> None:
    check(loads("{id: a, call: 'm:f', returns: [x]}", "{id: b, run: 'echo ${a.x}'}"), {"a": Shape(frozenset({"y"}))})


def test_faults_of_every_kind_come_together_in_the_order_of_the_file() -> None:
    text = """\
pipeline: p
inputs:
  a: {type: numbr}
  b: {type: list, default: x}
steps:
  - id: load
    call: m:f
    timeout: soon
    with: {x: "${lod}"}
  - id: draw
    rn: [x]
    when: "${load.rows |}"
  - id: loop
    for_each: ${draw}
    as: load
    call: m:g
    wth: {y: "${item}"}
    needs: [nobody]
outputs:
  o: ${loop.mean}
"""
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.loads(text, "p.yaml")
    assert [(fault.line, fault.column, fault.message.split(":")[0][:40]) for fault in caught.value.faults] == [
        (3, 13, "expected any, string, number, integer, b"),
        (4, 28, "expected a list, got the text 'x' as def"),
        (8, 14, "expected a duration such as 90, 90s, 5m,"),
        (9, 16, "nothing is named 'lod'"),
        (11, 5, "unknown key 'rn'"),
        (12, 12, "${load.rows |}"),
        (15, 9, "the loop variable 'load' would hide a st"),
        (17, 5, "unknown key 'wth'"),
        (18, 13, "there is no step 'nobody'"),
        (20, 6, "the output of 'loop' is a list and has n"),
    ]


def test_a_fault_does_not_breed_others() -> None:
    """A name that a faulty part was meant to give is taken as given."""
    text = """\
pipeline: p
inputs: {wide: {type: numbr}}
steps:
  - {id: load-data, call: "m:f"}
  - {id: n, set: {total: 1, "a b": 2}}
  - {id: loop, call: "m:f", for_each: [1], as: my row, with: {x: "${wide}", y: "${total}"}}
  - just a text
"""
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.loads(text, "p.yaml")
    assert [fault.line for fault in caught.value.faults] == [2, 4, 5, 6, 7]


def loop_with(*alternatives: str) -> list[str]:
    way = f"[{{strategy: alternative_path, steps: [{', '.join(alternatives)}]}}]"
    return [f"{{id: loop, call: 'm:f', for_each: [1], as: row, on_error: {way}}}"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        pytest.param(
            ["{id: a, run: 'echo ${row}'}", *loop_with("a")],
            r"'row' is the loop variable of step 'loop' and known only there "
            r"\(with `when: false` step 'a' would run as an alternative only, and know it\)",
            id="it runs by itself",
        ),
        pytest.param(
            [
                "{id: a, run: 'echo ${row}', when: false}",
                *loop_with("a"),
                "{id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}",
            ],
            r"'row' is the loop variable of step 'loop' and known only there\n",
            id="it stands in for another step, too",
        ),
        pytest.param(
            ["{id: a, run: 'echo ${row}', when: false}", *loop_with("b"), "{id: b, run: ls, when: false}"],
            r"'row' is the loop variable of step 'loop' and known only there\n",
            id="it is no alternative",
        ),
    ],
)
def test_who_may_not_use_the_loop_variable_of_another(steps: list[str], message: str) -> None:
    with pytest.raises(PipelineFileError, match=message):
        loads(*steps)


def test_an_alternative_whose_needs_wait_for_the_failed_step() -> None:
    steps = (
        "{id: a, call: 'm:f', on_error: [{strategy: alternative_path, steps: [c]}]}",
        "{id: b, run: 'echo ${a}'}",
        "{id: c, run: 'echo ${b}', when: false}",
    )
    with pytest.raises(PipelineFileError, match=r"wait for each other: a -> b -> a \(a step waits for what its altern"):
        loads(*steps)


def test_faults_of_rules_come_together_and_breed_no_others() -> None:
    text = """\
pipeline: p
steps:
  - {id: mirror, run: "echo ${row}", when: false}
  - id: fetch
    call: m:f
    for_each: [1]
    as: row
    on_error:
      - {category: netwrok, strategy: skip}
      - {exeption: KeyError, strategy: skip, steps: [mirror]}
      - {severity: low}
      - load
      - {message: x, strategy: alternative_path, steps: [miror, mirror]}
      - {strategy: skip, output: null}
"""
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.loads(text, "p.yaml")
    assert [(fault.line, fault.column, fault.message.split(":")[0][:40]) for fault in caught.value.faults] == [
        (9, 20, "expected validation, execution, timeout,"),
        (10, 10, "unknown key 'exeption'"),
        (10, 46, "'steps' belongs to alternative_path, the"),
        (11, 9, "a rule needs the key 'strategy'"),
        (12, 9, "expected a mapping, got the text 'load'"),
        (13, 58, "there is no step 'miror'"),
    ]


def test_very_many_faults_are_cut() -> None:
    steps = [f"{{id: s{index}, call: 'm:f', wth: {{x: 1}}}}" for index in range(1500)]
    with pytest.raises(PipelineFileError) as caught:
        loads(*steps)
    assert len(caught.value.faults) == 101
    assert caught.value.faults[-1].message == "… and 1400 more faults"


def test_a_pipeline_built_in_python_shows_paths() -> None:
    pipeline = Pipeline(
        pipeline="p",
        inputs={"rows": InputSpec(default=[])},
        steps=[
            Step(id="a", call="m:f", with_={"x": ["${rows}", "${row}"]}, needs=["b"]),
            Step(id="b", call="m:f", when="${a}"),
        ],
    )
    with pytest.raises(PipelineFileError) as caught:
        check(pipeline)
    assert str(caught.value).split("\n") == [
        "<pipeline p>: steps.a.with.x[1]: nothing is named 'row' (did you mean 'rows'?)",
        "<pipeline p>: steps.a.id: these steps wait for each other: a -> b -> a",
    ]
