"""The values of progress, each usable alone: a step, an execution, an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.execution.progress import ExecutionProgress, ProgressEvent, ProgressEventType, StepProgress
from orchestrator.status import ExecutionStatus, StepStatus

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_a_step_from_its_start_to_its_end() -> None:
    step = StepProgress("load", "Load the data")
    assert (step.status, step.duration, step.is_completed, step.is_successful) == (
        StepStatus.PENDING,
        None,
        False,
        False,
    )
    step.start(at=NOON)
    assert step.status is StepStatus.RUNNING and step.end_time is None
    step.complete(at=NOON + timedelta(seconds=3))
    assert step.duration == timedelta(seconds=3)
    assert step.progress_percentage == 100.0
    assert step.is_completed and step.is_successful


def test_the_clock_stamps_what_is_given_no_time() -> None:
    step = StepProgress("a", "A")
    before = datetime.now(UTC)
    step.start()
    assert before <= step.start_time <= datetime.now(UTC)
    assert step.duration >= timedelta(0)
    step.complete(80)
    assert step.progress_percentage == 80.0 and step.end_time >= step.start_time


def test_a_failure_says_why_and_how_far_it_came() -> None:
    step = StepProgress("a", "A")
    step.start()
    step.progress_percentage = 40.0
    step.fail("no such file")
    assert (step.status, step.error_message, step.progress_percentage) == (StepStatus.FAILED, "no such file", 40.0)
    assert step.is_completed and not step.is_successful


def test_a_skip_says_why() -> None:
    step = StepProgress("a", "A")
    step.skip("not wanted")
    assert step.status is StepStatus.SKIPPED and step.metadata["skip_reason"] == "not wanted"
    assert step.is_completed and not step.is_successful


def test_a_new_start_forgets_the_old_end() -> None:
    step = StepProgress("a", "A")
    step.fail("once")
    step.skip("then")
    step.start()
    assert (step.error_message, step.end_time, step.progress_percentage) == (None, None, 0.0)
    assert "skip_reason" not in step.metadata


def test_a_step_without_a_name_is_called_by_its_id() -> None:
    assert StepProgress("load").step_name == "load"


@pytest.mark.parametrize(("given", "kept"), [(-5, 0.0), (250, 100.0), (33.3, 33.3)])
def test_percentages_are_clamped(given: float, kept: float) -> None:
    step = StepProgress("a", "A")
    step.complete(given)
    assert step.progress_percentage == kept


def test_a_percentage_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        StepProgress("a", "A").complete(float("nan"))


def test_a_running_step_counts_by_its_own_fraction() -> None:
    progress = ExecutionProgress("e", 4)
    assert (progress.progress_percentage, progress.is_completed, progress.duration) == (0.0, False, None)
    progress.completed_steps, progress.skipped_steps, progress.running_steps = 1, 1, 1
    progress.running_fraction = 0.5
    assert progress.progress_percentage == 62.5
    assert progress.pending_steps == 1


def test_no_step_is_no_percentage() -> None:
    assert ExecutionProgress("e", 0).progress_percentage == 0.0


def test_a_completed_execution_is_whole() -> None:
    assert ExecutionProgress("e", 4, ExecutionStatus.COMPLETED, completed_steps=1).progress_percentage == 100.0
    assert ExecutionProgress("e", 4, ExecutionStatus.FAILED, completed_steps=1).progress_percentage == 25.0


def under_way(**changes: object) -> ExecutionProgress:
    made = ExecutionProgress("e", 4, ExecutionStatus.RUNNING, completed_steps=1, start_time=NOON)
    made.as_of = NOON + timedelta(seconds=10)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_end_is_estimated_from_the_pace() -> None:
    assert under_way().estimated_completion == NOON + timedelta(seconds=40)


@pytest.mark.parametrize(
    "changes",
    [
        {"completed_steps": 0},
        {"status": ExecutionStatus.PAUSED},
        {"start_time": None},
        {"completed_steps": 0, "running_fraction": 1e-15},
    ],
)
def test_what_cannot_be_estimated_is_none(changes: dict[str, object]) -> None:
    assert under_way(**changes).estimated_completion is None


def test_what_has_ended_needs_no_estimate() -> None:
    end = NOON + timedelta(seconds=7)
    ended = under_way(status=ExecutionStatus.FAILED, end_time=end)
    assert ended.estimated_completion == end
    assert ended.duration == timedelta(seconds=7)


def test_a_time_without_a_zone_is_kept_and_is_local_time() -> None:
    """With a part that has a zone, and with one that has none."""
    local = NOON.astimezone().replace(tzinfo=None)
    assert under_way(start_time=local).duration == timedelta(seconds=10)
    assert under_way(start_time=local).estimated_completion == NOON + timedelta(seconds=40)
    ended = under_way(start_time=local, status=ExecutionStatus.COMPLETED, end_time=local + timedelta(seconds=7))
    assert (ended.start_time, ended.duration) == (local, timedelta(seconds=7))
    step = StepProgress("a", start_time=local)
    step.complete(at=NOON + timedelta(seconds=3))
    assert (step.start_time, step.duration) == (local, timedelta(seconds=3))
    begun = StepProgress("b", status=StepStatus.RUNNING, start_time=datetime.now() - timedelta(seconds=5))
    assert timedelta(seconds=4) < begun.duration < timedelta(minutes=1)
    begun.complete()
    assert begun.duration >= timedelta(seconds=5)


def test_an_event_needs_only_its_type() -> None:
    event = ProgressEvent(ProgressEventType.CUSTOM_EVENT)
    assert event.timestamp.tzinfo is UTC
    assert (event.step_id, event.data, event.sequence) == (None, {}, 0)


def test_an_event_is_plain_data_for_json() -> None:
    event = ProgressEvent(
        ProgressEventType.STEP_FAILED,
        NOON,
        "e",
        "load",
        "Load",
        "no",
        {
            "status": StepStatus.FAILED,
            "when": NOON,
            "many": (1, {2}, [None, True]),
            "path": Path("a/b"),
            "price": Decimal("1.10"),
            "ratio": 0.5,
            "rate": float("inf"),
            3: "three",
        },
        7,
    )
    shown = event.to_dict()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown == {
        "event_type": "step_failed",
        "timestamp": "2030-01-01T12:00:00+00:00",
        "execution_id": "e",
        "step_id": "load",
        "step_name": "Load",
        "message": "no",
        "data": {
            "status": "failed",
            "when": "2030-01-01T12:00:00+00:00",
            "many": [1, [2], [None, True]],
            "path": "a/b",
            "price": "1.10",
            "ratio": 0.5,
            "rate": "inf",
            "3": "three",
        },
        "sequence": 7,
    }
