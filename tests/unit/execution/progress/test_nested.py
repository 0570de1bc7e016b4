"""Steps inside of steps: they are kept, and count nowhere; what they stand in goes, fails and comes back with them."""

from __future__ import annotations

import sys
import textwrap
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.execution.progress.test_watching import CLAIMED, ERROR, NULL, Journal, started, succeeded

from orchestrator import ExecutionStatus, Pipeline
from orchestrator.clock import utc
from orchestrator.execution.engine import StateGraphEngine
from orchestrator.execution.progress import ExecutionProgress, ProgressTracker
from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.journal import events as ev
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

FAILED = {"message": "step 'b.two' failed: broken"}


def key(name: str) -> StepKey:
    return StepKey(name)


def entered(name: str, attempt: int = 1, generation: int = 1) -> ev.BlockEntered:
    return ev.BlockEntered(key(name), generation, attempt)


#: A life of nested steps, in which every event is one that an engine records.
LIFE: list[ev.Event] = [
    CLAIMED,
    entered("b"),
    started("b.one"),
    succeeded("b.one"),
    started("b.two"),
    ev.StepFailed(key("b.two"), 1, 1, ERROR),
    ev.StepRetrying(key("b"), 1, 1, FAILED, 1001.0),
    entered("b", attempt=2),
    ev.LoopExpanded(key("b.each"), 1, (NULL, NULL)),
    entered("b.each[0]"),
    started("b.each[0].x"),
    succeeded("b.each[0].x"),
    succeeded("b.each[0]"),
    ev.StepFailed(key("b.each[1]"), 1, 1, ERROR),
    succeeded("b.each"),
    ev.StepWaiting(key("ok"), 1, 1, "approval", 5000.0, "Release?"),
    ev.InterventionAnswered(key("ok"), 1, "approve", None, "Ada"),
    succeeded("ok"),
    ev.IterationStarted(key("w"), 1, 0),
    started("w[0]"),
    succeeded("w[0]"),
    succeeded("w"),
    entered("child"),
    started("child/load"),
    ev.StepCancelled(key("child/load"), 1, "enough"),
    ev.StepFailed(key("child"), 1, 1, ERROR, key("child/load")),
    ev.StepFailed(key("b"), 1, 2, FAILED, key("b.two")),
    ev.ExecutionFailed(key("child/load"), ERROR),
    ev.ExecutionRetried((key("child"), key("b"))),
    ev.ExecutionClaimed("me", 2),
    entered("child", generation=2),
    entered("b", generation=2),
    succeeded("b"),
    succeeded("child"),
    ev.ExecutionCompleted(NULL),
    ev.ExecutionRerun((key("b"), key("w"))),
    ev.ExecutionClaimed("me", 3),
    entered("b", generation=3),
    started("b.one"),
    ev.CancelRequested("no more", "Ada"),
    ev.StepCancelled(key("b.one"), 1, "no more"),
    ev.StepCancelled(key("b"), 3, "no more"),
    ev.ExecutionCancelled("no more"),
]


def test_after_every_event_the_tracker_says_what_the_fold_says(tracker: ProgressTracker) -> None:
    journal = Journal()
    tracker.watch(journal)
    for event in LIFE:
        journal.tell(event)
        live, folded = tracker.get_execution_progress("e"), ExecutionProgress.of(journal.record)
        same = {"start_time": live.start_time, "total_steps": live.total_steps}
        assert replace(folded, **same) == replace(live, as_of=None), event
        known = tracker.get_all_step_progress("e")
        for step in journal.record.steps.values():
            # (Of a step that is to go on the fold says that it runs, and the tracker that it begins anew.)
            if step.status is not StepStatus.PENDING and known[step.key].status is not StepStatus.PENDING:
                assert known[step.key].status == step.status, (event, step.key)
        assert set(known) >= set(journal.record.steps), event


