"""Scripted handlers: what a step comes to, by attempt; who was called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import ExecutionResult, ExecutionStatus, Orchestrator, Pipeline
from orchestrator.testing import REAL, FakeClock, Script, fails, memory_store, returns
from orchestrator.testing.script import names_of

TEXT = """
pipeline: scripted
steps:
  - {id: fetch, call: "tasks:fetch", with: {n: 1}, retry: {max_attempts: 4, initial_delay: 10}}
  - {id: each, for_each: [1, 2, 3], call: "tasks:fetch", with: {n: "${item}"}}
  - {id: shell, run: [echo, hello]}
outputs: {fetch: "${fetch}", each: "${each}", shell: "${shell}"}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    (tmp_path / "tasks.py").write_text("def fetch(n):\n    return f'real {n}'\n")
    return Pipeline.from_canonical(Pipeline.loads(TEXT).canonical(), tmp_path)


def run(pipeline: Pipeline, script: Script) -> ExecutionResult:
    clock = FakeClock()
    with Orchestrator(memory_store(clock), clock=clock, runner=script) as app:
        return app.run(pipeline, execution_id="x")


def test_what_is_not_scripted_runs(pipeline: Pipeline) -> None:
    script = Script({"shell": {"stdout": "hi"}})
    assert run(pipeline, script).outputs == {
        "fetch": "real 1", "each": ["real 1", "real 2", "real 3"], "shell": {"stdout": "hi"},
    }  # fmt: skip
    assert [(c.key, c.scripted) for c in script.calls if c.key in ("fetch", "shell")] == [
        ("fetch", False), ("shell", True),
    ]  # fmt: skip


def test_a_key_comes_before_a_name(pipeline: Pipeline) -> None:
    script = Script({"fetch": 1, "each[1]": "second", "each": "any", "shell": None})
    assert run(pipeline, script).outputs == {"fetch": 1, "each": ["any", "second", "any"], "shell": None}


@pytest.mark.parametrize(
    ("outcomes", "attempts", "value"),
    [
        (fails(2, TimeoutError, then=7), 3, 7),
        (fails(2, ConnectionError("refused")), 3, "real 1"),
        ([TimeoutError, lambda n: n + 10], 2, 11),
        ([REAL], 1, "real 1"),
        (returns([1, 2]), 1, [1, 2]),
        ([TimeoutError(), returns([])], 2, []),
    ],
)
def test_one_outcome_per_attempt_and_the_last_stays(
    pipeline: Pipeline, outcomes: Any, attempts: int, value: Any
) -> None:
    script = Script({"fetch": outcomes, "each": 0, "shell": 0})
    assert run(pipeline, script).outputs["fetch"] == value
    calls = script.calls_of("fetch")
    assert [c.attempt for c in calls] == [*range(1, attempts + 1)]
    assert {(c.idempotency_key, c.arguments["n"]) for c in calls} == {("x/fetch/1", 1)}


async def test_a_function_is_called_as_a_handler_is(pipeline: Pipeline) -> None:
    from orchestrator import current_attempt

    async def async_one(n: int) -> str:
        return f"{current_attempt().step_key} {n}"

    script = Script({"fetch": async_one, "each": lambda n: n * n, "shell": lambda: "no arguments"})
    clock = FakeClock()
    with Orchestrator(memory_store(clock), clock=clock, runner=script) as app:
        result = await app.arun(pipeline)
    assert result.outputs == {"fetch": "fetch 1", "each": [1, 4, 9], "shell": "no arguments"}


def test_an_exception_that_stays_fails_the_step(pipeline: Pipeline) -> None:
    script = Script({"fetch": ConnectionError("no line"), "each": 0, "shell": 0})
    result = run(pipeline, script)
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "fetch")
    assert len(script.calls_of("fetch")) == 4


def test_only_what_is_scripted_may_run(pipeline: Pipeline) -> None:
    script = Script({"each": 1, "shell": 1, "nobody": 1}, only=True)
    result = run(pipeline, script)
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "fetch")
    assert "is not scripted" in (result.error or {})["message"]
    assert len(script.calls_of("fetch")) == 1  # it is not tried again
    assert "nobody" in script.unused


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("load", ["load"]),
        ("months[3].parse", ["months[3].parse", "months.parse"]),
        ("fetch#2", ["fetch#2", "fetch"]),
        ("fetch:oslo", ["fetch:oslo", "fetch"]),
        ("child#2/fetch[0]", ["child#2/fetch[0]", "child#2/fetch", "child/fetch"]),
    ],
)
def test_what_a_step_may_be_called(key: str, names: list[str]) -> None:
    assert names_of(key) == names
