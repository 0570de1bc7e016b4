"""The tracker against its own events: whatever was done, everything it says can be told again from what it told.

The model knows nothing of counters. It reads the list of events from the first to the last, keeps the latest word on
each step, and counts afresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.execution.progress import ProgressEvent, ProgressEventType, ProgressTracker
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ENDED, ExecutionStatus, StepStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId, StepKey

NULL = Encoded(b"\xc0")
ERROR = {"message": "broken"}
T = ProgressEventType

#: Few of each, so that much happens to the same ones.
IDS = st.sampled_from(["one", "one", "one", "two"])
STEPS = st.sampled_from(["a", "a", "loop", "loop[0]", "a/x", "free[7]"])
OWNERS = {"loop[0]": "loop", "a/x": "a"}

OVER = {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED}
WORDS = {
    T.EXECUTION_STARTED: ExecutionStatus.RUNNING,
    T.EXECUTION_RESUMED: ExecutionStatus.RUNNING,
    T.EXECUTION_PAUSED: ExecutionStatus.PAUSED,
    T.EXECUTION_COMPLETED: ExecutionStatus.COMPLETED,
    T.EXECUTION_FAILED: ExecutionStatus.FAILED,
    T.EXECUTION_CANCELLED: ExecutionStatus.CANCELLED,
}


@dataclass
class Told:
    """One execution as somebody understands it who has only its events."""

    status: ExecutionStatus = ExecutionStatus.PENDING
    total: int = 0
    steps: dict[str, StepStatus] = field(default_factory=dict)
    percentages: dict[str, float] = field(default_factory=dict)

    def hear(self, event: ProgressEvent) -> None:
        if event.event_type is T.EXECUTION_STARTED and self.status in ENDED:
            self.__init__()  # type: ignore[misc]  # another run
        self.status = WORDS.get(event.event_type, self.status)
        if event.event_type is T.EXECUTION_CANCELLED:
            for step, status in self.steps.items():
                if status is StepStatus.RUNNING:
                    self.steps[step] = StepStatus.CANCELLED
        if event.event_type is T.CHECKPOINT_RESTORED:
            self.set_back(event)
        if event.step_id is not None:
            self.hear_step(event, event.step_id)
        begun = [step for step in self.counted() if self.steps[step] is not StepStatus.PENDING]
        self.total = max(event.data.get("total_steps", self.total), len(begun))

    def hear_step(self, event: ProgressEvent, step: str) -> None:
        before = self.steps.get(step, StepStatus.PENDING)
        match event.event_type:
            case T.STEP_STARTED:
                assert before is not StepStatus.RUNNING, "it runs already"
                self.steps[step], self.percentages[step] = StepStatus.RUNNING, 0.0
            case T.STEP_COMPLETED | T.STEP_FAILED:
                assert before is StepStatus.RUNNING, "it was not started"
                done = event.event_type is T.STEP_COMPLETED
                failed = StepStatus(event.data.get("status", StepStatus.FAILED))
                self.steps[step] = StepStatus.COMPLETED if done else failed
                self.percentages[step] = event.data.get("progress_percentage", self.percentages[step])
            case T.STEP_SKIPPED:
                assert before not in OVER, "it has ended"
                self.steps[step] = StepStatus.SKIPPED
            case T.STEP_RETRYING:
                if event.data.get("afresh"):  # what was inside of it goes
                    for inner in [one for one in self.steps if OWNERS.get(one) == step and self.belongs(one, step)]:
                        del self.steps[inner]
                self.steps[step] = StepStatus.PENDING if before in OVER else before
                self.percentages[step] = 0.0
            case T.PROGRESS_UPDATE:
                assert before is StepStatus.RUNNING or {*event.data} == {"metric", "value"}, "it does not run"
                now = event.data.get("progress_percentage", self.percentages.get(step, 0.0))
                assert 0.0 <= now <= 100.0
                self.percentages[step] = now

    def set_back(self, event: ProgressEvent) -> None:
        for step, word in event.data["steps"].items():
            if step in self.steps and word is None:
                del self.steps[step]
            elif step in self.steps:
                assert word is StepStatus.PENDING
                self.steps[step], self.percentages[step] = word, 0.0
        self.status = event.data.get("status", self.status)

    def counted(self) -> list[str]:
        """Steps that belong to no other known one."""
        order = [*self.steps]
        return [one for one in order if (owner := OWNERS.get(one)) is None or not self.belongs(one, owner)]

    def belongs(self, step: str, owner: str) -> bool:
        order = [*self.steps]
        return owner in self.steps and order.index(owner) < order.index(step)

    def percentage(self) -> float:
        if self.status is ExecutionStatus.COMPLETED:
            return 100.0
        parts = {StepStatus.COMPLETED: 1.0, StepStatus.SKIPPED: 1.0}
        done = 0.0
        for step in self.counted():
            status = self.steps[step]
            done += self.percentages[step] / 100 if status is StepStatus.RUNNING else parts.get(status, 0.0)
        return 100.0 * done / self.total if self.total else 0.0


class Following(RuleBasedStateMachine):
    """Verbs and journal entries in any order, on two executions."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.tracker = ProgressTracker(clock=self.clock)
        self.heard: list[ProgressEvent] = []
        self.tracker.add_event_handler(self.heard.append)
        self.records = {id: ExecutionRecord(ExecutionId(id)) for id in ("one", "two")}

    def teardown(self) -> None:
        if hasattr(self, "tracker"):
            self.tracker.shutdown()

    def status(self, id: str, step: str) -> StepStatus:
        found = self.tracker.get_step_progress(id, step)
        return found.status if found else StepStatus.PENDING

    def told(self, id: str) -> int:
        return len(self.tracker.get_events(id))

    # -- verbs ---------------------------------------------------------------------------------------------------------

    @rule(id=IDS, total=st.integers(0, 9))
    def start(self, id: str, total: int) -> None:
        self.tracker.start_execution(id, total)
        progress = self.tracker.get_execution_progress(id)
        assert progress is not None and not progress.is_completed

    @rule(id=IDS, success=st.booleans())
    def complete(self, id: str, success: bool) -> None:
        before = self.tracker.get_execution_progress(id)
        self.tracker.complete_execution(id, success)
        after = self.tracker.get_execution_progress(id)
        assert after is not None and after.is_completed
        if before is None or not before.is_completed:
            assert after.status is (ExecutionStatus.COMPLETED if success else ExecutionStatus.FAILED)

    @rule(id=IDS, step=STEPS)
    def start_step(self, id: str, step: str) -> None:
        self.tracker.start_step(id, step, step.upper())
        assert self.status(id, step) is StepStatus.RUNNING

    @rule(id=IDS, step=STEPS, success=st.booleans(), percentage=st.floats(-10, 110))
    def complete_step(self, id: str, step: str, success: bool, percentage: float) -> None:
        before, told = self.status(id, step), self.told(id)
        self.tracker.complete_step(id, step, success, None if success else "no", percentage)
        if before in OVER:
            assert self.status(id, step) is before
            assert self.told(id) - told <= 1  # the execution's own start, where it had not begun
        else:
            assert self.status(id, step) is (StepStatus.COMPLETED if success else StepStatus.FAILED)

    @rule(id=IDS, step=STEPS)
    def skip_step(self, id: str, step: str) -> None:
        before = self.status(id, step)
        self.tracker.skip_step(id, step, "no")
        assert self.status(id, step) is (before if before in OVER else StepStatus.SKIPPED)

    @rule(id=IDS, step=STEPS)
    def cancel_step(self, id: str, step: str) -> None:
        before = self.status(id, step)
        self.tracker.cancel_step(id, step)
        assert self.status(id, step) is (before if before in OVER else StepStatus.CANCELLED)

    @rule(id=IDS, step=STEPS)
    def measure(self, id: str, step: str) -> None:
        before, set_back = self.status(id, step), self.is_set_back(id, step)
        self.tracker.report_metric(id, step, "rows", 7)
        if not set_back:
            assert self.tracker.get_step_progress(id, step).metadata["rows"] == 7  # type: ignore[union-attr]
        assert self.status(id, step) is (before if before in OVER or set_back else StepStatus.RUNNING)

    @rule(id=IDS, step=STEPS, percentage=st.floats(-10, 110))
    def update(self, id: str, step: str, percentage: float) -> None:
        before, set_back = self.status(id, step), self.is_set_back(id, step)
        self.tracker.update_step_progress(id, step, percentage, "so far")
        if before in OVER or set_back:
            assert self.status(id, step) is before
        else:
            found = self.tracker.get_step_progress(id, step)
            assert found is not None and found.status is StepStatus.RUNNING
            assert found.progress_percentage == min(100.0, max(0.0, percentage)), "the latest report counts"

    def is_set_back(self, id: str, step: str) -> bool:
        """Whether a journal is to begin the step, or what it belongs to, anew."""
        known = self.tracker.get_all_step_progress(id)
        of = step if step in known else OWNERS.get(step, "")
        return self.records[id].position > 0 and of in known and known[of].status is StepStatus.PENDING

    @rule(id=IDS, step=st.none() | STEPS)
    def checkpoint(self, id: str, step: str | None) -> None:
        told = self.told(id)
        self.tracker.create_checkpoint_event(id, "abcd1234", step_id=step)
        assert self.told(id) == told + 1

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # -- entries of a journal ------------------------------------------------------------------------------------------

    def take(self, id: str, event: Event) -> None:
        record = self.records[id]
        entry = Entry(record.position + 1, self.clock.time(), event)
        record.position = entry.position
        self.tracker.take(id, entry)
        told = self.told(id)
        self.tracker.take(id, entry)  # by another way: nothing new
        assert self.told(id) == told

    @rule(id=IDS)
    def claim(self, id: str) -> None:
        self.take(id, ev.ExecutionClaimed("me", 1))

    @rule(id=IDS)
    def pause(self, id: str) -> None:
        self.take(id, ev.ExecutionPaused(""))

    @rule(id=IDS)
    def cancel(self, id: str) -> None:
        self.take(id, ev.ExecutionCancelled(""))
        progress = self.tracker.get_execution_progress(id)
        assert progress is not None and progress.running_steps == 0

    @rule(id=IDS, items=st.integers(0, 3))
    def expand(self, id: str, items: int) -> None:
        if self.status(id, "loop") not in OVER:
            self.take(id, ev.LoopExpanded(StepKey("loop"), 1, (NULL,) * items))

    @rule(id=IDS, step=STEPS)
    def attempt(self, id: str, step: str) -> None:
        self.take(id, ev.StepStarted(StepKey(step), 1, 1))
        self.take(id, ev.StepRetrying(StepKey(step), 1, 1, ERROR, self.clock.time()))
        self.take(id, ev.StepStarted(StepKey(step), 1, 2))
        assert self.status(id, step) is StepStatus.RUNNING

    @rule(id=IDS, steps=st.lists(STEPS, min_size=1, unique=True))
    def retry(self, id: str, steps: list[str]) -> None:
        failed = [StepKey(step) for step in steps if self.status(id, step) is StepStatus.FAILED]
        self.take(id, ev.ExecutionRetried(tuple(failed)))
        assert all(self.status(id, step) is StepStatus.PENDING for step in failed)

    @rule(id=IDS, steps=st.lists(STEPS, unique=True))
    def restore(self, id: str, steps: list[str]) -> None:
        self.take(id, ev.ExecutionRestored("c", 1, tuple(map(StepKey, steps))))
        assert all(self.status(id, step) is StepStatus.PENDING for step in steps)

    # -- what holds at any time ----------------------------------------------------------------------------------------

    @invariant()
    def everything_can_be_told_again(self) -> None:
        if not hasattr(self, "tracker"):
            return
        for id in ("one", "two"):
            events = self.tracker.get_events(id)
            assert [event.sequence for event in events] == [*range(1, len(events) + 1)]
            assert [event for event in self.heard if event.execution_id == id] == events
            assert self.tracker.get_events(id, since=len(events) // 2) == events[len(events) // 2 :]
            if events:
                self.compare(id, events)

    def compare(self, id: str, events: list[ProgressEvent]) -> None:
        told = Told()
        for event in events:
            told.hear(event)
        progress, steps = self.tracker.get_execution_progress(id), self.tracker.get_all_step_progress(id)
        assert progress is not None
        assert {key: step.status for key, step in steps.items()} == told.steps
        assert {key: step.progress_percentage for key, step in steps.items()} == pytest.approx(
            {key: told.percentages.get(key, 0.0) for key in told.steps}
        )
        counts = [told.steps[step] for step in told.counted()]
        assert (progress.status, progress.total_steps) == (told.status, told.total)
        assert progress.completed_steps == counts.count(StepStatus.COMPLETED)
        assert progress.failed_steps == counts.count(StepStatus.FAILED)
        assert progress.skipped_steps == counts.count(StepStatus.SKIPPED)
        assert progress.cancelled_steps == counts.count(StepStatus.CANCELLED)
        assert progress.running_steps == counts.count(StepStatus.RUNNING)
        assert progress.pending_steps >= 0
        assert progress.progress_percentage == pytest.approx(told.percentage())
        assert progress.is_completed == (told.status in ENDED) == (progress.end_time is not None)


Following.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestFollowing = Following.TestCase
