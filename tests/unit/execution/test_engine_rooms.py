"""The rooms that a user hands to an engine are the ones that it uses; what they are told, and what they tell."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
import types
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Pipeline
from orchestrator.app import engine_parts
from orchestrator.errors import IllegalMoveError, InputError, UnknownExecutionError
from orchestrator.execution.engine import StateGraphEngine, post_answer
from orchestrator.execution.integration import ExecutionStateBridge
from orchestrator.execution.progress import ProgressTracker, ProgressTrackerProtocol, current_attempt
from orchestrator.execution.recovery import RecoveryManager, RecoveryPlan, RecoveryStrategy
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableManager
from orchestrator.journal.events import CheckpointCreated, Entry, StepSucceeded
from orchestrator.journal.records import decode_body
from orchestrator.storage import open_store
from orchestrator.types import ExecutionId

HERE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine without parts keeps its store beside where it is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    return tmp_path


def pipeline(steps: str, inputs: str = "{}") -> Pipeline:
    text = f"pipeline: p\ninputs: {inputs}\nsteps:\n{textwrap.indent(textwrap.dedent(steps).strip(), '  ')}\n"
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


TWO = """
    - {id: a, call: "engine_handlers:add", with: {left: 1}}
    - {id: b, call: "engine_handlers:add_async", with: {left: "${a}", right: "${n}"}}
