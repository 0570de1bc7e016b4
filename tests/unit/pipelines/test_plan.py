"""The plan: everything decided that can be, the same for a file, for Python and for a record."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PipelineFileError, TemplateError
from orchestrator.failure import ONE_ATTEMPT, ErrorCategory, ErrorSeverity, RetryConfig
from orchestrator.pipelines.model import Defaults, Pipeline, Retry, Step
from orchestrator.pipelines.plan import CallSpec, ErrorRule, Plan, Recorded, RunSpec, SetSpec, loop_items, make_plan


def plan_of(*steps: Step, **fields: Any) -> Plan:
    return make_plan(Pipeline(pipeline="p", steps=steps, **fields))


def test_steps_stand_in_an_order_in_which_they_can_run() -> None:
    plan = plan_of(
        Step(id="last", call="m:f", with_={"x": "${mid}", "y": "${first}"}),
        Step(id="mid", call="m:f", with_={"x": "${first}"}),
        Step(id="first", call="m:f"),
        Step(id="free", call="m:f"),
    )
    assert list(plan.steps) == ["first", "mid", "last", "free"]
    assert plan.steps["last"].needs == {"mid", "first"}
    assert plan.steps["first"].dependents == ("last", "mid")
    assert plan.steps["free"].dependents == ()


def test_a_call() -> None:
    plan = plan_of(
        Step(id="a", call="m:f", with_={"n": "${i + 1}", "k": [1]}, runner="process", timeout="1m", checkpoint="c"),
        inputs={"i": {"default": 1}},
    )
    step = plan.steps["a"]
    assert isinstance(step.spec, CallSpec)
    assert (step.kind, step.spec.target, step.runner, step.timeout_seconds, step.checkpoint) == (
        "call",
        "m:f",
        "process",
        60.0,
        "c",
    )
    assert step.spec.arguments.resolve({"i": 1}) == {"n": 2, "k": [1]}
    plain = plan_of(Step(id="a", call="m:f")).steps["a"].spec
    assert isinstance(plain, CallSpec)
    assert plain.arguments.resolve({}) == {}


def test_a_program() -> None:
    spec = (
        plan_of(
            Step(id="a", run=["ls", "${d}", "-n", 3], env={"A": "${d}", "B": True}, cwd="${d}", parse="json"),
            inputs={"d": {"default": "x"}},
        )
        .steps["a"]
        .spec
    )
    assert isinstance(spec, RunSpec)
    assert spec.shell is None
    assert spec.argv is not None
    assert spec.cwd is not None
    assert [part.resolve({"d": ["p", "q"]}) for part in spec.argv] == ["ls", ["p", "q"], "-n", "3"]
    assert spec.env.resolve({"d": "y"}) == {"A": "y", "B": "true"}
    assert (spec.cwd.resolve({"d": "y"}), spec.parse) == ("y", "json")


def test_a_shell_text() -> None:
    spec = (
        plan_of(Step(id="a", run='echo ${d} "$${HOME} ${d | upper}"'), inputs={"d": {"default": "x"}}).steps["a"].spec
    )
    assert isinstance(spec, RunSpec)
    assert spec.argv is None
    assert spec.shell is not None
    assert spec.shell.script == 'echo "${ORCHESTRATOR_ARG_0}" "${HOME} ${ORCHESTRATOR_ARG_1}"'
    assert [part.resolve({"d": "y"}) for part in spec.shell.arguments] == ["y", "Y"]
    assert (spec.env.resolve({}), spec.cwd, spec.parse) == ({}, None, "text")


def test_variables() -> None:
    step = plan_of(Step(id="a", set_={"n": "${1 + 1}", "m": [1]})).steps["a"]
    assert isinstance(step.spec, SetSpec)
    assert {name: value.resolve({}) for name, value in step.spec.variables.items()} == {"n": 2, "m": [1]}


def test_loops_and_conditions() -> None:
    plan = plan_of(
        Step(id="a", call="m:f", for_each=[1, 2], when="${item > 1}"),
        Step(id="b", call="m:f", for_each="${a}", as_="row", max_parallel=2, when="${a | length > 1}"),
        Step(id="c", call="m:f", when=False),
    )
    a, b, c = plan.steps.values()
    assert a.loop is not None
    assert b.loop is not None
    assert (a.loop.variable, a.loop.max_parallel, a.when_per_item) == ("item", None, True)
    assert (b.loop.variable, b.loop.max_parallel, b.when_per_item) == ("row", 2, False)
    assert a.loop.items.resolve({}) == [1, 2]
    assert c.when is not None
    assert (c.when.resolve({}), c.loop, c.when_per_item) == (False, None, False)


def test_outputs() -> None:
    plan = plan_of(Step(id="a", call="m:f"), outputs={"x": {"y": "${a}"}})
    assert {name: value.resolve({"a": 1}) for name, value in plan.outputs.items()} == {"x": {"y": 1}}
    assert plan_of(Step(id="a", call="m:f")).outputs == {}


class TestRetry:
    def test_without_it_there_is_one_attempt(self) -> None:
        assert plan_of(Step(id="a", call="m:f")).steps["a"].retry == ONE_ATTEMPT
        assert ONE_ATTEMPT.max_attempts == 1

    def test_its_defaults(self) -> None:
        assert plan_of(Step(id="a", call="m:f", retry={})).steps["a"].retry == RetryConfig()

    def test_every_key_arrives(self) -> None:
        retry = Retry(
            max_attempts=7,
            initial_delay="500ms",
            max_delay="2m",
            backoff_factor=3,
            exponential_backoff=False,
            jitter=0.5,
            on=["user", "unknown"],
        )
        assert plan_of(Step(id="a", call="m:f", retry=retry)).steps["a"].retry == RetryConfig(
            7, 0.5, 120.0, 3.0, False, 0.5, frozenset({ErrorCategory.USER, ErrorCategory.UNKNOWN})
        )

    def test_a_step_says_its_own_over_the_defaults_key_by_key(self) -> None:
        defaults = Defaults(timeout=5, retry=Retry(max_attempts=9, on=["user"]))
        plan = plan_of(
            Step(id="a", call="m:f"),
            Step(id="b", run="ls", timeout=7, retry=Retry(max_attempts=3)),
            Step(id="c", set_={"x": 1}),
            defaults=defaults,
        )
        a, b, c = plan.steps.values()
        assert (a.timeout_seconds, a.retry.max_attempts) == (5.0, 9)
        assert (b.timeout_seconds, b.retry.max_attempts) == (7.0, 3)
        assert a.retry.retry_on_categories == b.retry.retry_on_categories == {ErrorCategory.USER}
        assert (c.timeout_seconds, c.retry) == (None, ONE_ATTEMPT)


class TestOnError:
    def rules(self, *rules: dict[str, Any]) -> tuple[ErrorRule, ...]:
        steps = [Step(id="a", call="m:f", on_error=rules), Step(id="b", run="ls", checkpoint="c", when=False)]
        return plan_of(*steps).steps["a"].on_error

    def test_without_it_there_is_none(self) -> None:
        step = plan_of(Step(id="a", call="m:f")).steps["a"]
        assert (step.on_error, step.important) == ((), False)
        assert plan_of(Step(id="a", call="m:f", important=True)).steps["a"].important

    def test_every_condition_arrives(self) -> None:
        (rule,) = self.rules(
            {
                "category": ["network", "timeout"],
                "severity": "high",
                "exception": ["KeyError", "m.E"],
                "status": 503,
                "message": "busy",
                "strategy": "fail_fast",
            }
        )
        assert rule == ErrorRule(
            categories=frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT}),
            severities=frozenset({ErrorSeverity.HIGH}),
            exceptions=frozenset({"KeyError", "m.E"}),
            statuses=frozenset({503}),
            message="busy",
            strategy="fail_fast",
        )

    def test_every_option_arrives(self) -> None:
        skip, rollback, latest, manual, other = self.rules(
            {"status": 500, "strategy": "skip", "output": {"rows": []}},
            {"status": 500, "strategy": "rollback", "checkpoint": "c"},
            {"status": 500, "strategy": "rollback"},
            {"status": 500, "strategy": "manual_intervention", "instructions": "look", "timeout": "2d"},
            {"status": 500, "strategy": "alternative_path", "steps": ["b"]},
        )
        assert (skip.strategy, skip.output, skip.retry) == ("skip", {"rows": []}, None)
        assert (rollback.checkpoint, latest.checkpoint) == ("c", None)
        assert (manual.instructions, manual.timeout) == ("look", 172_800.0)
        assert other.steps == ("b",)
        assert len({skip, rollback, latest, manual, other}) == 5

    def test_retries_follow_a_config_that_covers_every_error(self) -> None:
        every = frozenset(ErrorCategory)
        plain, growing = self.rules(
            {"status": 500, "strategy": "retry", "initial_delay": "2m", "jitter": 0.5, "timeout": 9},
            {"strategy": "retry_with_backoff", "max_attempts": 7, "max_delay": 90, "backoff_factor": 3},
        )
        assert plain.retry == RetryConfig(3, 120.0, 60.0, 2.0, False, 0.5, every)
        assert (plain.retry.get_delay(0), plain.retry.get_delay(5), plain.timeout) == (120.0, 120.0, 9.0)
        assert growing.retry == RetryConfig(7, 1.0, 90.0, 3.0, True, 0.0, every)

    def test_a_record_gives_the_same_rules(self) -> None:
        rules = [{"category": "user", "strategy": "retry", "max_attempts": 2}, {"strategy": "skip", "output": [None]}]
        pipeline = Pipeline(pipeline="p", steps=[Step(id="a", call="m:f", on_error=rules, important=True)])
        plan, again = make_plan(pipeline), make_plan(Recorded(pipeline.canonical()))
        assert again.steps["a"].on_error == plan.steps["a"].on_error
        assert again.steps["a"].important
        assert again.fingerprint == plan.fingerprint != plan_of(Step(id="a", call="m:f")).fingerprint


class TestFingerprint:
    TEXT = "pipeline: p\nsteps:\n  - {id: a, call: 'm:f', with: {x: 1, y: 2}, timeout: 90s}\n  - {id: b, run: ls}\n"

    def prints(self, text: str) -> dict[str, str]:
        return {name: step.fingerprint for name, step in make_plan(Pipeline.loads(text)).steps.items()}

    def test_it_is_that_of_the_meaning(self) -> None:
        other = (
            "pipeline: p\nsteps:\n- id: a\n  timeout: 1m30s\n  with: {y: 2, x: 1}\n  call: m:f\n"
            "- {id: b, run: 'ls', parse: text}\n"
        )
        assert self.prints(self.TEXT) == self.prints(other)
        assert make_plan(Pipeline.loads(self.TEXT)).fingerprint == Pipeline.loads(other).fingerprint

    def test_a_change_shows_in_the_step_that_changed(self) -> None:
        before, after = self.prints(self.TEXT), self.prints(self.TEXT.replace("y: 2", "y: 3"))
        assert before["a"] != after["a"]
        assert before["b"] == after["b"]
        assert len(before["a"]) == 16


def test_a_record_plans_as_the_pipeline_did(tmp_path: Path) -> None:
    pipeline = Pipeline.loads(TestFingerprint.TEXT)
    plan, again = make_plan(pipeline), make_plan(Recorded(pipeline.canonical(), tmp_path))
    assert again.fingerprint == plan.fingerprint
    assert again.canonical == plan.canonical
    assert {name: step.fingerprint for name, step in again.steps.items()} == {
        name: step.fingerprint for name, step in plan.steps.items()
    }
    assert (plan.base_dir, again.base_dir) == (None, tmp_path)


def test_a_plan_is_checked_and_frozen() -> None:
    with pytest.raises(PipelineFileError, match="nothing is named 'x'"):
        plan_of(Step(id="a", call="m:f", when="${x}"))
    with pytest.raises(FrozenInstanceError):
        plan_of(Step(id="a", call="m:f")).pipeline_id = "x"  # type: ignore[misc]


def test_a_record_is_planned_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from orchestrator.pipelines.plan import Recorded, make_plan\n"
        "step = {'id': 'a', 'call': 'm:f', 'with': {'x': [1]}, 'when': True,\n"
        "        'on_error': [{'category': ['user'], 'strategy': 'retry'}]}\n"
        "make_plan(Recorded({'pipeline': 'p', 'steps': [step]}))\n"
        "print([name for name in ('pydantic', 'yaml', 'jinja2', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def seconds_to_plan(size: int) -> float:
    steps: list[Any] = [
        {"id": f"s{n}", "call": "m:f", "with": {"x": f"${{s{n - 1}.rows}}" if n else 0, "n": n}} for n in range(size)
    ]
    recorded = Recorded({"pipeline": "p", "steps": steps})
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        make_plan(recorded)
        best = min(best, time.process_time() - started)
    return best


def test_the_cost_is_linear_in_the_steps() -> None:
    seconds_to_plan(100)
    assert seconds_to_plan(4000) < 6 * 4 * max(seconds_to_plan(1000), 0.005)


class TestLoopItems:
    def test_lists_and_mappings(self) -> None:
        assert loop_items([1, 2]) == [1, 2]
        assert loop_items((1,)) == [1]
        assert loop_items(range(2)) == [0, 1]
        assert loop_items({"a": 1}) == [{"key": "a", "value": 1}]
        given = [1]
        assert loop_items(given) is not given

    @pytest.mark.parametrize(
        ("value", "message"),
        [("a,b", "split it"), (b"ab", "give it a list"), (None, "not null"), (3, "not the number 3"), ({1}, "sort it")],
    )
    def test_what_has_no_items(self, value: Any, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            loop_items(value)


def test_the_deepest_values_plan() -> None:
    deep: Any = "${x}"
    for _ in range(60):
        deep = [deep]
    make_plan(Pipeline(pipeline="p", inputs={"x": {"default": 1}}, steps=[Step(id="a", call="m:f", with_={"d": deep})]))
