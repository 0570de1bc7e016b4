"""The pytest plugin: its fixtures, its option, and that it costs who does not use it nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.testing import CrashReport, FakeClock, Script

WAITS = Pipeline(pipeline="waits", steps=[{"id": "a", "run": "false"}, {"id": "b", "wait": "1m", "needs": ["a"]}])


def test_the_fixtures_go_together(orchestrator: Orchestrator, fake_clock: FakeClock, script: Script) -> None:
    script.outcomes["a"] = 1
    began = fake_clock.time()
    result = orchestrator.run(WAITS)
    if result.status is ExecutionStatus.PAUSED:  # it waits for longer than it has patience here
        fake_clock.advance(60)
        result = orchestrator.resume(result.execution_id)
    assert result.status is ExecutionStatus.COMPLETED
    assert fake_clock.time() - began == 60
    assert [call.key for call in script.calls] == ["a"]


def test_crashes(crash_everywhere: Callable[..., CrashReport], script: Script) -> None:
    script.outcomes["a"] = 1
    assert crash_everywhere(WAITS, script=script).cuts > 5


GOLDEN = """
def test_it(orchestrator, script):
    from orchestrator import Pipeline
    from orchestrator.testing import assert_golden

    script.outcomes["a"] = 1
    orchestrator.run(Pipeline(pipeline="p", steps=[{"id": "a", "run": "false"}]), execution_id="x")
    assert_golden(orchestrator.history("x"), "kept.txt")
"""
LIGHT = """
import sys

def test_it():
    assert not [name for name in sys.modules if name.startswith("orchestrator.") and "testing" not in name]
    assert "orchestrator.testing.plugin" in sys.modules
    assert "orchestrator.testing.script" not in sys.modules
"""


def test_in_a_project_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(LIGHT)  # is the first
    (tmp_path / "test_story.py").write_text(GOLDEN)
    (tmp_path / "kept.txt").write_text("another story\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    command.append("--orchestrator-write-golden")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout
    assert "step_succeeded a output=1" in (tmp_path / "kept.txt").read_text()