"""
INPUTS = "{n: {type: integer, default: 5}}"


async def test_an_engine_without_parts_takes_those_that_are_installed(folder: Path) -> None:
    engine = StateGraphEngine()
    result = await engine.execute(pipeline(TWO, INPUTS), {}, "one")
    assert (result.status, result.execution_id) == (ExecutionStatus.COMPLETED, "one")
    assert (folder / ".orchestrator" / "journal.db").exists()
    assert (await engine.resume("one")).status is ExecutionStatus.COMPLETED
    assert (await engine.execute(pipeline(TWO, INPUTS), {}, "one")).outputs == result.outputs
    with pytest.raises(InputError, match="there is an execution"):
        await engine.execute(pipeline(TWO, INPUTS), {"n": 6}, "one")
    with pytest.raises(InputError, match="no input 'm'"):
        await engine.execute(pipeline(TWO, INPUTS), {"m": 1})
    engine.close()


async def test_its_variables_are_those_of_the_manager() -> None:
    engine, manager = StateGraphEngine(), VariableManager("p")
    changes: list[tuple[str, Any]] = []
    manager.on_variable_created(lambda name, value: changes.append((name, value)))
    manager.set_variable("mine", {"deep": [1]})
    engine.set_variable_manager(manager)
    await engine.execute(pipeline(TWO, INPUTS), {"n": 7}, "x")
    assert manager.list_variables() == {"mine": {"deep": [1]}, "n": 7, "a": 2, "b": 9}
    assert [name for name, _ in changes] == ["mine", "n", "a", "b"]
    metadata = manager.get_variable_metadata("b")
    assert metadata is not None
    assert (metadata.source_step, str(metadata.var_type)) == ("b", "output")
    state = engine.get_state("x")
    assert state["variables"]["mine"] == {"deep": [1]}, "what was there at the start is in the journal"
    engine.close()


async def test_a_manager_serves_one_execution_at_a_time() -> None:
    engine = StateGraphEngine()
    engine.set_variable_manager(VariableManager())
    slow = pipeline('- {id: a, call: "engine_handlers:slow_async", with: {seconds: 5}}')
    task = asyncio.create_task(engine.execute(slow))
    while engine.get_execution_progress() is None:
        await asyncio.sleep(0.001)
    with pytest.raises(InputError, match="serves another execution"):
        await engine.execute(slow)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.close()


async def test_what_a_handler_sets_is_committed_with_its_success(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, manager = StateGraphEngine(), VariableManager("shared with handlers")
    handlers: Any = types.ModuleType("rooms_handlers")
    monkeypatch.setitem(sys.modules, "rooms_handlers", handlers)

    async def sets_and_fails() -> str:
        """Sets a variable on each attempt, sees its own, and succeeds at the second."""
        info = current_attempt()
        assert info is not None
        manager.set_variable("found", info.attempt)
        assert manager.get_variable("found") == info.attempt
        if info.attempt == 1:
            raise ConnectionError("not yet")
        return "done"

    def deletes() -> None:
        manager.delete_variable("n")

    handlers.sets_and_fails, handlers.deletes = sets_and_fails, deletes
    engine.set_variable_manager(manager)
    seen: list[Any] = []
    manager.on_variable_changed(lambda name, old, new: seen.append((name, new)))
    steps = """
        - {id: a, call: "rooms_handlers:sets_and_fails", retry: {max_attempts: 2, initial_delay: 0.001}}
        - {id: b, call: "rooms_handlers:deletes", needs: [a]}
    """
    manager.set_variable("found", 0)
    result = await engine.execute(pipeline(steps, INPUTS), {}, "x")
    assert result.failed_step == "b", result.error
    assert "cannot delete" in str((result.error or {})["message"])
    assert engine.get_state("x")["variables"]["found"] == 2
    assert manager.get_variable("found") == 2
    written = [version.source_step for version in manager.get_variable_history("found")]
    assert "a" not in written, "a failed attempt's write became a version"
    engine.close()


async def test_a_verb_from_another_thread_is_recorded_before_it_returns() -> None:
    engine, manager = StateGraphEngine(), VariableManager()
    engine.set_variable_manager(manager)
    definition = pipeline('- {id: a, call: "engine_handlers:slow_async", with: {seconds: 0.3}}')
    task = asyncio.create_task(engine.execute(definition, {}, "x"))
    while engine.get_execution_progress() is None:
        await asyncio.sleep(0.001)
    found: list[Any] = []

    def outside() -> None:
        manager.set_variable("late", [1, 2])
        found.append(engine.get_state("x")["variables"]["late"])
        manager.delete_variable("late")
        found.append("late" in engine.get_state("x")["variables"])

    thread = threading.Thread(target=outside)
    thread.start()
    await task
    thread.join()
    assert found == [[1, 2], False]
    engine.close()


async def test_the_tracker_is_told_everything_once() -> None:
    engine, tracker = StateGraphEngine(), ProgressTracker()
    engine.set_progress_tracker(tracker)
    steps = """
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 2},
           retry: {max_attempts: 2, initial_delay: 0.001}}
        - {id: many, for_each: [1, 2], call: "engine_handlers:add_async", with: {left: "${item}"}}
        - {id: never, when: false, call: "engine_handlers:nothing"}
    """
    await engine.execute(pipeline(steps), {}, "x")
    events = tracker.get_events("x")
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = [(str(event.event_type), event.step_id) for event in events]
    for once in (
        ("execution_started", None),
        ("step_started", "a"),
        ("step_retrying", "a"),
        ("step_completed", "a"),
        ("step_started", "many"),
        ("step_completed", "many"),
        ("step_skipped", "never"),
        ("execution_completed", None),
    ):
        assert told.count(once) == 1, once
    progress = tracker.get_execution_progress("x")
    assert progress is not None
    assert (progress.total_steps, progress.completed_steps, progress.skipped_steps) == (3, 2, 1)
    assert engine.get_execution_progress() is not None
    tracker.shutdown()
    engine.close()


class Told:
    """Any tracker: it has the verbs of the protocol and nothing else."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_execution_started(self, execution_id: str, total_steps: int) -> None:
        self.told.append(("started", execution_id, total_steps))

    def on_execution_completed(self, execution_id: str, success: bool) -> None:
        self.told.append(("completed", execution_id, success))

    def on_step_started(self, execution_id: str, step_id: str, step_name: str) -> None:
        self.told.append(("step started", step_id, step_name))

    def on_step_completed(self, execution_id: str, step_id: str, step_name: str, success: bool) -> None:
        self.told.append(("step completed", step_id, success))

    def update_step_progress(self, execution_id: str, step_id: str, progress: float) -> None:
        self.told.append(("progress", step_id, progress))


