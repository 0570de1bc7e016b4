"""A cut at every commit: it passes what can be resumed, and finds what cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Pipeline
from orchestrator.journal.store import Lease
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing import CrashReport, Script, crash_everywhere, fails
from orchestrator.testing.crash import everywhere

SOUND = """
pipeline: sound
steps:
  - {id: a, call: "crash_tasks:plain", retry: {max_attempts: 3, initial_delay: 60}}
  - {id: each, for_each: [1, 2], call: "crash_tasks:plain", with: {n: "${item + a}"}}
  - {id: rest, wait: 7d, needs: [each]}
  - {id: ok, approve: "Go?", form: {share: {type: integer}}, needs: [rest]}
  - {id: go, signal: go, deadline: 1h, needs: [ok]}
  - {id: note, set: {total: "${a + each | sum + go}"}, needs: [go]}
outputs: {total: "${total}", share: "${ok.form.share}"}
"""
FORGETFUL = """
pipeline: forgetful
steps:
  - {id: put, call: "crash_tasks:put", with: {n: 5}}
  - {id: get, call: "crash_tasks:get", needs: [put]}
outputs: {got: "${get}"}
"""
TASKS = """
KEPT = {}
CALLS = 0

def plain(n=0):
    return n + 1

def put(n):
    global CALLS
    CALLS += 1
    KEPT["n"] = n

def get():
    return KEPT.get("n")

def note(n, file):
    with open(file, "a") as out:
        out.write(f"{n}\\n")
"""

Make = Callable[[str], Pipeline]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a pipeline of a text, with its handlers beside it."""
    (tmp_path / "crash_tasks.py").write_text(TASKS)
    return lambda text: Pipeline.from_canonical(Pipeline.loads(text).canonical(), tmp_path)


def try_sound(make: Make, **more: Any) -> CrashReport:
    script = Script({"a": fails(1, TimeoutError, then=1)})
    answers = {"ok": ("approve", {"share": 3})}
    return crash_everywhere(make(SOUND), script=script, messages={"go": 10}, answers=answers, **more)


def test_what_can_be_resumed_passes(make: Make) -> None:
    report = try_sound(make)
    assert (report.status, dict(report.outputs)) == ("completed", {"total": 18, "share": 3})
    assert report.commits >= 10
    assert report.cuts >= 2 * report.commits - 4
    assert {"a", "each[0]"} <= set(report.repeated)  # a cut fell between a handler and its commit


def test_a_file_is_a_subject_too(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text('pipeline: one\nsteps: [{id: a, call: "crash_tasks:plain"}]\noutputs: {a: "${a}"}\n')
    assert crash_everywhere(file).outputs == {"a": 1}
    assert crash_everywhere(str(file), every=100).cuts == 2


def test_it_finds_a_step_that_keeps_state_in_its_module(make: Make) -> None:
    with pytest.raises(AssertionError, match=r"cut \w+ commit \d+ of \d+ \(step_succeeded (put|get)\)") as caught:
        crash_everywhere(make(FORGETFUL))
    assert "outputs.got: expected 5, got None" in str(caught.value)
    assert crash_everywhere(make(FORGETFUL), forget=[]).outputs == {"got": 5}  # by what it would not be found


def test_it_finds_an_effect_that_happens_twice(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "effects"
    text = f"""
pipeline: effects
steps: [{{id: send, call: "crash_tasks:note", with: {{n: 1, file: "{file}"}}}}]
"""
    report = crash_everywhere(
        make(text), effects=lambda: set(file.read_text().split()), fresh=lambda: file.write_text("")
    )
    assert report.repeated
    with pytest.raises(AssertionError, match=r"effects: expected 1 items, got 2"):
        crash_everywhere(make(text), effects=lambda: file.read_text().split(), fresh=lambda: file.write_text(""))


class _Losing(MemoryStore):
    """Loses the last thing that it has acknowledged when its writer dies."""

    survives_process = True

    def release(self, lease: Lease) -> None:
        execution = self._executions.get(lease.execution_id)
        if execution is not None and len(execution.batches) > 1:
            execution.position -= execution.batches.pop().count
        super().release(lease)


def test_it_finds_a_store_that_loses_a_commit(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'pipeline: lost\nsteps: [{id: a, call: "crash_tasks:plain"}, {id: b, wait: 1d, needs: [a]}]\n'
    crash_everywhere(make(text))
    monkeypatch.setattr(everywhere, "memory_store", _Losing)
    with pytest.raises(AssertionError, match="ran again though its success was recorded: a"):
        crash_everywhere(make(text))


def test_it_says_what_nobody_gives(make: Make) -> None:
    with pytest.raises(AssertionError, match=r"the unbroken run does not end: .*signal 'go'.*; give `messages="):
        crash_everywhere(make("pipeline: p\nsteps: [{id: wait, signal: go}]\n"))


def test_a_failure_is_an_end_like_any_other(make: Make) -> None:
    script = Script({"a": ConnectionError("no line")})
    report = crash_everywhere(make(SOUND), script=script)
    assert report.status == "failed"
    assert len({call.idempotency_key for call in script.calls}) == 1
