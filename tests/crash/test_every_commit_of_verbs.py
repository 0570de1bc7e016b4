"""Cuts at the commits of executions that are answered, retried, rerun, set back, forked, paused and cancelled.

Each next life does what is left to do. It ends as the unbroken run does, no verb counts twice, and nothing runs again
of which the success was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.verb_handlers import FOLDER

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.errors import NotResumableError
from orchestrator.journal import events as ev
from orchestrator.storage import open_store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

HERE = Path(__file__).parents[1]
VERBS = """
pipeline: verbs
pipelines:
  sub:
    steps:
      - {id: one, call: "verb_handlers:marks", with: {value: 1}}
      - {id: gate, signal: go, needs: [one]}
    outputs: {all: "${one + gate}"}
steps:
  - {id: a, set: {n: 1}}
  - {id: child, pipeline: sub, needs: [a]}
  - {id: b, call: "verb_handlers:marks", with: {value: "${child.all + n}"}, effect: {in_doubt: retry}, checkpoint: half}
  - id: loop
    for_each: [1, 2]
    max_parallel: 1
    needs: [b]
    call: "verb_handlers:marks"
    with: {name: "${'there' if item == 2 else '.'}", value: "${item * n}"}
  - {id: c, set: {n: "${n * 10}"}, needs: [loop]}
  - {id: ask, approve: "Go?", needs: [c]}
finally:
  - {id: tidy, call: "verb_handlers:marks"}
outputs: {n: "${n}", b: "${b}", loop: "${loop}", choice: "${ask.choice}"}
"""
WANTED = [
    {"n": 10, "b": 7, "loop": [1, 2], "choice": "approve"},
    {"n": 40, "b": 7, "loop": [4, 8], "choice": "reject"},
]
CANCELLED = """
pipeline: cancelled
pipelines:
  sub:
    steps: [{id: one, call: "verb_handlers:marks"}, {id: gate, signal: never, needs: [one]}]
    finally: [{id: tidy, call: "verb_handlers:marks"}]
    outputs: {x: "${gate}"}
steps:
  - {id: loop, for_each: [1, 2], pipeline: sub}
  - {id: after, call: "verb_handlers:marks", needs: [loop]}
finally:
  - {id: tidy, call: "verb_handlers:marks", with: {value: "${outcome.status}"}}
"""
#: What was asked for, each once.
ASKED = (ev.ExecutionRetried, ev.ExecutionRerun, ev.ExecutionRestored, ev.CancelRequested, ev.ExecutionForked)


def definition(text: str) -> Pipeline:
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


def has(app: Orchestrator, kind: type, execution_id: str = "x") -> bool:
    return any(isinstance(entry.event, kind) for entry in app.history(execution_id))


def carry_on(app: Orchestrator, execution_id: str, choice: str) -> ExecutionStatus:
    """Go on with one that is not over, answering what it waits for."""
    result = app.resume(execution_id)
    while result.status is ExecutionStatus.PAUSED:
        if result.waiting:
            app.answer(execution_id, "ask", choice)
        elif not app.store.inbox(execution_id):  # type: ignore[arg-type]
            app.signal(execution_id, "go", 5)
        result = app.resume(execution_id)
    return result.status


def all_verbs(app: Orchestrator, folder: Path) -> list[Any]:
    """Whatever is left of: run, retry, rerun, restore, fork."""
    if not app.list():
        app.run(definition(VERBS), execution_id="x")
    while True:
        status = app.show("x").status
        if status in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED):
            with suppress(NotResumableError):  # where it fails
                carry_on(app, "x", "approve")
        elif status is ExecutionStatus.FAILED:
            (folder / "there").touch()
            app.retry("x")
        elif not has(app, ev.ExecutionRerun):
            app.rerun("x", "loop[1]")
        elif not has(app, ev.ExecutionRestored):
            app.restore("x", "half")
        elif len(app.list()) < 2:
            app.fork("x", at="half", fork_id="y", variables={"n": 4})
        elif app.show("y").status is not ExecutionStatus.COMPLETED:
            carry_on(app, "y", "reject")
        else:
            return [app.resume(id_).outputs for id_ in "xy"]


def cancelling(app: Orchestrator, _folder: Path) -> list[Any]:
    """Whatever is left of: run, pause, cancel."""
    if not app.list():
        app.run(definition(CANCELLED), execution_id="x")
    while app.show("x").status is not ExecutionStatus.CANCELLED:
        record = app.show("x")
        if record.cancel is not None or record.status is ExecutionStatus.RUNNING:
            app.resume("x")
        elif record.pause_reason.startswith("paused"):
            app.cancel("x", "enough")
        else:
            app.pause("x")
    outcome = app.show("x").steps["tidy"].output  # type: ignore[index]
    assert outcome is not None
    return [app.value(outcome), sorted(app.show("x").steps)]


Deeds = Callable[[Orchestrator, Path], list[Any]]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("deeds", [all_verbs, cancelling], ids=["verbs", "cancel"])
def test_every_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deeds: Deeds) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    monkeypatch.setenv(FOLDER, str(folder))
    store = CrashingStore(open_store(str(folder / "journal.db"), durability="process"))
    with Orchestrator(store, clock=FakeClock()) as app:
        wanted = deeds(app, folder)
    store.close()
    if deeds is all_verbs:
        assert wanted == WANTED
    else:
        assert wanted[0] == "cancelled"
    # For the sake of time every second one, in turn before (it is not written) and after (nobody learns of it).
    cuts = {cut: "before" if cut % 4 == 1 else "after" for cut in range(1, store.commits + 1, 2)}
    fell = sum(_cut(tmp_path / f"{cut}", cut, when, monkeypatch, deeds, wanted) for cut, when in cuts.items())
    assert fell > len(cuts) * 0.7  # a start that waits for its outcome has a commit of its own now and then


def _cut(folder: Path, cut: int, when: Any, monkeypatch: pytest.MonkeyPatch, deeds: Deeds, wanted: list[Any]) -> bool:
    """Whether there was such a commit."""
    folder.mkdir()
    monkeypatch.setenv(FOLDER, str(folder))
    path, witness = folder / "journal.db", folder / "witness"
    store = CrashingStore(open_store(str(path), durability="process"), at=cut, when=when)
    try:
        assert deeds(Orchestrator(store, clock=FakeClock()), folder) == wanted
    except SimulatedCrash:
        store.bury()
    else:
        return False
    before = witness.read_text().splitlines() if witness.exists() else []
    with Orchestrator(path, clock=FakeClock(), durability="process") as app:
        done = {
            f"{found.execution_id}/{step.key}/{step.generation}"
            for found in app.list()
            for step in app.show(found.execution_id).steps.values()
            if step.status is StepStatus.COMPLETED
        }
        assert deeds(app, folder) == wanted, (cut, when)
        for found in app.list():
            assert found.owner is None
            record = app.show(found.execution_id)
            assert (record.steps_failed, found.steps_failed) == (0, 0), (cut, when)
            history = [entry.event for entry in app.history(found.execution_id)]
            for kind in ASKED:
                assert sum(isinstance(event, kind) for event in history) <= 1, (cut, when, kind)
    after = [line.split()[-1] for line in witness.read_text().splitlines()[len(before) :]]
    assert not done & set(after), (cut, when, done & set(after))
    return True
