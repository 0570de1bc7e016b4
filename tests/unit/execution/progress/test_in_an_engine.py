"""A tracker that an engine was given: what it says is what the journal says, whatever handlers report meanwhile."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import ExecutionStatus, Pipeline, StepStatus
from orchestrator.execution.engine import StateGraphEngine
from orchestrator.execution.progress import ExecutionProgress, ProgressEvent, ProgressTracker, current_attempt, progress
from orchestrator.execution.progress import ProgressEventType as T

SOON = 30.0


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module `told_handlers`; the engines keep their store beside the test."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("told_handlers")
    monkeypatch.setitem(sys.modules, "told_handlers", module)
    return module


@pytest.fixture
def engine(tracker: ProgressTracker, handlers: Any) -> Iterator[StateGraphEngine]:
    made = StateGraphEngine()
    made.set_progress_tracker(tracker)
    yield made
    made.close()


def pipeline(steps: str) -> Pipeline:
    text = f"pipeline: p\nsteps:\n{textwrap.indent(textwrap.dedent(steps).strip(), '  ')}\n"
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(Path.cwd()))


def told(tracker: ProgressTracker) -> list[tuple[T, str | None]]:
    return [(event.event_type, event.step_id) for event in tracker.get_events("x")]


def counts(progress: ExecutionProgress | None) -> tuple[object, ...]:
    assert progress is not None
    p = progress
    return p.status, p.total_steps, p.completed_steps, p.failed_steps, p.skipped_steps, p.running_steps


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():
            await asyncio.sleep(0.001)


def generation() -> int:
    info = current_attempt()
    assert info is not None
    return info.generation


async def test_a_restore_leaves_true_counts_and_a_late_note_starts_nothing(
    engine: StateGraphEngine, tracker: ProgressTracker, handlers: Any
) -> None:
    reports, restored, end = threading.Event(), threading.Event(), threading.Event()
    seen: list[StepStatus] = []

    def late() -> None:
        """Runs on in its thread when the execution is restored, and goes on reporting."""
        progress(0.5)
        if generation() == 1:
            reports.set()
            assert restored.wait(SOON)
            progress(0.9, "of what was set back")
            step = tracker.get_step_progress("x", "late")
            assert step is not None
            seen.append(step.status)

    def fails() -> None:
        assert reports.wait(SOON)
        if generation() == 1:
            raise ConnectionError("down")
        assert end.wait(SOON)

    def hear(event: ProgressEvent) -> None:
        if event.event_type is T.CHECKPOINT_RESTORED:
            restored.set()

    handlers.one, handlers.late, handlers.fails = lambda: None, late, fails
    tracker.add_event_handler(hear)
    steps = """
        - {id: one, call: "told_handlers:one", checkpoint: base}
        - {id: late, needs: [one], call: "told_handlers:late"}
        - {id: fails, needs: [one], call: "told_handlers:fails", on_error: [{strategy: rollback, checkpoint: base}]}
    """
    running = asyncio.create_task(engine.execute(pipeline(steps), {}, "x"))
    expected = (ExecutionStatus.RUNNING, 3, 2, 0, 0, 1)  # `one` and `late` are done, `fails` runs again
    await until(lambda: restored.is_set() and counts(engine.get_execution_progress("x")) == expected)
    assert counts(tracker.get_execution_progress("x")) == expected
    end.set()
    result = await running
    assert result.status is ExecutionStatus.COMPLETED
    assert seen == [StepStatus.PENDING]
    assert counts(tracker.get_execution_progress("x")) == counts(engine.get_execution_progress("x"))
    events = told(tracker)
    back = events.index((T.CHECKPOINT_RESTORED, None))
    for step in ("late", "fails"):
        assert events[:back].count((T.STEP_STARTED, step)) == events[back:].count((T.STEP_STARTED, step)) == 1
    assert events.count((T.STEP_STARTED, "one")) == 1


async def test_notes_from_many_threads_start_no_step_twice(
    engine: StateGraphEngine, tracker: ProgressTracker, handlers: Any
) -> None:
    def work() -> None:
        for part in range(20):
            progress(part / 20)

    handlers.work = work
    steps = """
        - {id: many, for_each: [1, 2, 3, 4, 5, 6], call: "told_handlers:work"}
        - {id: alone, call: "told_handlers:work"}
    """
    result = await engine.execute(pipeline(steps), {}, "x")
    assert result.status is ExecutionStatus.COMPLETED
    events = Counter(told(tracker))
    for step in ("many", "alone", *(f"many[{number}]" for number in range(6))):
        assert events[T.STEP_STARTED, step] == events[T.STEP_COMPLETED, step] == 1, step
    assert events[T.PROGRESS_UPDATE, "alone"] == 20
    assert counts(tracker.get_execution_progress("x")) == counts(engine.get_execution_progress("x"))


async def test_a_resumed_execution_is_adopted_in_silence(
    engine: StateGraphEngine, tracker: ProgressTracker, handlers: Any
) -> None:
    handlers.one, outcomes = lambda: None, [ConnectionError("down")]

    def asks() -> None:
        if outcomes:
            raise outcomes.pop()

    handlers.asks = asks
    steps = """
        - {id: one, call: "told_handlers:one"}
        - {id: asks, needs: [one], call: "told_handlers:asks",
           on_error: [{strategy: manual_intervention, instructions: "look"}]}
    """
    result = await engine.execute(pipeline(steps), {}, "x")
    assert result.status is ExecutionStatus.PAUSED
    first_life = told(tracker)
    assert counts(tracker.get_execution_progress("x")) == counts(engine.get_execution_progress("x"))
    engine.answer("x", "asks", "retry")
    fresh = ProgressTracker()
    engine.set_progress_tracker(fresh)
    assert (await engine.resume("x")).status is ExecutionStatus.COMPLETED
    assert told(tracker) == first_life, "it is told no more"
    second_life = told(fresh)
    assert second_life[0] == (T.EXECUTION_RESUMED, None) and second_life[-1] == (T.EXECUTION_COMPLETED, None)
    assert not [event for event in second_life if event[1] == "one"], "it was over before"
    assert second_life.count((T.STEP_COMPLETED, "asks")) == 1
    assert counts(fresh.get_execution_progress("x")) == counts(engine.get_execution_progress("x"))
    fresh.shutdown()


async def test_the_tracker_that_was_told_goes_on_where_it_was(
    engine: StateGraphEngine, tracker: ProgressTracker, handlers: Any
) -> None:
    outcomes = [ValueError("bad")]

    def works() -> None:
        if outcomes:
            raise outcomes.pop()

    handlers.works = works
    result = await engine.execute(pipeline('- {id: a, call: "told_handlers:works"}'), {}, "x")
    assert result.status is ExecutionStatus.FAILED
    before = told(tracker)
    assert (await engine.retry("x")).status is ExecutionStatus.COMPLETED
    assert told(tracker)[: len(before)] == before
    assert told(tracker)[len(before) :] == [
        (T.STEP_RETRYING, "a"),
        (T.EXECUTION_RESUMED, None),
        (T.STEP_STARTED, "a"),
        (T.STEP_COMPLETED, "a"),
        (T.EXECUTION_COMPLETED, None),
    ]


async def test_an_engine_that_serves_many_executions_leaves_nothing_with_its_tracker(
    engine: StateGraphEngine, tracker: ProgressTracker, handlers: Any
) -> None:
    handlers.one = lambda: None
    for number in range(5):
        await engine.execute(pipeline('- {id: a, call: "told_handlers:one"}'), {}, f"x{number}")
    assert len(tracker._following) == 0
