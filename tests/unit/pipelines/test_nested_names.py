"""Names in pipelines with steps inside of steps: where each is known, and what is said where it is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orchestrator.pipelines.checks import examine
from orchestrator.pipelines.definition import PipelineDef


def faults(*steps: dict[str, Any], **fields: Any) -> list[str]:
    """What is wrong, each with its path; members' with the path in the root."""
    definition = cast(PipelineDef, {"pipeline": "p", "steps": list(steps), **fields})
    found = examine(definition).all_findings()
    return sorted(f"{'.'.join(map(str, finding.path))}: {finding.message}" for finding in found)


def call(name: str, uses: str = "", **fields: Any) -> dict[str, Any]:
    return {"id": name, "call": "m:f", "with": {"x": f"${{{uses}}}" if uses else 0}, **fields}


def block(name: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": name, "steps": list(steps), **fields}


def parallel(name: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": name, "parallel": list(steps), **fields}


def sets(name: str, variable: str, value: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"id": name, "set": {variable: value}, **fields}


INPUTS = {"given": {"default": 1}}


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([call("a"), block("b", call("c", "a + given"), call("d", "c")), call("e", "b.d")], id="a block"),
        pytest.param([block("b", call("c")), block("d", call("c"))], id="the same id in two blocks"),
        pytest.param(
            [{"id": "s", "switch": [{"when": "${given}", "steps": [call("a")]}, {"steps": [call("a")]}]}],
            id="the same id in two cases",
        ),
        pytest.param([block("b", block("c", call("d", "given")), call("e", "c.d"))], id="two deep"),
        pytest.param([block("b", call("c", "item"), for_each=[1])], id="the item inside"),
        pytest.param(
            [block("b", block("c", call("d", "item + row"), for_each=[2], **{"as": "row"}), for_each=[1])],
            id="two items inside",
        ),
        pytest.param([block("b", call("c"), output="${c}")], id="an output from inside"),
        pytest.param([block("b", call("c"), for_each=[1], output="${c + item}")], id="an output of an item"),
        pytest.param(
            [{"id": "b", "while": "${b is none or b.c < n}", "as": "n", "steps": [call("c", "b + n")]}], id="rounds"
        ),
        pytest.param([call("a", "a", **{"while": "${a is none}"})], id="rounds of one step"),
        pytest.param(
            [parallel("p", call("a", "given"), call("b"), output="${[a, b]}")], id="branches, and their output"
        ),
        pytest.param([block("b", sets("s", "v")), call("c", "v")], id="a variable from inside"),
        pytest.param([sets("s", "v"), parallel("p", call("a", "v"), call("b", "v"))], id="a variable in branches"),
        pytest.param([sets("s", "v", "${given}"), block("b", sets("t", "v", "${v + 1}"))], id="a counter"),
        pytest.param([{"id": "r", "return": {}, "when": "${given}"}], id="return"),
        pytest.param([call("a"), block("b", call("c", needs=["a"]))], id="needs outside"),
        pytest.param([call("outcome")], id="a step called outcome, without finally"),
        pytest.param(
            [
                block(
                    "b",
                    call("c", "item", on_error=[{"strategy": "alternative_path", "steps": ["d"]}]),
                    call("d", "item", when=False),
                    for_each=[1],
                )
            ],
            id="an alternative inside",
        ),
    ],
)
def test_what_is_sound(steps: list[dict[str, Any]]) -> None:
    assert faults(*steps, inputs=INPUTS) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([block("b", call("c")), call("d", "c")], "steps.1.with.x: 'c' is a step inside of 'b', and known only there"),
        (
            [block("b", call("c", "d")), block("e", call("d"))],
            "steps.0.steps.0.with.x: 'd' is a step inside of 'e', and known only there",
        ),
        (
            [block("b", call("c", "b"))],
            "steps.0.steps.0.with.x: this stands inside of step 'b', whose output is there when all of it has ended",
        ),
        ([block("b", call("c"), when="${b}")], "steps.0.when: step 'b' uses its own output"),
        (
            [parallel("p", call("a"), call("b", "a"))],
            "steps.0.parallel.1.with.x: 'a' is another branch of this parallel step, and a branch does not wait for"
            " another",
        ),
        (
            [parallel("p", call("a"), block("b", call("c", "a")))],
            "steps.0.parallel.1.steps.0.with.x: 'a' is another branch of this parallel step, and a branch does not wait"
            " for another",
        ),
        (
            [parallel("p", sets("a", "v"), call("b", "v"))],
            "steps.0.parallel.1.with.x: 'v' is set by the branch 'a', and a branch does not wait for another",
        ),
        (
            [parallel("p", call("a"), call("b", needs=["a"]))],
            "steps.0.parallel.1.needs.0: 'a' is another branch of this parallel step, and a branch waits for no other",
        ),
        (
            [block("b", call("c"), for_each=[1]), call("d", "item")],
            "steps.1.with.x: 'item' is the loop variable of step 'b' and known only there",
        ),
        (
            [{"id": "b", "while": "${n < 3}", "as": "n", "when": "${n}", "steps": [call("c")]}],
            "steps.0.when: 'n' is the number of the round of step 'b' and not known in its `when`",
        ),
        ([block("b", call("c"), when="${c}")], "steps.0.when: 'c' is a step inside of 'b', and known only there"),
        ([call("a"), block("b", call("a"))], "steps.1.steps.0.id: there is a step 'a' around this one already, which is"
         " known here"),
        (
            [block("b", call("b"))],
            "steps.0.steps.0.id: there is a step 'b' around this one already, which is known here",
        ),
        (
            [block("b", call("given"))],
            "steps.0.steps.0.id: 'given' is the name of an input already; both would be one variable",
        ),
        (
            [block("b", call("item"), for_each=[1])],
            "steps.0.steps.0.id: 'item' is the loop variable of step 'b' already, which is known here",
        ),
        (
            [block("b", call("c", for_each=[2]), for_each=[1])],
            "steps.0.steps.0.for_each: the loop variable 'item' would hide that of step 'b', which is known here",
        ),
        (
            [block("b", call("x")), sets("s", "x")],
            "steps.1.set.x: 'x' is the id of a step, whose output has that name",
        ),
        ([call("a"), block("b", call("c", needs=["d"]))], "steps.1.steps.0.needs.0: there is no step 'd'"),
        (
            [block("b", call("c", needs=["b"]))],
            "steps.0.steps.0.needs.0: this stands inside of step 'b' and cannot wait for it",
        ),
        (
            [block("b", call("c")), call("d", needs=["c"])],
            "steps.1.needs.0: 'c' is a step inside of another, and known only there",
        ),
        (
            [block("b", call("c", "d"), call("d", "c"))],
            "steps.0.steps.0.id: these steps wait for each other: c -> d -> c",
        ),
        (
            [call("a", "b"), block("b", call("c", "a"))],
            "steps.0.id: these steps wait for each other: a -> b -> a",
        ),
        (
            [call("m"), block("b", call("c", on_error=[{"strategy": "alternative_path", "steps": ["m"]}]))],
            "steps.1.steps.0.on_error.0.steps.0: step 'm' does not stand beside 'c'",
        ),
        (
            [call("a", on_error=[{"strategy": "alternative_path", "steps": ["b"]}]), block("b", call("c"))],
            "steps.0.on_error.0.steps.0: 'b' is a steps step; only call and run steps can run in the place of another",
        ),
        (
            [{"id": "r", "return": {"o": 1}}],
            "steps.0.return.o: the pipeline has no output 'o'",
        ),
    ],
)  # fmt: skip
def test_what_is_not(steps: list[dict[str, Any]], expected: str) -> None:
    assert faults(*steps, inputs=INPUTS) == [expected]


