"""A tracker's verbs on a context: what stands already is asked for once, by how many threads and handlers so ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.execution.progress import ProgressTracker
from orchestrator.execution.state import ExecutionContext
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import StepKey

MANY = 16
A = StepKey("a")


@pytest.fixture
def context() -> ExecutionContext:
    return ExecutionContext("e", "weather")


@pytest.fixture
def tracker(context: ExecutionContext) -> Iterator[ProgressTracker]:
    made = ProgressTracker(context)
    yield made
    made.shutdown()


def at_once(*verbs: Callable[[], object]) -> None:
    """Call these at one moment, each in a thread of its own; raises what one of them raises."""
    barrier = threading.Barrier(len(verbs))

    def call(verb: Callable[[], object]) -> None:
        barrier.wait(10)
        verb()

    with ThreadPoolExecutor(len(verbs)) as pool:
        for call_made in [pool.submit(call, verb) for verb in verbs]:
            call_made.result(10)


class Late(ExecutionContext):
    """Holds every thread at a verb until all of them have decided to ask for it, or cannot: those wait their turn."""

    __slots__ = ("gate",)

    def start_execution(self) -> None:
        self._meet()
        super().start_execution()

    def complete_execution(self, success: bool = True) -> None:
        self._meet()
        super().complete_execution(success)

    def start_step(self, step_id: str, name: str = "") -> None:
        self._meet()
        super().start_step(step_id, name)

    def complete_step(self, step_id: str, success: bool = True, error: object = None) -> None:
        self._meet()
        super().complete_step(step_id, success, error)

    def skip_step(self, step_id: str, reason: str = "") -> None:
        self._meet()
        super().skip_step(step_id, reason)

    def _meet(self) -> None:
        try:
            self.gate.wait(0.02)
        except threading.BrokenBarrierError:
            return


@pytest.fixture
def late() -> Iterator[tuple[Late, ProgressTracker]]:
    context = Late("e", "weather")
    context.gate = threading.Barrier(2)
    tracker = ProgressTracker(context)
    yield context, tracker
    tracker.shutdown()


def again(context: Late) -> None:
    context.gate = threading.Barrier(2)


def test_a_pending_execution_is_begun_once(context: ExecutionContext, tracker: ProgressTracker) -> None:
    at_once(*[lambda n=n: tracker.start_step("e", f"s{n}") for n in range(MANY)])
    assert sorted(context.running_steps) == sorted(f"s{n}" for n in range(MANY))
    assert context.record.epoch == 1


def test_two_that_look_at_the_same_moment_begin_and_end_it_once(late: tuple[Late, ProgressTracker]) -> None:
    context, tracker = late
    at_once(lambda: tracker.start_execution("e", 2), lambda: tracker.start_step("e", "a"))
    again(context)
    at_once(lambda: tracker.start_step("e", "b"), lambda: tracker.update_step_progress("e", "b", 20))
    assert context.record.steps[StepKey("b")].attempt == 1, "no second attempt"
    again(context)
    at_once(lambda: tracker.complete_step("e", "a"), lambda: tracker.complete_step("e", "a", False, "no"))
    again(context)
    at_once(lambda: tracker.skip_step("e", "b"), lambda: tracker.complete_step("e", "b"))
    again(context)
    at_once(lambda: tracker.complete_execution("e"), lambda: tracker.complete_execution("e", False))
    assert context.status in (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED)
    assert [step.generation for step in context.record.steps.values()] == [1, 1]
    told = [event.event_type for event in tracker.get_events("e") if event.event_type is not T.CHECKPOINT_CREATED]
    assert len(told) == 7, told  # one start and one end of each, and one report


def test_a_late_report_does_not_begin_an_ended_step(late: tuple[Late, ProgressTracker]) -> None:
    context, tracker = late
    tracker.start_execution("e", 1)
    again(context)
    at_once(lambda: tracker.complete_step("e", "a"), lambda: tracker.update_step_progress("e", "a", 20))
    step = context.record.steps[A]
    assert (step.status, step.generation, step.attempt) == (StepStatus.COMPLETED, 1, 1)


def test_many_say_everything_of_one_step(context: ExecutionContext, tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    for n in range(10):
        step = f"s{n}"
        verbs = [
            lambda step=step: tracker.start_step("e", step, "Name"),
            lambda step=step: tracker.update_step_progress("e", step, 30),
        ]
        at_once(*verbs * 4)
        assert context.record.steps[StepKey(step)].attempt == 1
        at_once(*[lambda step=step: tracker.complete_step("e", step)] * 4)
        assert context.record.steps[StepKey(step)].generation == 1
    at_once(*[lambda: tracker.complete_execution("e")] * 8)
    assert (context.status, context.completed_steps) == (ExecutionStatus.COMPLETED, 10)
    told = [event.event_type for event in tracker.get_events("e")]
    assert (told.count(T.STEP_STARTED), told.count(T.STEP_COMPLETED)) == (10, 10)


class Overtaken(ExecutionContext):
    """Somebody else is faster with everything."""

    __slots__ = ()

    def start_execution(self) -> None:
        super().start_execution()
        super().start_execution()

    def complete_execution(self, success: bool = True) -> None:
        super().cancel_execution()
        super().complete_execution(success)

    def complete_step(self, step_id: str, success: bool = True, error: object = None) -> None:
        super().skip_step(step_id)
        super().complete_step(step_id, success, error)

    def skip_step(self, step_id: str, reason: str = "") -> None:
        super().skip_step(step_id, reason)
        super().skip_step(step_id, reason)


def test_who_moves_the_context_past_the_tracker_does_not_make_it_raise() -> None:
    context = Overtaken("e", "weather")
    tracker = ProgressTracker(context)
    tracker.start_execution("e", 2)
    tracker.complete_step("e", "a", progress_percentage=30)
    tracker.skip_step("e", "b")
    tracker.complete_execution("e")
    assert [step.status for step in context.record.steps.values()] == [StepStatus.SKIPPED] * 2
    assert context.status is ExecutionStatus.CANCELLED
    assert tracker.get_execution_progress("e").skipped_steps == 2
    tracker.shutdown()


def test_what_was_not_reached_is_raised(context: ExecutionContext, tracker: ProgressTracker) -> None:
    context.start_execution()
    context.complete_execution()
    with pytest.raises(IllegalMoveError):
        tracker.start_execution("e")


# -- handlers ----------------------------------------------------------------------------------------------------------


def test_a_handler_that_says_it_twice(context: ExecutionContext, tracker: ProgressTracker) -> None:
    faults: list[BaseException] = []

    def handle(step: str, word: str) -> None:
        try:
            if (step, word) == ("a", "started") and "b" not in context.record.steps:
                for _ in range(2):
                    tracker.start_step("e", "b", "Second")
                    tracker.update_step_progress("e", "b", 10)
                for _ in range(2):
                    tracker.complete_step("e", "b", progress_percentage=80)
                    tracker.complete_step("e", "a")
                tracker.start_step("e", "a")  # another round, within the delivery of the first one
                for _ in range(2):
                    tracker.complete_execution("e", False)
                    tracker.start_execution("e", 5)
        except Exception as exc:  # noqa: BLE001 - looked at below
            faults.append(exc)

    context.on_step_event(handle)
    tracker.start_step("e", "a")
    assert faults == []
    assert context.record.steps[A].generation == 2 and context.running_steps == ["a"]
    b = tracker.get_step_progress("e", "b")
    assert (b.step_name, b.status, b.progress_percentage) == ("Second", StepStatus.COMPLETED, 80.0)
    told = [event.event_type for event in tracker.get_events("e")]
    assert (told.count(T.EXECUTION_STARTED), told.count(T.EXECUTION_RESUMED)) == (1, 2)
    assert tracker.get_execution_progress("e").total_steps == 5


def test_a_start_within_a_status_handler_is_told_once(context: ExecutionContext, tracker: ProgressTracker) -> None:
    def handle(id: str, status: ExecutionStatus) -> None:
        if status is ExecutionStatus.FAILED:
            tracker.start_execution("e", 3)

    context.add_status_handler(handle)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e", False)
    told = [event.event_type for event in tracker.get_events("e")]
    assert told[-3:] == [T.EXECUTION_FAILED, T.EXECUTION_RESUMED, T.PROGRESS_UPDATE]
    assert T.EXECUTION_STARTED not in told[1:]


def test_no_handler_runs_within_a_turn() -> None:
    """A handler waits for another thread, which says something of the very step that the handler is told of."""
    context = ExecutionContext("e", "weather")
    ended: list[str] = []

    def handle(entry: object) -> None:
        thread = threading.Thread(target=lambda: (tracker.start_step("e", "a"), ended.append("thread")))
        if not ended:
            thread.start()
            thread.join(5)
            ended.append("handler")

    context.start_execution()
    context.subscribe(handle)  # before the tracker: it is told first
    tracker = ProgressTracker(context)
    tracker.start_step("e", "a")
    assert ended == ["thread", "handler"]
    assert context.record.steps[A].attempt == 1
    tracker.shutdown()


def test_a_verb_that_is_refused_gives_its_turn_back(context: ExecutionContext, tracker: ProgressTracker) -> None:
    context.start_execution()
    for _ in range(2):
        with pytest.raises(Exception, match="id"):
            tracker.start_step("e", "")
    assert tracker._turns._taken == {}


# -- how far a step is at its end --------------------------------------------------------------------------------------


def test_an_end_shows_the_percentage_that_is_given(context: ExecutionContext, tracker: ProgressTracker) -> None:
    tracker.complete_step("e", "a", progress_percentage=80)
    tracker.complete_step("e", "b", False, "bad", 30.0)
    tracker.update_step_progress("e", "c", 60)
    tracker.complete_step("e", "c", False, "bad")
    tracker.complete_step("e", "a", progress_percentage=50)
    shown = {key: step.progress_percentage for key, step in tracker.get_all_step_progress("e").items()}
    assert shown == {"a": 80.0, "b": 30.0, "c": 60.0}
    told = [event for event in tracker.get_events("e") if event.event_type is T.STEP_COMPLETED]
    assert [event.data for event in told] == [{"progress_percentage": 80.0}]
    tracker.start_step("e", "a")
    context.complete_step("a")
    assert tracker.get_step_progress("e", "a").progress_percentage == 100.0


def test_a_refused_end_leaves_no_percentage_behind(context: ExecutionContext, tracker: ProgressTracker) -> None:
    context.start_execution()
    context.complete_step("a")
    with pytest.raises(IllegalMoveError), tracker._book.expecting("e", ("a", 1), 30.0):
        context.complete_step("a")
    assert tracker._book._ledger("e").expected == {}


def test_an_ended_step_gets_its_name_where_it_was_not_started(
    context: ExecutionContext, tracker: ProgressTracker
) -> None:
    tracker.on_step_completed("e", "a", "First", True)
    tracker.on_step_completed("e", "a", "First", True)
    assert tracker.get_step_progress("e", "a").step_name == "First"
    assert context.record.steps[A].generation == 1