def test_what_waits_and_what_is_given_up_is_told(tracker: ProgressTracker) -> None:
    journal = Journal()
    tracker.watch(journal)
    journal.tell(CLAIMED, ev.StepWaiting(key("paid"), 1, 1, "signal", 5000.0, "paid"))
    journal.tell(ev.SignalReceived("paid", NULL, "Bob"), ev.SignalTaken(key("paid"), 1, 3))
    journal.tell(ev.StepInDoubt(key("pay"), 1, 1, "ask"), ev.CancelRequested("stop", "Ada"))
    journal.tell(ev.StepCancelled(key("paid"), 1, "stop"))
    events = tracker.get_events("e")
    kinds = [(event.step_id, event.message, event.data) for event in events if event.event_type is T.CUSTOM_EVENT]
    assert kinds == [
        ("paid", "paid", {"kind": "step_waiting", "waits_for": "signal", "until": utc(5000.0)}),
        (None, "paid", {"kind": "signal_received", "by": "Bob"}),
        ("paid", None, {"kind": "signal_taken", "position": 3}),
        ("pay", None, {"kind": "step_in_doubt", "attempt": 1, "policy": "ask"}),
        (None, "stop", {"kind": "cancel_requested", "by": "Ada"}),
    ]
    assert events[1].event_type is T.STEP_STARTED
    assert tracker.get_execution_progress("e").cancelled_steps == 1


def test_a_failed_item_is_borne_by_its_loop(tracker: ProgressTracker) -> None:
    journal = Journal()
    tracker.watch(journal)
    journal.tell(CLAIMED, ev.LoopExpanded(key("m"), 1, (NULL, NULL), collects=True))
    journal.tell(ev.StepFailed(key("m[0]"), 1, 1, ERROR))
    assert tracker.get_step_progress("e", "m").status is StepStatus.RUNNING
    assert tracker.get_step_progress("e", "m").progress_percentage == 50.0
    journal.tell(succeeded("m[1]"), succeeded("m"))
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.failed_steps) == (1, 0)


def test_a_dot_alone_makes_no_block(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    for step in ("load", "load.csv"):
        tracker.complete_step("e", step)
    assert tracker.get_execution_progress("e").completed_steps == 2


@pytest.fixture
def run(tracker: ProgressTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("nested_handlers")
    monkeypatch.setitem(sys.modules, "nested_handlers", module)

    def fail() -> None:
        raise ValueError("no")

    async def one() -> int:
        return 1

    module.fail, module.one = fail, one  # type: ignore[attr-defined]

    async def run(steps: str) -> ExecutionProgress:
        engine = StateGraphEngine()
        engine.set_progress_tracker(tracker)
        definition = Pipeline.loads(f"pipeline: p\n{textwrap.dedent(steps)}")
        try:
            await engine.execute(Pipeline.from_canonical(definition.canonical(), str(tmp_path)), {}, "x")
            folded = ExecutionProgress.of(engine.read("x"))
        finally:
            engine.close()
        return folded

    return run


async def test_in_an_engine(tracker: ProgressTracker, run: Callable[..., object]) -> None:
    """Blocks, loops of blocks, a race that cancels a branch, a sub-pipeline, `finally`: the pipeline's own count."""
    folded: ExecutionProgress = await run("""
        pipelines:
          sub: {steps: [{id: load, call: "nested_handlers:one"}], outputs: {n: "${load}"}}
        steps:
          - id: each
            for_each: "${[1, 2]}"
            as: n
            on_item_failure: collect
            steps: [{id: bad, when: "${n == 1}", call: "nested_handlers:fail"}, {id: good, set: {x: 1}}]
          - id: first
            parallel:
              - {id: quick, call: "nested_handlers:one"}
              - {id: never, signal: nobody}
            join: any
          - {id: child, pipeline: sub}
          - {id: again, while: "${(again or 0) < 1}", call: "nested_handlers:one"}
        finally:
          - {id: tidy, call: "nested_handlers:one"}
    """)  # type: ignore[misc]
    live = tracker.get_execution_progress("x")
    assert live.status is ExecutionStatus.COMPLETED
    assert (live.total_steps, live.completed_steps, live.running_steps, live.failed_steps) == (5, 5, 0, 0)
    counted = (folded.completed_steps, folded.running_steps, folded.failed_steps, folded.cancelled_steps)
    assert counted == (5, 0, 0, 0)
    assert tracker.get_step_progress("x", "first.never").status is StepStatus.CANCELLED
    assert tracker.get_step_progress("x", "each[0].bad").status is StepStatus.FAILED
    assert tracker.get_step_progress("x", "child/load").status is StepStatus.COMPLETED