def test_the_nearest_of_the_names_that_are_known_there() -> None:
    definition: Any = {"pipeline": "p", "steps": [block("b", call("row"), call("c", "rwo")), call("d", "rwo")]}
    inside, outside = examine(definition).findings
    assert (inside.message, "row" in inside.known, "b" in inside.known) == ("nothing is named 'rwo'", True, True)
    assert "row" not in outside.known


def test_what_to_write_in_the_place_of_a_name_from_inside() -> None:
    def hint(*steps: dict[str, Any]) -> str:
        (finding,) = examine(cast(PipelineDef, {"pipeline": "p", "steps": [*steps, call("z", "c")]})).findings
        return finding.hint

    assert hint(block("b", call("c"))) == "outside it is b.c"
    assert hint(block("b", call("c"), for_each=[1])) == "use the output of 'b'"
    assert hint(block("b", call("c"), output=1)) == "use the output of 'b'"


class TestFinally:
    def test_it_sees_everything_and_the_outcome(self) -> None:
        last = [call("e", "outcome.status"), call("f", "a.x + e"), block("g", call("h", "outcome.step"))]
        assert faults(call("a"), **{"finally": last}) == []

    @pytest.mark.parametrize(
        ("step", "last", "expected"),
        [
            (
                call("a", "z"),
                call("z"),
                "steps.0.with.x: 'z' is a step of finally, which runs when all others have ended",
            ),
            (call("a", "outcome"), call("z"), "steps.0.with.x: 'outcome' is known in the steps of finally only"),
            (
                call("a", "v"),
                sets("z", "v"),
                "steps.0.with.x: 'v' is set in finally only, whose steps run when all others have ended",
            ),
            (call("z"), call("z"), "finally.0.id: there is a step 'z' around this one already, which is known here"),
            (
                call("outcome"),
                call("z"),
                "steps.0.id: 'outcome' is how the pipeline has ended, for the steps of finally; choose another name",
            ),
            (call("a"), call("z", needs=["a"]), "finally.0.needs.0: 'a' has ended when the steps of finally run"),
            (call("a", needs=["z"]), call("z"), "steps.0.needs.0: 'z' is a step of finally, and known only there"),
            (
                call("a"),
                {"id": "z", "return": {}},
                "finally.0.return: a step of finally cannot end the pipeline: it has ended then",
            ),
        ],
    )
    def test_what_is_wrong(self, step: dict[str, Any], last: dict[str, Any], expected: str) -> None:
        assert faults(step, **{"finally": [last]}) == [expected]

    def test_outputs_are_made_before_it(self) -> None:
        assert faults(call("a"), outputs={"o": "${z}"}, **{"finally": [call("z")]}) == [
            "outputs.o: 'z' is a step of finally, which runs when all others have ended"
        ]