async def test_any_tracker_of_the_protocol_is_told() -> None:
    engine, tracker = StateGraphEngine(), Told()
    assert isinstance(tracker, ProgressTrackerProtocol)
    engine.set_progress_tracker(tracker)
    await engine.execute(pipeline('- {id: a, call: "engine_handlers:slow", with: {seconds: 0.01}}'), {}, "x")
    progress = [told for told in tracker.told if told[0] == "progress"]
    assert [told for told in tracker.told if told[0] != "progress"] == [
        ("started", "x", 1),
        ("step started", "a", "a"),
        ("step completed", "a", True),
        ("completed", "x", True),
    ]
    assert ("progress", "a", 90.0) in progress
    engine.close()


async def test_progress_and_state_are_made_from_the_journal() -> None:
    engine = StateGraphEngine()
    assert engine.get_execution_progress() is None
    steps = TWO + '    - {id: c, call: "engine_handlers:fail_until", with: {attempt: 9}, needs: [b]}\n'
    await engine.execute(pipeline(steps, INPUTS), {}, "x")
    engine.close()
    another = StateGraphEngine()
    progress = another.get_execution_progress("x")
    assert progress is not None
    assert (progress.completed_steps, progress.failed_steps, progress.total_steps) == (2, 1, 3)
    state = another.get_state("x")
    assert state["completed_steps"] == ["a", "b"]
    assert state["failed_steps"] == ["c"]
    assert state["step_outputs"] == {"a": 2, "b": 7}
    assert state["variables"] == {"n": 5, "a": 2, "b": 7}
    assert state["step_start_times"].keys() == {"a", "b", "c"}
    with pytest.raises(UnknownExecutionError):
        another.get_state("y")
    bridge = ExecutionStateBridge(ExecutionContext("x", "p"), None)
    bridge.set_pipeline_state(state)
    assert bridge.get_variable("n") == 5
    another.close()


async def test_the_context_of_a_running_execution_is_the_engines_to_say() -> None:
    engine, manager = StateGraphEngine(), RecoveryManager()
    engine.set_recovery_manager(manager)
    definition = pipeline('- {id: a, call: "engine_handlers:slow_async", with: {seconds: 0.2}}')
    task = asyncio.create_task(engine.execute(definition, {}, "x"))
    while manager.execution_context is None:
        await asyncio.sleep(0.001)
    context = manager.execution_context
    assert isinstance(context, ExecutionContext)
    with pytest.raises(IllegalMoveError, match="run by an engine"):
        context.complete_step("a")
    made = context.create_checkpoint("by hand")
    assert made.id in [found.id for found in context.checkpoints]
    await task
    assert "by hand" in engine.read("x").checkpoints
    with pytest.raises(IllegalMoveError, match="let go"):
        context.create_checkpoint()
    engine.close()


async def test_a_restore_from_outside_is_decided_when_all_is_committed() -> None:
    """From another thread, while a step's lazy start is not recorded yet: the step begins anew all the same."""
    engine, manager = StateGraphEngine(), RecoveryManager()
    engine.set_recovery_manager(manager)
    steps = """
        - {id: a, call: "engine_handlers:append", with: {name: one}, checkpoint: base}
        - {id: b, call: "engine_handlers:wait_in_first_generation", needs: [a]}
    """
    task = asyncio.create_task(engine.execute(pipeline(steps), {}, "x"))
    witness = Path("witness")
    while not witness.exists() or "b 1 1" not in witness.read_text():
        await asyncio.sleep(0.001)
    context = manager.execution_context
    assert isinstance(context, ExecutionContext)
    assert await asyncio.to_thread(context.restore_checkpoint, "base")
    result = await task
    assert result.status is ExecutionStatus.COMPLETED
    assert [line for line in witness.read_text().splitlines() if line.startswith("b")] == ["b 1 1", "b 2 1"]
    engine.close()


async def test_a_handler_of_an_executions_events_cannot_restore_it() -> None:
    manager = RecoveryManager()
    refused: list[IllegalMoveError] = []

    def on_event(entry: Entry) -> None:
        if isinstance(entry.event, StepSucceeded) and entry.event.key == "b" and not refused:
            context = manager.execution_context
            assert isinstance(context, ExecutionContext)
            try:
                context.restore_checkpoint("initial")
            except IllegalMoveError as exc:
                refused.append(exc)

    engine = StateGraphEngine(subscribers=[on_event])
    engine.set_recovery_manager(manager)
    result = await engine.execute(pipeline(TWO, INPUTS), {}, "x")
    assert result.status is ExecutionStatus.COMPLETED
    assert len(refused) == 1
    assert "outside of a handler" in str(refused[0])
    engine.close()


