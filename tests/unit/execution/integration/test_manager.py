"""ComprehensiveExecutionManager: one object, whose parts share one execution."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import IllegalMoveError, InputError
from orchestrator.execution.integration import (
    ComprehensiveExecutionManager,
    create_comprehensive_execution_manager,
)
from orchestrator.execution.recovery import RecoveryManager, RecoveryPlan, RecoveryStrategy, RetryConfig
from orchestrator.execution.state import ExecutionContext, FileStateManager, load_execution_context
from orchestrator.execution.variables import VariableManager
from orchestrator.status import ExecutionStatus, StepStatus

S = RecoveryStrategy
QUICK = RetryConfig(max_attempts=4, initial_delay=0.001)


@pytest.fixture
def manager() -> Iterator[ComprehensiveExecutionManager]:
    with create_comprehensive_execution_manager("e", "p") as made:
        yield made


def told(manager: ComprehensiveExecutionManager) -> list[str]:
    events = manager.progress_tracker.get_events("e")
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [f"{event.event_type} {event.step_id or ''}".strip() for event in events]


def test_its_parts_share_one_execution(manager: ComprehensiveExecutionManager) -> None:
    assert manager.execution_context.variable_manager is manager.variable_manager
    assert manager.recovery_manager.execution_context is manager.execution_context
    assert manager.progress_tracker.execution_context is manager.execution_context
    manager.start_execution(2)
    manager.start_step("a", "First")
    manager.complete_step("a")
    manager.complete_step("b", False, ValueError("no"))
    manager.complete_execution(False)
    events = told(manager)
    for once in ("execution_started", "step_started a", "step_completed a", "step_failed b", "execution_failed"):
        assert events.count(once) == 1, once
    assert manager.execution_context.record.step("a").name == "First"  # type: ignore[arg-type]


def test_parts_of_different_executions_are_refused() -> None:
    context = ExecutionContext("e", "p")
    with pytest.raises(InputError, match="another variable manager"):
        ComprehensiveExecutionManager("e", "p", context, VariableManager())
    with pytest.raises(InputError, match="'e'"):
        ComprehensiveExecutionManager("f", "p", context)
    with pytest.raises(InputError, match="another execution"):
        ComprehensiveExecutionManager("f", "p", recovery_manager=RecoveryManager(context))


def test_it_checkpoints_at_the_start_every_five_steps_after_important_ones_and_at_the_end(
    manager: ComprehensiveExecutionManager,
) -> None:
    manager.start_execution(7)
    for number in range(7):
        manager.start_step(f"s{number}", important=number == 1)
        manager.complete_step(f"s{number}")
    manager.complete_execution()
    made = [found.description or found.step_id for found in manager.execution_context.checkpoints]
    assert made == ["initial", "after s1", "s4", "end"]


def test_a_step_says_how_far_it_is(manager: ComprehensiveExecutionManager) -> None:
    manager.start_execution(2)
    manager.start_step("a")
    manager.update_step_progress("a", 150, "nearly")
    assert manager.variable_manager.get_variable("progress.a.percentage") == 100.0
    manager.update_step_progress("a", 40, "not quite")
    step = manager.progress_tracker.get_step_progress("e", "a")
    assert step is not None
    assert (step.progress_percentage, step.metadata["last_message"]) == (40.0, "not quite")
    assert told(manager).count("progress_update a") == 2, "the variable told it once more"
    assert manager.get_execution_status()["progress"]["percentage"] == 20.0
    manager.complete_step("a", progress_percentage=90.0)
    step = manager.progress_tracker.get_step_progress("e", "a")
    assert step is not None
    assert (step.status, step.progress_percentage) == (StepStatus.COMPLETED, 90.0)


async def test_a_step_that_fails_is_tried_again(manager: ComprehensiveExecutionManager) -> None:
    manager.recovery_manager.set_recovery_plan("a", RecoveryPlan(S.RETRY_WITH_BACKOFF, retry_config=QUICK))
    calls: list[int] = []

    def work() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise KeyError("not yet")
        return "there"

    manager.start_execution()
    assert await manager.execute_step_with_recovery("a", "A", work)
    assert manager.variable_manager.get_variable("a") == "there"
    assert [event for event in told(manager) if event.endswith(" a")] == [
        "step_started a",
        "step_retrying a",
        "step_retrying a",
        "step_completed a",
    ]
    assert manager.execution_context.metrics.retries == 2


async def test_a_skipped_step_has_its_default_output(manager: ComprehensiveExecutionManager) -> None:
    manager.recovery_manager.set_recovery_plan("a", RecoveryPlan(S.SKIP, default_output=[1]))
    manager.start_execution()

    async def work() -> None:
        raise ValueError("password=hunter2")

    assert await manager.execute_step_with_recovery("a", None, work)
    assert manager.variable_manager.get_variable("a") == [1]
    assert manager.execution_context.record.step("a").status is StepStatus.SKIPPED  # type: ignore[arg-type]
    assert "hunter2" not in json.dumps(manager.get_execution_status()) + str(manager.execution_context.export_state())
    assert "hunter2" not in str(manager.progress_tracker.get_events("e"))


async def test_an_alternative_path_needs_an_executor_that_takes_a_step(
    manager: ComprehensiveExecutionManager,
) -> None:
    manager.recovery_manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["b", "c"]))
    manager.start_execution(2)

    async def takes_one(step: str = "a") -> str:
        if step == "a":
            raise ValueError("no")
        return f"by {step}"

    assert await manager.execute_step_with_recovery("a", None, takes_one)
    assert manager.variable_manager.get_variable("a") == "by c"
    manager.recovery_manager.set_recovery_plan("d", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["b"]))

    def takes_none() -> None:
        raise ValueError("no")

    with pytest.raises(InputError, match="takes an id"):
        await manager.execute_step_with_recovery("d", None, takes_none)
    assert manager.execution_context.running_steps == []


async def test_a_cancellation_goes_through(manager: ComprehensiveExecutionManager) -> None:
    manager.start_execution()
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(manager.execute_step_with_recovery("a", None, work))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert manager.execution_context.record.step("a").status is StepStatus.FAILED  # type: ignore[arg-type]
    assert manager.recovery_manager.get_error_history() == []


async def test_a_person_is_asked(manager: ComprehensiveExecutionManager) -> None:
    plan = RecoveryPlan(S.MANUAL_INTERVENTION, manual_instructions="look")
    manager.recovery_manager.set_recovery_plan("a", plan)
    asked = asyncio.Event()
    manager.recovery_manager.on_intervention(lambda step, instructions: asked.set())
    manager.start_execution()

    async def work() -> None:
        raise ValueError("no")

    task = asyncio.create_task(manager.execute_step_with_recovery("a", None, work))
    await asked.wait()
    assert manager.get_execution_status()["status"] == "paused"
    await asyncio.to_thread(manager.recovery_manager.answer, "a", "skip", 7, "Ada")
    assert await task
    assert manager.variable_manager.get_variable("a") == 7
    assert manager.execution_context.status is ExecutionStatus.RUNNING


def test_a_restore_resets_progress_but_not_budgets(manager: ComprehensiveExecutionManager) -> None:
    manager.start_execution(2)
    for step in "ab":
        manager.complete_step(step)
    assert manager.restore_checkpoint("initial")
    assert manager.get_execution_status()["progress"]["percentage"] == 0.0
    for step in "xy":
        manager.complete_step(step)
    progress = manager.get_execution_status()["progress"]
    assert (progress["percentage"], progress["completed_steps"], progress["total_steps"]) == (100.0, 2, 2)
    assert not manager.restore_checkpoint("nowhere")


def test_a_start_that_is_refused_changes_nothing(manager: ComprehensiveExecutionManager) -> None:
    manager.start_execution(3)
    with pytest.raises(IllegalMoveError):
        manager.start_execution(50)
    assert manager.execution_context.total_steps == 3


def test_the_status_is_ready_for_json(manager: ComprehensiveExecutionManager) -> None:
    manager.start_execution(2)
    manager.start_step("a")
    manager.handle_step_error("a", "A", ConnectionError("down"))
    status = json.loads(json.dumps(manager.get_execution_status()))
    assert status["progress"]["running_steps"] == ["a"]
    assert status["recovery"]["total_errors"] == 1
    assert status["metrics"]["start_time"] is not None
    assert status.keys() >= {"execution_id", "pipeline_id", "status", "progress", "recovery", "checkpoints", "metrics"}


def test_it_goes_on_with_an_execution_from_a_file(manager: ComprehensiveExecutionManager, tmp_path: Path) -> None:
    manager.start_execution(2)
    manager.complete_step("a")
    manager.variable_manager.set_variable("kept", {1, 2})
    manager.execution_context.set_state_manager(FileStateManager(tmp_path))
    assert manager.execution_context.save_state()
    loaded = load_execution_context("e", tmp_path)
    assert loaded is not None
    with ComprehensiveExecutionManager("e", "p", loaded) as second:
        assert second.get_execution_status()["progress"]["percentage"] == 50.0
        assert second.variable_manager.get_variable("kept") == {1, 2}
        second.complete_step("b")
        second.complete_execution()
        assert second.get_execution_status()["status"] == "completed"
