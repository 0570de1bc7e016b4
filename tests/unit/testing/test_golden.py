"""Golden journals: the same text for the same story, a readable difference for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import Orchestrator, Pipeline
from orchestrator.testing import FakeClock, Script, assert_golden, fails, memory_store
from orchestrator.testing.golden import golden_text

TEXT = """
pipeline: kept
inputs: {n: {type: number, default: 3}}
steps:
  - {id: odd, run: "exit 1", retry: {max_attempts: 3, initial_delay: 50}}
  - {id: noted, set: {x: "${odd + n}"}}
outputs: {x: "${x}"}
"""


def run(app_id: str, start: float, failures: int = 1, value: object = 4) -> Orchestrator:
    clock = FakeClock(start)
    app = Orchestrator(memory_store(clock), clock=clock, runner=Script({"odd": fails(failures, TimeoutError, value)}))
    app.run(Pipeline.loads(TEXT), execution_id=app_id)
    return app


def test_it_is_the_same_for_every_run(tmp_path: Path) -> None:
    file = tmp_path / "golden" / "kept.txt"
    assert_golden(run("first", 1e9).history("first"), file)
    assert_golden(run("second", 1.7e9).history("second"), file)
    text = file.read_text()
    assert "first" not in text
    assert "step_retrying odd error=(type='TimeoutError'" in text
    assert "step_succeeded odd attempt=2 output=4" in text


def test_what_came_of_it(tmp_path: Path) -> None:
    assert golden_text(run("x", 1e9).show("x")) == (
        "kept: completed\n"
        "input n = 3\n"
        "step noted: completed, output {'x': 7}\n"
        "step odd: completed, attempt 2, output 4, "
        "error (type='TimeoutError' message='TimeoutError' category='timeout')\n"
        "variable x = 7\n"
        "outputs = {'x': 7}\n"
    )


def test_another_story_is_shown_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kept.txt"
    assert_golden(run("x", 1e9).history("x"), file)
    other = run("x", 1e9, failures=2, value=5).history("x")
    with pytest.raises(AssertionError) as caught:
        assert_golden(other, file)
    told = str(caught.value).splitlines()
    assert "-step_succeeded odd attempt=2 output=4" in told
    assert "+step_succeeded odd attempt=3 output=5" in told
    assert "ORCHESTRATOR_WRITE_GOLDEN=1" in told[-1]
    monkeypatch.setenv("ORCHESTRATOR_WRITE_GOLDEN", "1")
    assert_golden(other, file)
    monkeypatch.setenv("ORCHESTRATOR_WRITE_GOLDEN", "0")
    assert_golden(other, file)
    with pytest.raises(AssertionError):
        assert_golden(run("x", 1e9).history("x"), file)


def test_what_differs_from_run_to_run_is_a_word() -> None:
    raising = RuntimeError("at 2026-03-01T10:00:00Z, pid 4711, 0x7f3a, deadbeef00112233")
    clock = FakeClock()
    with Orchestrator(memory_store(clock), clock=clock, runner=Script({"odd": raising})) as app:
        app.run(Pipeline.loads(TEXT), execution_id="x")
        text = golden_text(app.history("x"))
    assert "RuntimeError: at <time>, <pid>, <address>, <hash>" in text
