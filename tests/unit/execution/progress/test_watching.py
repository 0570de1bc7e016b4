"""A journal that is watched becomes progress: the same events, whoever records them."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from orchestrator.clock import utc
from orchestrator.errors import IllegalMoveError
from orchestrator.execution.progress import ExecutionProgress, ProgressTracker, create_progress_tracker
from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.execution.state import ExecutionContext
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

NULL = Encoded(pack(None))
ERROR = {"message": "broken"}
A, B = StepKey("a"), StepKey("b")


@dataclass
class Journal:
    """An execution whose recorder is a list."""

    execution_id: str = "e"
    total_steps: int = 0
    handlers: list[Callable[[Entry], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = ExecutionRecord(ExecutionId(self.execution_id))

    @property
    def status(self) -> ExecutionStatus:
        return self.record.status

    def tell(self, *events: Event) -> None:
        for event in events:
            entry = Entry(self.record.position + 1, 1000.0 + self.record.position, event)
            self.record.apply(entry)
            for handler in self.handlers:
                handler(entry)

    def subscribe(self, handler: Callable[[Entry], object]) -> Callable[[], None]:
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)

    # -- the verbs of a context, as far as a tracker asks for them

    def start_execution(self) -> None:
        self.tell(ev.ExecutionClaimed("me", 1))

    def complete_execution(self, success: bool = True) -> None:
        self.tell(ev.ExecutionCompleted(NULL) if success else ev.ExecutionFailed(None, ERROR))

    def start_step(self, step_id: str, name: str = "") -> None:
        self.tell(started(step_id, name=name))

    def complete_step(self, step_id: str, success: bool = True, error: str | None = None) -> None:
        self.tell(succeeded(step_id) if success else ev.StepFailed(StepKey(step_id), 1, 1, {"message": error}))

    def skip_step(self, step_id: str, reason: str = "") -> None:
        self.tell(ev.StepSkipped(StepKey(step_id), 1, reason))


def started(key: str, attempt: int = 1, generation: int = 1, name: str = "") -> ev.StepStarted:
    return ev.StepStarted(StepKey(key), generation, attempt, name)


def succeeded(key: str, attempt: int = 1, checkpoint: str | None = None) -> ev.StepSucceeded:
    return ev.StepSucceeded(StepKey(key), 1, attempt, NULL, (), checkpoint)


CLAIMED = ev.ExecutionClaimed("me:1", 1)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def told(tracker: ProgressTracker, journal: Journal) -> Callable[[], list[tuple[T, str | None]]]:
    """What was told since it was asked last."""
    seen = 0
    tracker.watch(journal)

    def news() -> list[tuple[T, str | None]]:
        nonlocal seen
        events = tracker.get_events("e", since=seen)
        assert [event.sequence for event in events] == [*range(seen + 1, seen + 1 + len(events))]
        seen += len(events)
        return [(event.event_type, event.step_id) for event in events]

    return news


def test_a_life(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    journal.total_steps = 2
    journal.tell(CLAIMED, started("a", name="First"), succeeded("a"), ev.StepSkipped(B, 1, "no"))
    journal.tell(ev.ExecutionCompleted(NULL))
    assert told() == [
        (T.EXECUTION_STARTED, None),
        (T.STEP_STARTED, "a"),
        (T.STEP_COMPLETED, "a"),
        (T.STEP_SKIPPED, "b"),
        (T.EXECUTION_COMPLETED, None),
    ]
    event = tracker.get_events("e")[1]
    assert (event.step_name, event.timestamp) == ("First", utc(1001.0))
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.skipped_steps, progress.total_steps) == (1, 1, 2)
    assert (progress.start_time, progress.end_time) == (utc(1000.0), utc(1004.0))


def test_pauses_crashes_and_ends(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    journal.tell(CLAIMED, ev.ExecutionPaused("asked to"), ev.ExecutionClaimed("you", 2), ev.ExecutionClaimed("me", 3))
    assert told() == [
        (T.EXECUTION_STARTED, None),
        (T.EXECUTION_PAUSED, None),
        (T.EXECUTION_RESUMED, None),
        (T.EXECUTION_RESUMED, None),
    ]
    journal.tell(started("a"), ev.ExecutionCancelled("enough"))
    assert told() == [(T.STEP_STARTED, "a"), (T.EXECUTION_CANCELLED, None)]
    progress = tracker.get_execution_progress("e")
    assert (progress.status, progress.cancelled_steps, progress.running_steps) == (ExecutionStatus.CANCELLED, 1, 0)
    assert tracker.get_events("e")[-1].message == "enough"


def test_further_attempts_do_not_start_a_step_again(
    journal: Journal, told: Callable[[], object], tracker: ProgressTracker
) -> None:
    journal.tell(CLAIMED, started("a"))
    told()
    tracker.update_step_progress("e", "a", 60)
    journal.tell(ev.StepRetrying(A, 1, 1, ERROR, 2000.0))
    assert tracker.get_step_progress("e", "a").progress_percentage == 0.0
    journal.tell(started("a", attempt=2), succeeded("a", attempt=2))
    assert told() == [(T.PROGRESS_UPDATE, "a"), (T.STEP_RETRYING, "a"), (T.STEP_COMPLETED, "a")]
    retrying = tracker.get_events("e")[-2]
    assert (retrying.message, retrying.data) == ("broken", {"attempt": 1, "due_at": utc(2000.0)})


def test_a_failure_and_another_go(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    journal.tell(CLAIMED, started("a"), ev.StepFailed(A, 1, 1, ERROR), ev.ExecutionFailed(A, ERROR))
    progress = tracker.get_execution_progress("e")
    assert (progress.failed_steps, progress.status) == (1, ExecutionStatus.FAILED)
    told()
    journal.tell(ev.ExecutionRetried((A,)), ev.ExecutionClaimed("me", 2), started("a", generation=2))
    assert told() == [(T.STEP_RETRYING, "a"), (T.EXECUTION_RESUMED, None), (T.STEP_STARTED, "a")]
    progress = tracker.get_execution_progress("e")
    assert (progress.failed_steps, progress.running_steps, progress.end_time) == (0, 1, None)
    assert tracker.get_step_progress("e", "a").error_message is None


def test_checkpoints_and_a_restore(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    journal.tell(CLAIMED, succeeded("a", checkpoint="loaded"), ev.CheckpointCreated("abcd1234"), succeeded("b"))
    assert told() == [
        (T.EXECUTION_STARTED, None),
        (T.STEP_STARTED, "a"),
        (T.STEP_COMPLETED, "a"),
        (T.CHECKPOINT_CREATED, "a"),
        (T.CHECKPOINT_CREATED, None),
        (T.STEP_STARTED, "b"),
        (T.STEP_COMPLETED, "b"),
    ]
    journal.tell(ev.ExecutionRestored("abcd1234", 3, (B, StepKey("never"))))
    assert told() == [(T.CHECKPOINT_RESTORED, None)]
    assert tracker.get_events("e")[-1].data == {
        "checkpoint_id": "abcd1234",
        "status": "running",
        "steps": {"b": "pending", "never": "pending"},
    }
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.pending_steps, progress.total_steps) == (1, 1, 2)
    assert tracker.get_step_progress("e", "b").status is StepStatus.PENDING
    journal.tell(started("b", generation=2))
    assert told() == [(T.STEP_STARTED, "b")]


def test_recovery_is_told(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    plan = {"strategy": "alternative_path"}
    journal.tell(CLAIMED, started("a"), ev.StepRecovering(A, 1, 1, ERROR, plan))
    journal.tell(ev.InterventionRequested(A, 1, 1, ERROR, "look at it", 3000.0))
    journal.tell(ev.InterventionAnswered(A, 1, "skip", NULL, "ann"))
    assert told()[2:] == [(T.CUSTOM_EVENT, "a")] * 3
    events = tracker.get_events("e")[-3:]
    assert [event.data for event in events] == [
        {"kind": "step_recovering", "plan": plan},
        {"kind": "intervention_requested", "deadline": utc(3000.0)},
        {"kind": "intervention_answered", "decision": "skip", "by": "ann"},
    ]
    assert [event.message for event in events] == ["broken", "look at it", None]


def test_items_count_as_a_fraction_of_their_loop_and_parts_as_nothing(
    journal: Journal, told: Callable[[], object], tracker: ProgressTracker
) -> None:
    journal.total_steps = 2
    loop = StepKey("months")
    journal.tell(CLAIMED, ev.LoopExpanded(loop, 1, (NULL,) * 4))
    journal.tell(started("months[0]"), succeeded("months[0]"), ev.StepSkipped(StepKey("months[1]"), 1, "no"))
    progress = tracker.get_execution_progress("e")
    assert (progress.running_steps, progress.completed_steps, progress.total_steps) == (1, 0, 2)
    assert progress.progress_percentage == 25.0
    assert tracker.get_step_progress("e", "months").progress_percentage == 50.0
    assert tracker.get_step_progress("e", "months[0]").is_successful
    assert told() == [
        (T.EXECUTION_STARTED, None),
        (T.STEP_STARTED, "months"),
        (T.PROGRESS_UPDATE, "months"),
        (T.STEP_STARTED, "months[0]"),
        (T.STEP_COMPLETED, "months[0]"),
        (T.PROGRESS_UPDATE, "months"),
        (T.STEP_SKIPPED, "months[1]"),
        (T.PROGRESS_UPDATE, "months"),
    ]
    journal.tell(started("a"), started("a/mirror"), succeeded("a/mirror"))
    progress = tracker.get_execution_progress("e")
    assert (progress.running_steps, progress.completed_steps, progress.total_steps) == (2, 0, 2)


def test_a_loop_fails_with_an_item_and_comes_back_with_it(
    journal: Journal, told: Callable[[], object], tracker: ProgressTracker
) -> None:
    loop, item = StepKey("m"), StepKey("m[1]")
    journal.tell(CLAIMED, ev.LoopExpanded(loop, 1, (NULL, NULL)), succeeded("m[0]"), started("m[1]"))
    journal.tell(ev.StepFailed(item, 1, 1, ERROR), ev.ExecutionFailed(item, ERROR))
    assert told()[-4:] == [
        (T.STEP_FAILED, "m[1]"),
        (T.PROGRESS_UPDATE, "m"),
        (T.STEP_FAILED, "m"),
        (T.EXECUTION_FAILED, "m[1]"),
    ]
    assert tracker.get_step_progress("e", "m").error_message == "m[1]: broken"
    assert tracker.get_execution_progress("e").failed_steps == 1
    journal.tell(ev.ExecutionRetried((item,)), ev.ExecutionClaimed("me", 2), started("m[1]", generation=2))
    assert told() == [
        (T.STEP_RETRYING, "m"),
        (T.STEP_RETRYING, "m[1]"),
        (T.EXECUTION_RESUMED, None),
        (T.STEP_STARTED, "m"),
        (T.STEP_STARTED, "m[1]"),
    ]
    journal.tell(succeeded("m[1]"))
    assert tracker.get_step_progress("e", "m").progress_percentage == 100.0
    journal.tell(succeeded("m"))
    assert tracker.get_execution_progress("e").completed_steps == 1


def test_a_restored_loop_begins_anew(journal: Journal, told: Callable[[], object], tracker: ProgressTracker) -> None:
    loop = StepKey("m")
    journal.tell(CLAIMED, ev.LoopExpanded(loop, 1, (NULL, NULL)), succeeded("m[0]"), started("m[1]/x"))
    journal.tell(ev.ExecutionRestored("c", 1, (loop,)))
    assert [*tracker.get_all_step_progress("e")] == ["m"]
    assert tracker.get_execution_progress("e").running_steps == 0
    journal.tell(ev.LoopExpanded(loop, 2, (NULL,) * 4), succeeded("m[0]"))
    assert tracker.get_step_progress("e", "m").progress_percentage == 25.0


def test_brackets_and_slashes_alone_make_no_item_and_no_part(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 2)
    tracker.complete_step("e", "file[1]")
    tracker.complete_step("e", "extract/users")
    assert tracker.get_execution_progress("e").completed_steps == 2


# -- beginning to watch in the middle, twice, and no more --------------------------------------------------------------


def begun(journal: Journal) -> None:
    journal.tell(CLAIMED, started("a", name="First"), succeeded("a"), started("b"))
    journal.tell(
        ev.LoopExpanded(StepKey("m"), 1, (NULL,) * 4), succeeded("m[0]"), ev.StepSkipped(StepKey("s"), 1, "no")
    )
    journal.tell(ev.StepFailed(StepKey("f"), 1, 1, ERROR))


def test_a_watch_goes_on_from_where_the_execution_stands(journal: Journal, tracker: ProgressTracker) -> None:
    begun(journal)
    journal.total_steps = 6
    tracker.watch(journal)
    progress = tracker.get_execution_progress("e")
    assert (progress.status, progress.total_steps, progress.start_time) == (ExecutionStatus.RUNNING, 6, utc(1001.0))
    counts = (progress.completed_steps, progress.failed_steps, progress.skipped_steps, progress.running_steps)
    assert counts == (1, 1, 1, 2)
    assert tracker.get_step_progress("e", "a").step_name == "First"
    assert tracker.get_step_progress("e", "m").progress_percentage == 25.0
    assert tracker.get_step_progress("e", "s").metadata["skip_reason"] == "no"
    assert tracker.get_step_progress("e", "f").error_message == "broken"
    assert tracker.get_events("e") == []
    journal.tell(succeeded("m[1]"), succeeded("b"))
    assert tracker.get_step_progress("e", "m").progress_percentage == 50.0
    assert tracker.get_execution_progress("e").completed_steps == 2


def test_the_fold_tells_the_same_as_the_events(journal: Journal, tracker: ProgressTracker) -> None:
    tracker.watch(journal)
    begun(journal)
    live, folded = tracker.get_execution_progress("e"), ExecutionProgress.of(journal.record)
    assert live.start_time == utc(1000.0) and folded.start_time == utc(1001.0)
    folded.start_time = live.start_time
    assert folded == live
    assert ExecutionProgress.of(journal.record, 9).total_steps == 9


def test_the_fold_of_an_ended_execution() -> None:
    journal = Journal()
    journal.tell(ev.ExecutionCreated(ExecutionId("e"), "p", NULL, "", (), ""))
    assert ExecutionProgress.of(journal.record).start_time is None
    journal.tell(CLAIMED, started("a"), ev.ExecutionCancelled("no"))
    folded = ExecutionProgress.of(journal.record, 3)
    assert (folded.status, folded.cancelled_steps, folded.start_time) == (ExecutionStatus.CANCELLED, 1, utc(1000.0))
    assert folded.end_time == utc(1003.0) and folded.is_completed


def test_an_entry_that_comes_by_two_ways_counts_once(journal: Journal, tracker: ProgressTracker) -> None:
    tracker.watch(journal)
    tracker.watch(journal)
    journal.tell(CLAIMED, ev.ExecutionPaused(""), ev.ExecutionClaimed("me", 2))
    assert len(tracker.get_events("e")) == 3


def test_a_new_object_for_the_same_execution_is_followed_from_where_it_stands(tracker: ProgressTracker) -> None:
    first = Journal()
    tracker.watch(first)()
    first.tell(CLAIMED, succeeded("a"), succeeded("b"))
    second = Journal()
    second.tell(CLAIMED, succeeded("a"))
    tracker.watch(second)
    assert tracker.get_execution_progress("e").completed_steps == 1
    second.tell(succeeded("c"))
    assert tracker.get_execution_progress("e").completed_steps == 2


def test_a_watch_that_has_ended_is_held_no_longer(tracker: ProgressTracker) -> None:
    for number in range(100):
        journal = Journal(f"e{number}")
        end = tracker.watch(journal)
        end()
        end()
        assert journal.handlers == []
    journal = Journal()
    watched, end = weakref.ref(journal), tracker.watch(journal)
    end()
    tracker.cleanup()
    del journal, end
    gc.collect()
    assert watched() is None
    assert len(tracker._following) == 0


def test_a_lower_report_counts_and_an_old_entry_does_not(journal: Journal, tracker: ProgressTracker) -> None:
    tracker.watch(journal)
    journal.tell(CLAIMED, started("a"))
    tracker.update_step_progress("e", "a", 80)
    tracker.update_step_progress("e", "a", 30, "there is more than was thought")
    told = tracker.get_events("e")
    tracker.take("e", Entry(2, 1001.0, started("a")))  # comes again, out of order
    assert tracker.get_step_progress("e", "a").progress_percentage == 30.0
    assert tracker.get_events("e") == told


def test_a_report_on_what_was_set_back_waits_for_its_new_start(
    journal: Journal, told: Callable[[], object], tracker: ProgressTracker
) -> None:
    loop = StepKey("m")
    journal.tell(CLAIMED, started("a"), ev.LoopExpanded(loop, 1, (NULL, NULL)), started("m[0]"), started("a/x"))
    journal.tell(ev.ExecutionRestored("c", 1, (A, loop)))
    told()
    for late in ("a", "a/x", "m", "m[0]", "m[1]"):
        tracker.update_step_progress("e", late, 90)
        tracker.report_metric("e", late, "rows", 1)
    assert told() == []
    assert tracker.get_execution_progress("e").running_steps == 0
    journal.tell(started("a", generation=2))
    tracker.update_step_progress("e", "a", 10)
    tracker.update_step_progress("e", "new", 10)  # not known yet: its start is on the way
    assert told() == [
        (T.STEP_STARTED, "a"),
        (T.PROGRESS_UPDATE, "a"),
        (T.STEP_STARTED, "new"),
        (T.PROGRESS_UPDATE, "new"),
    ]


def test_unsubscribing_and_shutdown_end_the_watch(journal: Journal, tracker: ProgressTracker) -> None:
    end = tracker.watch(journal)
    journal.tell(CLAIMED)
    end()
    journal.tell(ev.ExecutionPaused(""))
    assert len(tracker.get_events("e")) == 1
    tracker.watch(journal)
    tracker.shutdown()
    assert journal.handlers == []


# -- a tracker with a context ------------------------------------------------------------------------------------------


def test_verbs_go_through_the_context_and_come_back_once(journal: Journal) -> None:
    tracker = ProgressTracker(journal)
    tracker.start_execution("e", 3)
    tracker.start_step("e", "a", "First")
    tracker.start_step("e", "a", "First")
    tracker.complete_step("e", "a")
    tracker.complete_step("e", "a", False, "late")
    tracker.complete_step("e", "b", False, "broken")
    tracker.skip_step("e", "c", "no")
    tracker.skip_step("e", "c", "no")
    tracker.complete_execution("e", False)
    tracker.complete_execution("e")
    assert journal.record.position == 6
    assert [str(event.event_type) for event in tracker.get_events("e")] == [
        "execution_started",
        "step_started",
        "step_completed",
        "step_started",
        "step_failed",
        "step_skipped",
        "execution_failed",
    ]
    assert tracker.get_events("e")[0].data == {"total_steps": 3}
    assert tracker.get_step_progress("e", "a").step_name == "First"
    assert tracker.get_step_progress("e", "b").error_message == "broken"
    assert journal.record.step(StepKey("c")).reason == "no"


def test_another_execution_is_the_trackers_own(journal: Journal) -> None:
    tracker = ProgressTracker(execution_context=journal)
    tracker.complete_step("other", "a")
    assert journal.record.position == 0


def test_a_start_that_the_context_has_made_only_gives_the_total(journal: Journal) -> None:
    tracker = ProgressTracker(journal)
    journal.start_execution()
    tracker.start_execution("e", 4)
    assert journal.record.position == 1
    assert [event.event_type for event in tracker.get_events("e")] == [T.EXECUTION_STARTED, T.PROGRESS_UPDATE]
    assert tracker.get_execution_progress("e").total_steps == 4


def test_a_start_before_the_watch_is_told_when_it_is_said_again(journal: Journal) -> None:
    journal.start_execution()
    tracker = ProgressTracker(journal)
    tracker.start_execution("e", 4)
    assert [event.event_type for event in tracker.get_events("e")] == [T.EXECUTION_STARTED]
    assert tracker.get_execution_progress("e").total_steps == 4


def test_a_progress_report_before_the_context_knows_the_step(journal: Journal) -> None:
    tracker = ProgressTracker(journal)
    tracker.start_execution("e", 1)
    tracker.update_step_progress("e", "a", 20)
    assert journal.record.step(A).status is StepStatus.RUNNING
    journal.complete_step("a")
    assert [str(event.event_type) for event in tracker.get_events("e", since=1)] == [
        "step_started",
        "progress_update",
        "step_completed",
    ]


# -- the real context --------------------------------------------------------------------------------------------------


def test_a_context_is_followed_through_a_pause_a_restore_and_an_end() -> None:
    context = ExecutionContext("e", "weather")
    tracker = create_progress_tracker(context, context.variable_manager)
    tracker.start_execution("e", 4)
    assert context.total_steps == 4
    tracker.complete_step("e", "a")
    tracker.start_step("e", "b", "Second")
    checkpoint = context.create_checkpoint("here")
    context.complete_step("b")
    context.variable_manager.set_variable("progress.c.percentage", 30)
    context.complete_step("c", False, "broken")
    context.pause_execution()
    context.resume_execution()
    context.complete_execution(False)
    assert context.restore_checkpoint(checkpoint.id)
    progress = tracker.get_execution_progress("e")
    assert (progress.status, progress.completed_steps, progress.running_steps, progress.failed_steps) == (
        context.status,
        context.completed_steps,
        len(context.running_steps),
        context.failed_steps,
    )
    assert (progress.completed_steps, progress.running_steps, progress.is_completed) == (1, 1, False)
    assert [str(event.event_type) for event in tracker.get_events("e")] == [
        "execution_started",
        "checkpoint_created",
        "step_started",
        "step_completed",
        "step_started",
        "checkpoint_created",
        "step_completed",
        "step_started",
        "progress_update",
        "step_failed",
        "execution_paused",
        "execution_resumed",
        "execution_failed",
        "checkpoint_restored",
    ]
    tracker.complete_step("e", "b")
    tracker.complete_execution("e")
    assert context.status is ExecutionStatus.COMPLETED
    tracker.shutdown()


def test_a_verb_on_a_context_that_nobody_started_starts_it() -> None:
    context = ExecutionContext("e", "weather")
    tracker = ProgressTracker(context)
    with tracker.track_step("e", "a", "First") as step:
        step.update(20)
        assert context.running_steps == ["a"]
    tracker.complete_execution("e")
    assert (context.status, context.completed_steps) == (ExecutionStatus.COMPLETED, 1)
    with pytest.raises(IllegalMoveError):
        tracker.start_execution("e", 1)  # a context that completed is not begun again


def test_a_failed_context_begins_again() -> None:
    context = ExecutionContext("e", "weather")
    tracker = ProgressTracker(context)
    tracker.complete_step("e", "a", False, "broken")
    tracker.complete_execution("e", False)
    tracker.start_execution("e", 1)
    assert context.status is ExecutionStatus.RUNNING
    assert [event.event_type for event in tracker.get_events("e")][-1] is T.EXECUTION_RESUMED


def test_threads_over_one_context_and_its_tracker() -> None:
    context = ExecutionContext("e", "weather")
    followed = ProgressTracker(context)
    heard: list[int] = []
    followed.add_event_handler(lambda event: heard.append(event.sequence))
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for count in range(10):
            if count % 2:
                with followed.track_step("e", f"s{number}_{count}", "S"):
                    pass
            else:
                context.complete_step(f"s{number}_{count}")

    followed.start_execution("e", 80)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    context.complete_execution()
    followed.shutdown()
    events = followed.get_events("e")
    assert heard == [event.sequence for event in events] == [*range(1, len(events) + 1)]
    assert followed.get_execution_progress("e").completed_steps == context.completed_steps == 80
