"""The tracker's verbs: what they tell, what they count, what they keep."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.execution.progress import ProgressTracker, ProgressTrackerProtocol
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.testing.clock import FakeClock


def told(tracker: ProgressTracker, id: str = "e", since: int = 0) -> list[tuple[T, str | None]]:
    return [(event.event_type, event.step_id) for event in tracker.get_events(id, since)]


def test_an_execution_from_its_start_to_its_end(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 3)
    tracker.start_step("e", "a", "First")
    tracker.complete_step("e", "a")
    tracker.start_step("e", "b", "Second")
    tracker.complete_step("e", "b", success=False, error_message="broken")
    tracker.skip_step("e", "c", "not needed")
    tracker.complete_execution("e", success=False)
    assert told(tracker) == [
        (T.EXECUTION_STARTED, None),
        (T.STEP_STARTED, "a"),
        (T.STEP_COMPLETED, "a"),
        (T.STEP_STARTED, "b"),
        (T.STEP_FAILED, "b"),
        (T.STEP_SKIPPED, "c"),
        (T.EXECUTION_FAILED, None),
    ]
    events = tracker.get_events("e")
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6, 7]
    assert (events[1].step_name, events[4].message, events[5].message) == ("First", "broken", "not needed")
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.failed_steps, progress.skipped_steps) == (1, 1, 1)
    assert (progress.running_steps, progress.pending_steps, progress.total_steps) == (0, 0, 3)
    assert progress.status is ExecutionStatus.FAILED and progress.is_completed
    assert progress.progress_percentage == pytest.approx(200 / 3)
    steps = tracker.get_all_step_progress("e")
    assert [step.status for step in steps.values()] == [StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED]
    assert steps["b"].error_message == "broken"
    assert steps["c"].metadata["skip_reason"] == "not needed"


def test_what_is_not_known_is_none(tracker: ProgressTracker) -> None:
    assert tracker.get_execution_progress("e") is None
    assert tracker.get_step_progress("e", "a") is None
    assert tracker.get_all_step_progress("e") == {}
    assert tracker.get_events("e") == []
    tracker.start_execution("e", 1)
    assert tracker.get_step_progress("e", "a") is None


def test_a_step_of_an_unknown_execution_starts_it_and_the_total_grows(tracker: ProgressTracker) -> None:
    tracker.start_step("e", "a", "A")
    tracker.complete_step("e", "b")
    assert told(tracker)[0] == (T.EXECUTION_STARTED, None)
    assert tracker.get_execution_progress("e").total_steps == 2
    tracker.start_execution("e", 5)
    assert told(tracker)[-1] == (T.PROGRESS_UPDATE, None)
    assert tracker.get_execution_progress("e").total_steps == 5
    assert tracker.get_execution_progress("e").completed_steps == 1


def test_a_total_below_what_was_seen_is_raised_to_it(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    for step in "abc":
        tracker.complete_step("e", step)
    assert tracker.get_execution_progress("e").total_steps == 3
    assert tracker.get_execution_progress("e").progress_percentage == 100.0


def test_a_step_that_ends_unstarted_is_started_first(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    tracker.complete_step("e", "a")
    tracker.complete_step("e", "b", False, "no")
    assert told(tracker, since=1) == [
        (T.STEP_STARTED, "a"),
        (T.STEP_COMPLETED, "a"),
        (T.STEP_STARTED, "b"),
        (T.STEP_FAILED, "b"),
    ]


def test_what_is_said_twice_is_told_once(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    tracker.start_execution("e", 1)
    tracker.start_step("e", "a", "A")
    tracker.start_step("e", "a", "A")
    tracker.complete_step("e", "a")
    tracker.complete_step("e", "a", success=False)
    tracker.skip_step("e", "a", "late")
    tracker.update_step_progress("e", "a", 10)
    tracker.complete_execution("e")
    tracker.complete_execution("e", success=False)
    assert len(tracker.get_events("e")) == 4
    assert tracker.get_step_progress("e", "a").status is StepStatus.COMPLETED
    assert tracker.get_execution_progress("e").status is ExecutionStatus.COMPLETED


def test_a_step_may_run_again(tracker: ProgressTracker) -> None:
    tracker.complete_step("e", "a", False, "first")
    tracker.start_step("e", "a", "A")
    step = tracker.get_step_progress("e", "a")
    assert (step.status, step.error_message, step.progress_percentage) == (StepStatus.RUNNING, None, 0.0)
    progress = tracker.get_execution_progress("e")
    assert (progress.failed_steps, progress.running_steps, progress.total_steps) == (0, 1, 1)


def test_a_new_start_is_another_run_whose_events_are_numbered_on(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    tracker.complete_step("e", "a")
    tracker.complete_execution("e")
    tracker.start_execution("e", 4)
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.total_steps, progress.is_completed) == (0, 4, False)
    assert progress.end_time is None
    assert tracker.get_all_step_progress("e") == {}
    assert [event.sequence for event in tracker.get_events("e", since=4)] == [5]


def test_percentages_are_clamped_and_the_latest_counts(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    for given, kept in [(30, 30.0), (10, 10.0), (-4, 0.0), (1000, 100.0), (90, 90.0)]:
        tracker.update_step_progress("e", "a", given)
        assert tracker.get_step_progress("e", "a").progress_percentage == kept
        assert tracker.get_events("e")[-1].data["progress_percentage"] == kept
        assert tracker.get_execution_progress("e").progress_percentage == kept
    tracker.complete_step("e", "a", False, "no")
    assert tracker.get_step_progress("e", "a").progress_percentage == 90.0
    tracker.update_step_progress("e", "a", 10)
    assert tracker.get_step_progress("e", "a").progress_percentage == 90.0, "it has ended"
    tracker.start_step("e", "a", "A")
    assert tracker.get_step_progress("e", "a").progress_percentage == 0.0


@pytest.mark.parametrize("bad", [float("nan"), "much", None])
def test_a_percentage_that_is_no_number_is_refused_and_changes_nothing(tracker: ProgressTracker, bad: float) -> None:
    with pytest.raises(InputError, match="a percentage is a number"):
        tracker.update_step_progress("e", "a", bad)
    with pytest.raises(InputError, match="a percentage is a number"):
        tracker.complete_step("e", "a", progress_percentage=bad)
    assert tracker.get_execution_progress("e") is None


def test_a_running_step_may_be_skipped(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    tracker.update_step_progress("e", "a", 40)
    tracker.skip_step("e", "a", "no time")
    progress = tracker.get_execution_progress("e")
    assert (progress.running_steps, progress.skipped_steps, progress.progress_percentage) == (0, 1, 50.0)


def test_a_message_is_kept(tracker: ProgressTracker) -> None:
    tracker.update_step_progress("e", "a", 50, "half of it")
    tracker.update_step_progress("e", "a", 60)
    assert tracker.get_step_progress("e", "a").metadata == {"last_message": "half of it"}
    assert tracker.get_events("e")[-2].message == "half of it"


def test_a_step_may_complete_below_100(tracker: ProgressTracker) -> None:
    tracker.complete_step("e", "a", progress_percentage=80)
    assert tracker.get_step_progress("e", "a").progress_percentage == 80.0


def test_a_failure_shows_the_percentage_that_is_given_and_else_what_it_came_to(tracker: ProgressTracker) -> None:
    tracker.complete_step("e", "a", False, "bad", 30.0)
    assert tracker.get_step_progress("e", "a").progress_percentage == 30.0
    for given, shown in [(10.0, 10.0), (100.0, 60.0)]:
        tracker.start_step("e", "b")
        tracker.update_step_progress("e", "b", 60)
        tracker.complete_step("e", "b", False, "bad", given)
        assert tracker.get_step_progress("e", "b").progress_percentage == shown


def test_a_step_that_is_given_up_is_cancelled(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    tracker.update_step_progress("e", "a", 40)
    tracker.cancel_step("e", "a")
    tracker.cancel_step("e", "b")
    tracker.cancel_step("e", "b")
    step, progress = tracker.get_step_progress("e", "a"), tracker.get_execution_progress("e")
    assert (step.status, step.progress_percentage) == (StepStatus.CANCELLED, 40.0)
    assert (progress.cancelled_steps, progress.failed_steps, progress.running_steps) == (2, 0, 0)
    event = tracker.get_events("e")[-1]
    assert (event.event_type, event.message, event.data) == (T.STEP_FAILED, "cancelled", {"status": "cancelled"})


def test_what_is_handed_out_is_a_copy(tracker: ProgressTracker) -> None:
    tracker.update_step_progress("e", "a", 50, "half")
    step, progress = tracker.get_step_progress("e", "a"), tracker.get_execution_progress("e")
    step.metadata["last_message"] = "mine"
    step.complete()
    progress.completed_steps = 9
    assert tracker.get_step_progress("e", "a").metadata["last_message"] == "half"
    assert tracker.get_execution_progress("e").completed_steps == 0


def test_times_come_from_the_clock() -> None:
    clock = FakeClock()
    tracker = ProgressTracker(clock=clock)
    tracker.start_execution("e", 4)
    clock.advance(10)
    tracker.complete_step("e", "a")
    clock.advance(10)
    progress = tracker.get_execution_progress("e")
    assert progress.duration == timedelta(seconds=20)
    assert progress.estimated_completion == progress.start_time + timedelta(seconds=80)
    clock.advance(5)
    tracker.complete_execution("e")
    clock.advance(5)
    assert tracker.get_execution_progress("e").duration == timedelta(seconds=25)


def test_a_block_is_a_step(tracker: ProgressTracker) -> None:
    with tracker.track_step("e", "a", "A") as step:
        step.update(40, "on the way")
        assert tracker.get_step_progress("e", "a").progress_percentage == 40.0
    assert tracker.get_step_progress("e", "a").is_successful
    with pytest.raises(KeyError), tracker.track_step("e", "b", "B"):
        raise KeyError("id")
    assert tracker.get_step_progress("e", "b").error_message == "KeyError: 'id'"


async def test_an_async_block_is_a_step_and_a_cancellation_goes_on_its_way(tracker: ProgressTracker) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with tracker.track_step("e", "a", "A"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tracker.get_step_progress("e", "a").error_message == "CancelledError"
    async with tracker.track_step("e", "b", "B"):
        pass
    assert tracker.get_step_progress("e", "b").is_successful


def test_a_checkpoint_made_elsewhere_is_told(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    tracker.create_checkpoint_event("e", "abcd1234", "before the merge")
    event = tracker.get_events("e")[-1]
    assert event.event_type is T.CHECKPOINT_CREATED
    assert event.data == {"checkpoint_id": "abcd1234", "description": "before the merge"}
    assert tracker.get_execution_progress("e").total_steps == 1


def test_the_history_is_bounded_and_since_cuts_it(tracker: ProgressTracker) -> None:
    tracker.start_step("e", "a", "A")
    for _ in range(1500):
        tracker.update_step_progress("e", "a", 1)
    events = tracker.get_events("e")
    assert len(events) == 1000 and events[-1].sequence == 1502
    assert [event.sequence for event in tracker.get_events("e", since=1500)] == [1501, 1502]


def test_the_oldest_ended_executions_are_cleaned_up() -> None:
    tracker = ProgressTracker(max_completed=2)
    tracker.start_execution("open", 1)
    for id in ["a", "b", "c"]:
        tracker.start_execution(id, 0)
    for id in ["b", "a", "c"]:
        tracker.complete_execution(id)
    assert tracker.get_execution_progress("b") is None
    assert [id for id in ["open", "a", "c"] if tracker.get_execution_progress(id)] == ["open", "a", "c"]
    tracker.start_execution("a", 1)  # runs again, and is none of the ended ones
    tracker.complete_execution("open")
    assert tracker.get_execution_progress("a") and tracker.get_execution_progress("c")
    with pytest.raises(InputError, match="max_completed"):
        ProgressTracker(max_completed=-1)


def test_cleanup_forgets_one_or_all_that_ended(tracker: ProgressTracker) -> None:
    for id in ["a", "b", "c", "d"]:
        tracker.start_execution(id, 1)
    for id in ["b", "c", "d"]:
        tracker.complete_execution(id)
    tracker.cleanup("b")
    assert tracker.get_execution_progress("b") is None and tracker.get_execution_progress("c")
    tracker.cleanup()
    assert [id for id in "abcd" if tracker.get_execution_progress(id)] == ["a"]
    tracker.cleanup("nobody")
    tracker.start_execution("b", 1)
    assert [event.sequence for event in tracker.get_events("b")] == [1]


def test_a_negative_number_of_steps_is_refused(tracker: ProgressTracker) -> None:
    with pytest.raises(InputError, match="cannot have -1 steps"):
        tracker.start_execution("e", -1)


def test_it_is_what_an_engine_asks_for(tracker: ProgressTracker) -> None:
    asked: ProgressTrackerProtocol = tracker
    assert isinstance(tracker, ProgressTrackerProtocol)
    assert not isinstance(object(), ProgressTrackerProtocol)
    asked.on_execution_started("e", 2)
    asked.on_step_started("e", "a", "A")
    asked.update_step_progress("e", "a", 50)
    asked.on_step_completed("e", "a", "A", True)
    asked.on_step_completed("e", "b", "B", False)
    asked.on_execution_completed("e", False)
    assert [event.event_type.value for event in tracker.get_events("e")] == [
        "execution_started",
        "step_started",
        "progress_update",
        "step_completed",
        "step_started",
        "step_failed",
        "execution_failed",
    ]
    assert tracker.get_step_progress("e", "b").step_name == "B"
    tracker.on_step_completed("e", "a", "A", False)
    assert tracker.get_step_progress("e", "a").is_successful


def test_metrics(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    tracker.start_execution("f", 1)
    tracker.complete_execution("f")
    metrics = tracker.get_performance_metrics()
    assert set(metrics) == {
        "total_events",
        "active_executions",
        "handler_performance",
        "total_handlers",
        "dropped_events",
        "system",
    }
    assert (metrics["total_events"], metrics["active_executions"], metrics["total_handlers"]) == (3, 1, 0)
    assert metrics["system"]["process_cpu_seconds"] > 0
    assert metrics["system"]["process_memory_bytes"] > 1_000_000
    assert metrics["system"]["load"] >= 0
