"""Variables named `progress.{step}.{metric}` move a step."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.execution.progress import ProgressTracker, create_progress_tracker
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableManager
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


@pytest.fixture
def variables() -> VariableManager:
    return VariableManager("weather")


@pytest.fixture
def tracker(variables: VariableManager) -> Iterator[ProgressTracker]:
    made = create_progress_tracker(variable_manager=variables)
    yield made
    made.shutdown()


def test_the_first_setting_counts_as_the_later_ones_do(tracker: ProgressTracker, variables: VariableManager) -> None:
    tracker.start_execution("e", 2)
    tracker.start_step("e", "load", "Load")
    for percentage in (25, 50.0, "75"):
        variables.set_variable("progress.load.percentage", percentage)
        assert tracker.get_step_progress("e", "load").progress_percentage == float(percentage)
    variables.set_variable("progress.load.message", "nearly")
    variables.set_variable("progress.load.message", "there")
    assert tracker.get_step_progress("e", "load").metadata["last_message"] == "there"
    assert tracker.get_execution_progress("e").progress_percentage == 37.5


def test_a_status_is_a_verb(tracker: ProgressTracker, variables: VariableManager) -> None:
    for step, word, status in [
        ("a", "running", StepStatus.RUNNING),
        ("b", StepStatus.COMPLETED, StepStatus.COMPLETED),
        ("c", "FAILED", StepStatus.FAILED),
        ("d", "skipped", StepStatus.SKIPPED),
        ("f", "cancelled", StepStatus.CANCELLED),
    ]:
        variables.set_variable(f"progress.{step}.status", word)
        assert tracker.get_step_progress("weather", step).status is status
    variables.set_variable("progress.a.status", "completed")
    assert tracker.get_step_progress("weather", "a").is_successful
    variables.set_variable("progress.g.status", "pending")
    assert tracker.get_step_progress("weather", "g") is None


def test_anything_else_is_kept_under_its_name(tracker: ProgressTracker, variables: VariableManager) -> None:
    variables.set_variable("progress.load.rows", 10)
    variables.set_variable("progress.load.rows", None)
    assert tracker.get_step_progress("weather", "load").metadata == {"rows": None}
    event = tracker.get_events("weather")[-1]
    assert event.event_type is T.PROGRESS_UPDATE
    assert event.data == {"metric": "rows", "value": None}


def test_anything_else_is_kept_also_when_the_step_has_ended(
    tracker: ProgressTracker, variables: VariableManager
) -> None:
    tracker.complete_step("weather", "load", progress_percentage=80)
    before = len(tracker.get_events("weather"))
    variables.set_variable("progress.load.rows", 10)
    variables.set_variable("progress.load.percentage", 20)
    variables.set_variable("progress.load.message", "late")
    step = tracker.get_step_progress("weather", "load")
    assert (step.status, step.progress_percentage, step.metadata) == (StepStatus.COMPLETED, 80.0, {"rows": 10})
    (event,) = tracker.get_events("weather")[before:]
    assert (event.event_type, event.data) == (T.PROGRESS_UPDATE, {"metric": "rows", "value": 10})


def test_the_same_of_a_step_that_a_context_records() -> None:
    context = ExecutionContext("e", "weather")
    tracker = create_progress_tracker(context, context.variable_manager)
    context.start_execution()
    context.complete_step("load")
    context.variable_manager.set_variable("progress.load.rows", 10)
    context.variable_manager.set_variable("progress.load.percentage", 20)
    context.variable_manager.set_variable("progress.store.status", "cancelled")
    step = tracker.get_step_progress("e", "load")
    assert (step.status, step.progress_percentage, step.metadata) == (StepStatus.COMPLETED, 100.0, {"rows": 10})
    assert tracker.get_events("e")[-3].data == {"metric": "rows", "value": 10}
    assert context.record.steps[StepKey("load")].attempt == 1
    stored = tracker.get_step_progress("e", "store")
    assert (stored.status, stored.error_message, context.failed_steps) == (StepStatus.FAILED, "cancelled", 1)
    tracker.shutdown()


def test_a_step_with_dots_and_items(tracker: ProgressTracker, variables: VariableManager) -> None:
    variables.set_variable("progress.months[3].parse.percentage", 5)
    assert tracker.get_step_progress("weather", "months[3].parse").progress_percentage == 5.0


@pytest.mark.parametrize("name", ["progress", "progress.a", "progress..x", "my.progress.a.percentage", "progress.a."])
def test_other_names_say_nothing(tracker: ProgressTracker, variables: VariableManager, name: str) -> None:
    variables.set_variable(name, 5)
    assert tracker.get_performance_metrics()["active_executions"] == 0


def test_what_is_no_report_breaks_no_writer(
    tracker: ProgressTracker, variables: VariableManager, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        variables.set_variable("progress.a.percentage", "much")
        variables.set_variable("progress.a.status", "asleep")
    assert "progress.a.status is one of" in caplog.text or "a percentage is a number" in caplog.text
    assert variables.get_variable("progress.a.status") == "asleep"
    assert tracker.get_execution_progress("weather") is None


def test_the_latest_execution_that_has_the_step_is_meant(tracker: ProgressTracker, variables: VariableManager) -> None:
    tracker.start_step("old", "load", "Load")
    tracker.start_execution("new", 1)
    tracker.start_execution("ended", 1)
    tracker.complete_execution("ended")
    variables.set_variable("progress.load.percentage", 10)
    variables.set_variable("progress.other.percentage", 20)
    assert tracker.get_step_progress("old", "load").progress_percentage == 10.0
    assert tracker.get_step_progress("new", "other").progress_percentage == 20.0


def test_what_the_verb_said_is_not_told_again(tracker: ProgressTracker, variables: VariableManager) -> None:
    tracker.update_step_progress("e", "load", 40)
    before = len(tracker.get_events("e"))
    variables.set_variable("progress.load.percentage", 40)
    assert len(tracker.get_events("e")) == before


def test_a_tracker_that_was_shut_down_follows_no_more(tracker: ProgressTracker, variables: VariableManager) -> None:
    tracker.shutdown()
    variables.set_variable("progress.load.percentage", 40)
    assert tracker.get_execution_progress("weather") is None