async def test_an_answer_at_the_last_moment_is_taken() -> None:
    """It comes when the last other step has ended, before the execution is paused."""
    manager = RecoveryManager()
    manager.set_recovery_plan("a", RecoveryPlan(RecoveryStrategy.MANUAL_INTERVENTION, manual_instructions="well?"))
    parts = engine_parts()

    def on_event(entry: Entry) -> None:
        if isinstance(entry.event, StepSucceeded) and entry.event.key == "beside":
            post_answer(parts.store, "x", "a", "skip", 7, None)  # as another process would: nobody is told

    engine = StateGraphEngine(parts, subscribers=[on_event])
    engine.set_recovery_manager(manager)
    steps = """
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}
        - {id: beside, call: "engine_handlers:slow_async", with: {seconds: 0.05}}
    """
    result = await engine.execute(pipeline(steps), {}, "x")
    assert result.status is ExecutionStatus.COMPLETED
    assert engine.get_state("x")["step_outputs"]["a"] == 7
    await parts.runner.close()
    parts.store.close()
    engine.close()


async def test_what_is_no_room_is_refused() -> None:
    engine = StateGraphEngine()
    with pytest.raises(InputError, match="a variable manager"):
        engine.set_variable_manager({})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a recovery manager"):
        engine.set_recovery_manager(lambda error: None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a progress tracker"):
        engine.set_progress_tracker(object())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Pipeline"):
        await engine.execute("pipeline.yaml")  # type: ignore[arg-type]
    engine.close()


async def test_an_answer_that_names_no_execution_finds_the_one() -> None:
    manager = RecoveryManager()
    manager.set_recovery_plan("a", RecoveryPlan(RecoveryStrategy.MANUAL_INTERVENTION, manual_instructions="well?"))
    first = StateGraphEngine()
    first.set_recovery_manager(manager)
    definition = pipeline('- {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}')
    assert (await first.execute(definition, {}, "x")).waiting == {"a": "well?"}
    first.close()
    another, fresh = StateGraphEngine(), RecoveryManager()
    another.set_recovery_manager(fresh)
    with pytest.raises(InputError, match="does not wait"):
        fresh.answer("b", "retry")
    fresh.answer("a", "skip", 3)
    result = await another.resume("x")
    assert result.status is ExecutionStatus.COMPLETED
    assert another.get_state("x")["step_outputs"] == {"a": 3}
    another.close()


def test_the_installed_parts_are_this_packages() -> None:
    parts = engine_parts()
    assert set(parts.kinds) == {"call", "run", "set"}
    parts.store.close()


async def test_a_store_in_memory_refuses_to_wait_for_a_person() -> None:
    engine = StateGraphEngine(replace(engine_parts(), store=open_store("memory:")))
    steps = """
        - {id: a, call: "engine_handlers:nothing",
           on_error: [{strategy: manual_intervention, instructions: "look"}]}
    """
    with pytest.raises(InputError, match="'a' may wait for a person"):
        await engine.execute(pipeline(steps))
    engine.close()


async def test_checkpoints_ride_with_the_steps_that_they_follow() -> None:
    """One at the beginning, one behind every fifth step, one behind an important one; none costs a commit."""
    engine = StateGraphEngine()
    call = 'call: "engine_handlers:add_async"'
    steps = "\n".join(
        f'- {{id: s{i}, {call}, with: {{left: "${{n + {i}}}"}}, needs: [{f"s{i - 1}" if i else ""}]'
        f"{', important: true' if i == 1 else ''}}}"
        for i in range(7)
    )
    await engine.execute(pipeline(steps, INPUTS), {}, "x")
    behind: list[tuple[str, str]] = []
    for batch in engine.store.read(ExecutionId("x")):
        events = [event for _, event in decode_body(batch.body)]
        for before, event in pairwise(events):
            if isinstance(event, CheckpointCreated):
                behind.append((type(before).__name__, getattr(before, "key", "")))
    assert behind == [("CodeSeen", ""), ("StepSucceeded", "s1"), ("StepSucceeded", "s4")]
    engine.close()
