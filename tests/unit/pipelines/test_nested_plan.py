"""Plans of pipelines with steps inside of steps, with `finally`, and with pipelines of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.errors import PipelineFileError
from orchestrator.failure import RetryConfig
from orchestrator.pipelines.definition import PipelineDef
from orchestrator.pipelines.plan import (
    ApproveSpec,
    BlockSpec,
    Effect,
    FailSpec,
    ParallelSpec,
    PipelineSpec,
    Plan,
    PlannedStep,
    Recorded,
    ReturnSpec,
    SignalSpec,
    SwitchSpec,
    WaitSpec,
    make_plan,
    recorded_plan,
)


def plan_of(*steps: Mapping[str, Any], base_dir: Path | None = None, **fields: Any) -> Plan:
    return make_plan(Recorded(cast(PipelineDef, {"pipeline": "p", "steps": list(steps), **fields}), base_dir))


def one(step: Mapping[str, Any], **fields: Any) -> PlannedStep:
    return plan_of({"id": "a", **step}, **fields).steps["a"]


def call(name: str, uses: str = "", **fields: Any) -> dict[str, Any]:
    return {"id": name, "call": "m:f", "with": {"x": f"${{{uses}}}" if uses else 0}, **fields}


SHAPES: list[dict[str, Any]] = [
    call("late", "block.in2"),
    {"id": "block", "steps": [call("in2", "in1"), call("in1", "first")], "output": "${in2}"},
    {
        "id": "route",
        "switch": [
            {"when": "${first}", "steps": [call("small", "late"), {"id": "deep", "parallel": [call("x"), call("y")]}]},
            {"steps": [call("small")], "output": "${small}"},
        ],
    },
    call("first"),
]


def test_a_step_needs_what_the_steps_inside_of_it_need() -> None:
    plan = plan_of(*SHAPES)
    assert list(plan.steps) == ["first", "block", "late", "route"]
    assert {name: set(step.needs) for name, step in plan.steps.items()} == {
        "first": set(),
        "block": {"first"},
        "late": {"block"},
        "route": {"first", "late"},
    }
    assert plan.steps["first"].dependents == ("block", "route")
    block, route = plan.steps["block"], plan.steps["route"]
    assert list(block.blocks[0].steps) == ["in1", "in2"]
    assert (block.blocks[0].steps["in2"].needs, block.blocks[0].steps["in1"].needs) == ({"in1"}, frozenset())
    assert [list(flow.steps) for flow in route.blocks] == [["small", "deep"], ["small"]]
    assert list(route.blocks[0].steps["deep"].blocks[0].steps) == ["x", "y"]
    assert plan.steps["late"].blocks == ()


def test_variables_that_are_set_inside_are_set_by_the_whole() -> None:
    inside: dict[str, Any] = {"id": "b", "steps": [{"id": "s", "set": {"v": 1}}, call("r", "v")]}
    plan = plan_of(call("z", "v"), inside, {"id": "t", "set": {"v": "${v + 1}"}})
    assert plan.steps["z"].needs == {"b", "t"}
    assert plan.steps["t"].needs == {"b"}
    assert plan.steps["b"].blocks[0].steps["r"].needs == {"s"}


def test_a_variable_from_outside_is_there_before_one_that_is_set_later_inside() -> None:
    def needs(*before: dict[str, Any]) -> frozenset[str]:
        inside = {"id": "b", "steps": [call("r", "v"), {"id": "s", "set": {"v": 1}}]}
        return plan_of(*before, inside).steps["b"].blocks[0].steps["r"].needs

    assert needs() == {"s"}
    assert needs({"id": "t", "set": {"v": 1}}) == frozenset()


def test_what_is_recorded_of_it_makes_the_same_plan() -> None:
    plan = plan_of(*SHAPES)
    assert plan.graph == [
        [1],
        {"needs": [3], "blocks": [[[1], []]]},
        {"needs": [0, 3], "blocks": [[[], {"needs": [], "blocks": [[[], []]]}], [[]]]},
        [],
    ]
    again = recorded_plan(plan.canonical, plan.graph, plan.fingerprint, None)
    assert _shown(again.steps) == _shown(plan.steps)
    assert plan_of(call("a"), call("b", "a")).graph == [[], [0]]


def _shown(steps: Mapping[str, PlannedStep]) -> list[Any]:
    return [
        (id, step.needs, step.dependents, type(step.spec), [_shown(flow.steps) for flow in step.blocks])
        for id, step in steps.items()
    ]


def test_nothing_of_a_recorded_one_is_compiled_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(*SHAPES)
    broken = dict(plan.canonical["steps"][3])
    broken["with"] = {"x": "${"}
    steps = [*plan.canonical["steps"][:3], broken]
    again = recorded_plan(cast(PipelineDef, {**plan.canonical, "steps": steps}), plan.graph, "f", None)
    block = again.steps["block"]
    assert isinstance(block.spec, BlockSpec)
    assert again.steps["first"].needs == frozenset()
    with pytest.raises(Exception, match="is not closed"):
        _ = again.steps["first"].spec


class TestKinds:
    def test_a_block(self) -> None:
        step = one({"steps": [call("b")], "output": {"y": "${b}"}})
        assert isinstance(step.spec, BlockSpec)
        assert step.spec.output is not None
        assert (step.kind, step.is_compound, step.spec.output.resolve({"b": 1})) == ("steps", True, {"y": 1})
        assert one({"steps": [call("b")]}).spec == BlockSpec(None)

    def test_a_switch(self) -> None:
        spec = one(
            {"switch": [{"when": "${1 > 2}", "steps": [call("b")]}, {"steps": [call("b")], "output": "${b}"}]}
        ).spec
        assert isinstance(spec, SwitchSpec)
        first, last = spec.cases
        assert (first.when is not None and first.when.resolve({}), first.output, last.when) == (False, None, None)
        assert last.output is not None
        assert last.output.resolve({"b": 2}) == 2

    def test_branches(self) -> None:
        branches = {"parallel": [call("b"), call("c")]}
        step = one(branches)
        assert (step.spec, step.join, step.is_compound) == (ParallelSpec(None), None, True)
        assert [one({**branches, "join": join}).join for join in ("all", "any", 2)] == [None, 1, 2]

    def test_waiting(self) -> None:
        wait, signal = one({"wait": 7200.0}).spec, one({"signal": "paid-${1}", "deadline": 5.0}).spec
        assert isinstance(wait, WaitSpec)
        assert isinstance(signal, SignalSpec)
        assert (wait.time.resolve({}), signal.name.resolve({}), signal.deadline) == (7200.0, "paid-1", 5.0)
        assert (signal.has_default, signal.default) == (False, None)
        signal = cast(SignalSpec, one({"signal": "s", "deadline": 5.0, "default": None}).spec)
        assert (signal.has_default, signal.default) == (True, None)

    def test_asking(self) -> None:
        asked = {"approve": "Release ${v}?", "who": ["${v}", "ann"], "form": {"n": {"type": "number"}}, "deadline": 9.0}
        spec = one({**asked, "default": "reject"}, inputs={"v": {"default": 1}}).spec
        assert isinstance(spec, ApproveSpec)
        assert (spec.prompt.resolve({"v": 2}), spec.who.resolve({"v": "bob"})) == ("Release 2?", ["bob", "ann"])
        assert (spec.choices, spec.form, spec.deadline, spec.default) == (
            ("approve", "reject"),
            {"n": {"type": "number"}},
            9.0,
            "reject",
        )
        plain = cast(ApproveSpec, one({"approve": "ok?", "choices": ["a", "b"]}).spec)
        assert (plain.choices, plain.who.resolve({}), plain.form, plain.default) == (("a", "b"), [], {}, None)

    def test_the_ends(self) -> None:
        ended, failed = one({"return": {"o": "${1 + 1}"}}, outputs={"o": 1}).spec, one({"fail": "no ${1}"}).spec
        assert isinstance(ended, ReturnSpec)
        assert isinstance(failed, FailSpec)
        assert (ended.outputs["o"].resolve({}), failed.message.resolve({})) == (2, "no 1")


class TestModifiers:
    def test_rounds(self) -> None:
        step = one({"call": "m:f", "while": "${n < 3 and a is none}", "as": "n", "max_iterations": 7})
        assert step.repeat is not None
        assert (step.repeat.variable, step.repeat.max_iterations, step.loop) == ("n", 7, None)
        assert step.repeat.condition.resolve({"n": 1, "a": None}) is True
        assert (step.is_repeated, step.is_loop, step.needs, step.when_per_item) == (True, False, frozenset(), False)
        plain = one({"call": "m:f", "while": True})
        assert plain.repeat is not None
        assert (plain.repeat.variable, plain.repeat.max_iterations) == (None, 1000)
        assert one({"call": "m:f"}).repeat is None

    def test_failures_of_items(self) -> None:
        loop = {"call": "m:f", "for_each": [1]}
        found = [one({**loop, "on_item_failure": word}).item_failure for word in ("stop", "collect", 0.1)]
        assert found == ["stop", "collect", 0.1]
        step = one(loop)
        assert (step.item_failure, step.is_loop, step.is_repeated) == ("stop", True, False)

    def test_effects(self) -> None:
        assert one({"call": "m:f", "effect": {"in_doubt": "skip"}}).effect == Effect("skip", None)
        assert one({"call": "m:f", "effect": {"in_doubt": "verify", "verify": "m:g"}}).effect == Effect("verify", "m:g")
        assert one({"call": "m:f"}).effect is None

    def test_the_budget_in_time_of_retries(self) -> None:
        assert one({"call": "m:f", "retry": {"timeout": 5.0}}).retry == RetryConfig(timeout=5.0)
        assert one({"call": "m:f"}, defaults={"retry": {"timeout": 5.0}}).retry.timeout == 5.0

    def test_what_deals_with_its_own_failure(self) -> None:
        block: dict[str, Any] = {"steps": [call("b")]}
        rules: list[dict[str, Any]] = [{"strategy": "skip"}]
        assert not one(block).recovers
        assert not one({**block, "retry": {"max_attempts": 1}}).recovers
        assert one({**block, "retry": {}}).recovers
        assert one({**block, "on_error": rules}).recovers
        assert one(block, defaults={"on_error": rules}).recovers
        assert not one({"call": "m:f", "retry": {}}).recovers


def test_which_defaults_hold_for_which_kinds() -> None:
    defaults = {"timeout": 9.0, "retry": {"max_attempts": 4}, "on_error": [{"strategy": "skip", "output": 1}]}
    plan = plan_of(
        {"id": "b", "steps": [call("c"), {"id": "w", "wait": 1.0}]},
        {"id": "own", "run": "ls", "on_error": [{"strategy": "fail_fast"}]},
        {"id": "s", "set": {"v": 1}},
        defaults=defaults,
    )
    block = plan.steps["b"]
    inner = block.blocks[0].steps

    def held(step: PlannedStep) -> tuple[float | None, int, list[str]]:
        return step.timeout_seconds, step.retry.max_attempts, [rule.strategy for rule in step.on_error]

    assert held(block) == (None, 1, ["skip"])
    assert held(inner["c"]) == (9.0, 4, ["skip"])
    assert held(inner["w"]) == held(plan.steps["s"]) == (None, 1, [])
    assert held(plan.steps["own"]) == (9.0, 4, ["fail_fast"])


class TestWhole:
    def test_finally(self) -> None:
        plan = plan_of(call("a"), **{"finally": [call("z", "y"), call("y", "a + outcome.status")]})
        assert (list(plan.steps), list(plan.finally_)) == (["a"], ["y", "z"])
        assert (plan.finally_["y"].needs, plan.finally_["z"].needs) == (frozenset(), {"y"})
        assert plan.graph == {"steps": [[]], "finally": [[1], []], "pipelines": {}}
        again = recorded_plan(plan.canonical, plan.graph, plan.fingerprint, None)
        assert _shown(again.finally_) == _shown(plan.finally_)

    def test_pipelines(self, tmp_path: Path) -> None:
        child: dict[str, Any] = {
            "pipeline": "c",
            "inputs": {"n": {}},
            "steps": [call("load", "n"), call("use", "load")],
            "outputs": {"o": "${use}"},
            "returns": {"o": "number"},
            "folder": "../lib",
        }
        inner: dict[str, Any] = {"pipeline": "i", "steps": [{"id": "again", "pipeline": "."}]}
        run = {"id": "a", "pipeline": "child", "with": {"n": "${1 + 1}"}}
        members = {"child": child, "inner": inner}
        plan = plan_of(run, base_dir=tmp_path / "root", pipelines=members)
        spec = plan.steps["a"].spec
        assert isinstance(spec, PipelineSpec)
        assert (spec.ref, spec.arguments.resolve({}), plan.steps["a"].is_compound) == ("child", {"n": 2}, True)
        again = recorded_plan(plan.canonical, plan.graph, plan.fingerprint, tmp_path / "root")
        for root in (plan, again):
            member = root.pipelines["child"]
            assert member is root.pipelines["child"]
            assert (member.pipeline_id, member.base_dir, member.canonical) == ("c", tmp_path / "lib", child)
            assert (list(member.steps), member.steps["use"].needs, dict(member.returns)) == (
                ["load", "use"],
                {"load"},
                {"o": "number"},
            )
            assert root.pipelines["inner"].base_dir == tmp_path / "root"
            assert root.pipelines["inner"].pipelines["."] is root
            assert set(root.pipelines) == {".", "child", "inner"}
        assert plan.graph == {
            "steps": [[]],
            "finally": [],
            "pipelines": {"child": [[], [0]], "inner": [[]]},
        }

    def test_the_faults_of_a_member_are_told(self) -> None:
        with pytest.raises(PipelineFileError, match="nothing is named 'x'") as caught:
            plan_of({"id": "a", "pipeline": "c"}, pipelines={"c": {"pipeline": "c", "steps": [call("b", "x")]}})
        assert [fault.path for fault in caught.value.faults] == ["pipelines.c.steps.b.with.x"]