class TestSubPipelines:
    def run(self, *steps: dict[str, Any], **fields: Any) -> list[str]:
        child = {
            "pipeline": "c",
            "inputs": {"n": {"type": "number"}, "m": {"default": 1}},
            "steps": [call("load", "n")],
            "outputs": {"total": "${load}"},
        }
        return faults(*steps, pipelines={"child": {**child, **fields}})

    def test_it_gets_inputs_and_gives_outputs(self) -> None:
        assert self.run({"id": "a", "pipeline": "child", "with": {"n": 1}}, call("b", "a.total")) == []
        assert self.run({"id": "a", "pipeline": "child", "with": {"n": "${b}"}}, call("b", "a.totl")) == [
            "steps.0.id: these steps wait for each other: a -> b -> a",
            "steps.1.with.x: the output of 'a' has no 'totl'; it has total",
        ]

    def test_its_inputs_are_checked_where_it_is_named(self) -> None:
        assert self.run({"id": "a", "pipeline": "child", "with": {"k": 1}}) == [
            "steps.0.pipeline: pipeline 'child' needs 'n', which `with` does not give",
            "steps.0.with.k: pipeline 'child' has no input 'k'",
        ]
        assert self.run({"id": "a", "pipeline": "child", "with": {"n": "x"}}) == [
            "steps.0.with.n: expected a number, got the text 'x', as the input 'n' of pipeline 'child'"
        ]

    def test_it_sees_nothing_of_its_parent(self) -> None:
        run: dict[str, Any] = {"id": "a", "pipeline": "child", "with": {"n": 1}}
        assert self.run(run, call("b"), steps=[call("load", "b")]) == [
            "pipelines.child.steps.0.with.x: nothing is named 'b'"
        ]
        assert self.run(run, call("load")) == []

    def test_a_name_that_no_pipeline_has(self) -> None:
        assert self.run({"id": "a", "pipeline": "chld"}) == ["steps.0.pipeline: there is no pipeline 'chld'"]

    def test_recursion(self) -> None:
        assert faults({"id": "a", "pipeline": ".", "when": False}) == []
        again = {"id": "load", "pipeline": "child", "with": {"n": "${n}"}}
        assert self.run({"id": "a", "pipeline": "child", "with": {"n": 1}}, steps=[again]) == []

    def test_an_alternative_with_the_id_of_one_of_its_steps(self) -> None:
        rules = [{"strategy": "alternative_path", "steps": ["load"]}]
        run: dict[str, Any] = {"id": "a", "pipeline": "child", "with": {"n": 1}, "on_error": rules}
        assert self.run(run, call("load", when=False)) == [
            "steps.0.on_error.0.steps.0: the pipeline that 'a' runs has a step 'load' itself; both would be a/load"
        ]


