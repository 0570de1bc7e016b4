"""A cut at every commit of an execution that recovers in every way; each next life ends as the unbroken run does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.journal import events as ev
from orchestrator.storage import open_store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

HERE = Path(__file__).parents[1]
PIPELINE = """
pipeline: recovering
steps:
  - {id: one, call: "engine_handlers:append", with: {name: one}, checkpoint: base}
  - {id: first, when: false, call: "engine_handlers:add", with: {left: 10}}
  - {id: second, when: false, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 2}}
  - {id: other, call: "engine_handlers:fail_until", with: {attempt: 9}, needs: [one],
     on_error: [{strategy: alternative_path, steps: [first, second]}]}
  - {id: left_out, call: "engine_handlers:fail_until", with: {attempt: 9, kind: ValueError},
     on_error: [{strategy: skip, output: [7]}]}
  - {id: patient, call: "engine_handlers:fail_until", with: {attempt: 3, kind: ValueError}, needs: [other, left_out],
     on_error: [{strategy: retry, max_attempts: 3, initial_delay: 5s}]}
  - {id: many, for_each: [1, 2, 3], max_parallel: 1, call: "engine_handlers:add", with: {left: "${item}"},
     needs: [patient]}
  - {id: bad, call: "engine_handlers:fail_in_generations", with: {generations: 2}, needs: [many],
     on_error: [{strategy: rollback, checkpoint: base}]}
  - {id: asked, call: "engine_handlers:fail_in_generations", with: {generations: 99}, needs: [bad],
     on_error: [{strategy: manual_intervention, instructions: "say something"}]}
  - {id: end, set: {all: "${[other, left_out, patient, many, bad, asked]}"}}
outputs: {all: "${all}"}
"""
WANTED = {"all": [2, [7], 3, [2, 3, 4], 3, "said"]}


def definition() -> Pipeline:
    return Pipeline.from_canonical(Pipeline.loads(PIPELINE).canonical(), str(HERE))


def go(app: Orchestrator) -> Any:
    """Carry the execution to its end, answering what is asked."""
    found = app.list()
    result = app.resume("x") if found else app.run(definition(), execution_id="x")
    while result.status is ExecutionStatus.PAUSED:
        app.answer("x", next(iter(result.waiting)), "skip", "said", "Ada")
        result = app.resume("x")
    return result


def test_every_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "unbroken"))
    store = CrashingStore(open_store(str(tmp_path / "whole.db"), durability="process"), at=10**9, when="before")
    with Orchestrator(store, clock=FakeClock()) as app:
        assert go(app).outputs == WANTED
        restores = [e for e in app.history("x") if isinstance(e.event, ev.ExecutionRestored)]
    assert len(restores) == 2
    commits = store.commits
    store.close()
    fell = sum(
        _cut(tmp_path / f"{when}-{cut}", cut, when, monkeypatch)
        for when in ("before", "after")
        for cut in range(1, commits + 1)
    )
    assert fell > commits


def _cut(folder: Path, cut: int, when: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there was such a commit."""
    folder.mkdir()
    witness = folder / "witness"
    monkeypatch.setenv(WITNESS, str(witness))
    path = folder / "journal.db"
    store = CrashingStore(open_store(str(path), durability="process"), at=cut, when=when)
    app = Orchestrator(store, clock=FakeClock())
    try:
        assert go(app).outputs == WANTED
    except SimulatedCrash:
        store.bury()
    else:
        return False
    with Orchestrator(path) as look:
        steps = look.show("x").steps.values() if look.list() else ()
        done = {f"{s.key} {s.generation}" for s in steps if s.status is StepStatus.COMPLETED}
    before = witness.read_text().splitlines() if witness.exists() else []
    with Orchestrator(path, clock=FakeClock(), durability="process") as second:
        assert go(second).outputs == WANTED, (cut, when)
        history = list(second.history("x"))
    after = witness.read_text().splitlines()[len(before) :]
    renewed = {
        key for e in history for key in getattr(e.event, "keys", ()) if isinstance(e.event, ev.ExecutionRestored)
    }
    again = [line for line in after if line.rsplit(" ", 1)[0] in done and line.split()[0] not in renewed]
    assert not again, (cut, when, again)
    questions = [e for e in history if isinstance(e.event, ev.InterventionRequested)]
    answers = [e for e in history if isinstance(e.event, ev.InterventionAnswered)]
    assert len(questions) == len(answers) == 1, (cut, when)
    assert len([e for e in history if isinstance(e.event, ev.ExecutionRestored)]) == 2, (cut, when)
    return True