class TestFields:
    @pytest.mark.parametrize(
        ("step", "use", "wrong"),
        [
            (block("a", call("b", returns=["x"])), "a.b.x", {"a.c": "'a' has no 'c'", "a.b.y": "'a.b' has no 'y'"}),
            (
                block("a", call("b"), for_each=[1]),
                "a[0].b",
                {"a[0].c": "'a[0]' has no 'c'", "a.b": "is a list and has"},
            ),
            (block("a", call("b"), output={"z": "${b}"}), "a.z", {"a.b": "'a' has no 'b'"}),
            (block("a", call("b"), output="${b}"), "a.b", {}),
            (parallel("a", call("b"), call("c")), "a.b", {"a.d": "'a' has no 'd'; it has b, c"}),
            (
                {"id": "a", "switch": [{"when": True, "steps": [call("b")]}, {"steps": [call("c")]}]},
                "a.c",
                {"a.d": "'a' has no 'd'; it has b, c"},
            ),
            (
                {"id": "a", "approve": "ok?", "form": {"amount": {"type": "number"}}},
                "a.form.amount",
                {"a.answer": "it has at, by, choice, form", "a.form.x": "'a.form' has no 'x'; it has amount"},
            ),
            (
                {"id": "a", "run": "ls", "for_each": [1], "on_item_failure": "collect"},
                "a[0].value.stdout",
                {"a[0].stdout": "'a[0]' has no 'stdout'; it has error, ok, value", "a[0].value.x": "has no 'x'"},
            ),
            ({"id": "a", "signal": "s"}, "a.payload", {}),
        ],
    )
    def test_they_are_known_of_every_kind(self, step: dict[str, Any], use: str, wrong: dict[str, str]) -> None:
        assert faults(step, call("z", use)) == []
        for reference, message in wrong.items():
            (fault,) = faults(step, call("z", reference))
            assert message in fault

    def test_inside_of_a_block_too(self) -> None:
        assert faults({"id": "a", "run": "ls"}, block("b", call("c", "a.stdot"))) == [
            "steps.1.steps.0.with.x: the output of 'a' has no 'stdot'; it has exit_code, stderr, stdout"
        ]


class TestTheWhole:
    def test_the_key_of_concurrency_is_made_of_inputs(self) -> None:
        assert faults(call("a"), inputs=INPUTS, concurrency={"key": "k-${given}"}) == []
        assert faults(call("a"), inputs=INPUTS, concurrency={"key": "${a}"}) == [
            "concurrency.key: the key is made of inputs before anything runs; 'a' is none"
        ]
        assert faults(call("a"), inputs=INPUTS, concurrency={"key": "${givn}"}) == [
            "concurrency.key: there is no input 'givn'"
        ]

    def test_types_of_outputs(self) -> None:
        assert faults(call("a"), outputs={"o": 1}, returns={"o": "number"}) == []
        assert faults(call("a"), outputs={"o": 1}, returns={"q": "number"}) == [
            "returns.q: the pipeline has no output 'q'"
        ]

    def test_defaults_for_errors(self) -> None:
        rules = [{"status": [500], "strategy": "alternative_path", "steps": ["a"]},
                 {"strategy": "rollback", "checkpoint": "c"}]  # fmt: skip
        assert faults(call("a"), defaults={"on_error": rules}) == [
            "defaults.on_error.0.strategy: no step can stand in for every other",
            "defaults.on_error.1.checkpoint: no step makes a checkpoint 'c'",
        ]
        assert faults(block("b", call("a", checkpoint="c")), defaults={"on_error": rules[1:]}) == []
