"""An execution context used alone: life, steps, events, nested contexts, variables of steps."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from orchestrator.errors import IllegalMoveError, InputError, UnknownContextError
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt, PythonCall
from orchestrator.execution.state import ExecutionContext, ExecutionStatus, checkpoint_due
from orchestrator.execution.variables import Change, OpenContext, VariableManager, VariableScope, Write
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.status import StepStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId, StepKey

E = ExecutionStatus


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def context(clock: FakeClock) -> ExecutionContext:
    return ExecutionContext("run", "weather", clock=clock)


# -- life --------------------------------------------------------------------------------------------------------------


def test_a_life(context: ExecutionContext, clock: FakeClock) -> None:
    assert (context.execution_id, context.pipeline_id, context.status) == ("run", "weather", E.PENDING)
    assert context.metrics.start_time is None
    context.start()
    started = context.metrics.start_time
    clock.advance(5)
    assert context.pause_execution() is True
    assert context.pause_execution() is False
    clock.advance(5)
    assert context.resume_execution() is True
    assert context.resume_execution() is False
    context.complete()
    assert context.status is E.COMPLETED
    metrics = context.metrics
    assert started is not None
    assert started.tzinfo is not None
    assert metrics.start_time == started
    assert metrics.duration is not None
    assert metrics.duration.total_seconds() == 10


def test_an_illegal_move_names_both_states(context: ExecutionContext) -> None:
    with pytest.raises(IllegalMoveError, match="pending to completed"):
        context.complete_execution()
    context.start()
    with pytest.raises(IllegalMoveError, match="running to running"):
        context.start()
    context.cancel_execution()
    with pytest.raises(IllegalMoveError, match="cancelled to running"):
        context.start()
    assert context.status is E.CANCELLED


def test_a_failed_execution_starts_again_with_its_first_checkpoint(context: ExecutionContext) -> None:
    context.start()
    context.complete(success=False)
    assert context.record.error == {}
    context.start()
    assert context.status is E.RUNNING
    assert context.metrics.end_time is None
    assert [checkpoint.description for checkpoint in context.checkpoints] == ["initial"]


def test_a_block_completes_or_fails(clock: FakeClock) -> None:
    with ExecutionContext("good", "p", clock=clock) as good:
        assert good.status is E.RUNNING
    assert good.status is E.COMPLETED
    with pytest.raises(ZeroDivisionError), ExecutionContext("bad", "p", clock=clock) as bad:
        _ = 1 / 0
    assert bad.status is E.FAILED
    assert bad.record.error is not None
    assert "ZeroDivisionError" in bad.record.error["message"]
    with ExecutionContext("left", "p", clock=clock) as left:
        left.cancel_execution()
    assert left.status is E.CANCELLED
    with ExecutionContext("held", "p", clock=clock) as held:
        held.pause_execution("for a person")
    assert held.status is E.PAUSED
    assert held.record.pause_reason == "for a person"


@pytest.mark.parametrize("bad", ["", None, 3])
def test_ids_are_texts(bad: Any) -> None:
    with pytest.raises(InputError):
        ExecutionContext(bad, "p")
    with pytest.raises(InputError):
        ExecutionContext("e", bad)
    context = ExecutionContext("e", "p")
    with pytest.raises(InputError):
        context.start_step(bad)
    with pytest.raises(InputError):
        context.create_nested_context(bad)


# -- steps -------------------------------------------------------------------------------------------------------------


def test_many_steps_run_at_once(context: ExecutionContext) -> None:
    context.start()
    context.total_steps = 4
    for step in ("a", "b", "c"):
        context.start_step(step)
    assert context.current_step_id == "c"
    assert context.running_steps == ["a", "b", "c"]
    context.complete_step("c")
    assert context.current_step_id == "b"
    context.complete_step("a", success=False, error=ValueError("no rows"))
    context.skip_step("b", "not needed")
    context.complete_step("d")  # starts it first
    assert context.current_step_id is None
    assert len(context.running_steps) == 0
    assert (context.completed_steps, context.failed_steps, context.metrics.steps_skipped) == (2, 1, 1)
    assert context.total_steps == 4
    assert context.metrics.completion_percentage() == 75.0
    assert context.metrics.success_rate() == pytest.approx(200 / 3)
    step = context.record.steps[StepKey("a")]
    assert step.error is not None
    assert step.error["message"] == "ValueError: no rows"
    assert context.record.steps[StepKey("b")].reason == "not needed"
    assert context.record.steps[StepKey("d")].attempt == 1


def test_more_steps_than_were_said_to_come_are_counted(context: ExecutionContext) -> None:
    context.total_steps = 1
    context.complete_step("a")
    context.complete_step("b")
    assert context.total_steps == context.metrics.steps_total == 2
    with pytest.raises(InputError):
        context.total_steps = -1


def test_a_step_that_ended_may_start_again_and_counts_where_it_stands(context: ExecutionContext) -> None:
    context.complete_step("a", success=False)
    with pytest.raises(IllegalMoveError, match="failed to completed"):
        context.complete_step("a")
    assert context.failed_steps == 1
    context.start_step("a")
    assert context.failed_steps == 0
    step = context.record.steps[StepKey("a")]
    assert (step.status, step.generation, step.attempt) == (StepStatus.RUNNING, 2, 1)
    context.retry_step("a", "busy", delay_seconds=1)
    context.start_step("a")
    assert step.attempt == 2
    context.complete_step("a")
    assert (context.completed_steps, context.failed_steps, context.total_steps) == (1, 0, 1)
    assert context.metrics.retries == 1
    assert (context.record.steps_done, context.record.steps_failed) == (1, 0)


def test_cancelling_ends_what_runs(context: ExecutionContext) -> None:
    said: list[tuple[str, str]] = []
    context.on_step_event(lambda step, word: said.append((step, word)))
    context.start()
    context.start_step("a")
    context.complete_step("b")
    context.start_step("c")
    context.cancel_execution("enough")
    assert context.running_steps == []
    assert said[-2:] == [("a", "cancelled"), ("c", "cancelled")]
    with pytest.raises(IllegalMoveError, match="cancelled to completed"):
        context.complete_step("a")


def test_checkpoints_come_by_themselves_every_five_completed_steps(context: ExecutionContext) -> None:
    context.start()
    for i in range(11):
        context.complete_step(f"s{i}")
        context.complete_step(f"f{i}", success=False)
    assert [(found.description, found.step_id) for found in context.checkpoints] == [
        ("initial", None),
        (None, "s4"),
        (None, "s9"),
    ]
    context.auto_checkpoint_steps = 0
    for i in range(11, 20):
        context.complete_step(f"s{i}")
    assert len(context.checkpoints) == 3


def test_the_rule_of_automatic_checkpoints() -> None:
    assert [n for n in range(13) if checkpoint_due(n, 5)] == [5, 10]
    assert not any(checkpoint_due(n, 0) for n in range(13))


# -- events ------------------------------------------------------------------------------------------------------------


def test_one_path_of_events_and_its_views(context: ExecutionContext) -> None:
    entries: list[Entry] = []
    steps: list[tuple[str, str]] = []
    statuses: list[ExecutionStatus] = []
    words: list[tuple[str, ExecutionStatus]] = []
    ends = [
        context.subscribe(entries.append),
        context.on_step_event(lambda *said: steps.append(said)),
        context.on_status_change(lambda changed: statuses.append(changed.status)),
        context.add_status_handler(lambda *said: words.append(said)),
    ]
    with context:
        context.start_step("a")
        context.retry_step("a")
        context.complete_step("a")
        context.complete_step("b", success=False)
        context.skip_step("c")
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    assert steps == [
        ("a", "started"),
        ("a", "retrying"),
        ("a", "completed"),
        ("b", "started"),
        ("b", "failed"),
        ("c", "skipped"),
    ]
    assert words == [("run", E.RUNNING), ("run", E.COMPLETED)]
    assert len(statuses) == 2
    for end in ends:
        end()
    before = len(entries)
    context.restore_checkpoint("initial")
    assert len(entries) == before
    assert len(words) == 2


def test_a_handler_that_raises_breaks_nothing(context: ExecutionContext, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Entry] = []

    def bad(entry: Entry) -> None:
        raise RuntimeError("no")

    context.subscribe(bad)
    context.subscribe(seen.append)
    context.start()
    assert len(seen) == 2
    assert context.handler_faults == 2
    assert caplog.text.count("handler_failed") == 1


def test_no_handler_runs_under_a_lock(context: ExecutionContext) -> None:
    """A handler waits for another thread that uses the context and its variables."""

    told: list[object] = []
    stuck: list[bool] = []

    def from_elsewhere(*said: object) -> None:
        told.append(said)
        if len(told) > 2:
            return  # what the other thread itself does is told as well
        done = threading.Thread(target=lambda: (context.start_step("x"), context.variable_manager.set_variable("y", 1)))
        done.start()
        done.join(10)
        stuck.append(done.is_alive())

    ends = [context.subscribe(from_elsewhere), context.variable_manager.on_variable_created(from_elsewhere)]
    context.skip_step("a")  # binds a variable as well
    for end in ends:
        end()
    assert context.handler_faults == 0
    assert context.running_steps == ["x"]
    assert len(told) > 2
    assert stuck == [False, False]


def test_events_come_in_order_from_many_threads(context: ExecutionContext) -> None:
    positions: list[int] = []
    context.subscribe(lambda entry: positions.append(entry.position))
    barrier = threading.Barrier(8)

    def work(worker: int) -> None:
        barrier.wait()
        for i in range(50):
            context.complete_step(f"{worker}-{i}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context.deliver()
    assert context.completed_steps == 400
    assert positions == list(range(1, context.record.position + 1))
    assert context.metrics.checkpoints_created == 80


# -- a recorder --------------------------------------------------------------------------------------------------------


class Journal:
    """Keeps what it is given and applies it, as an engine's session does."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Event]] = []

    def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
        self.batches.append(events)
        for event in events:
            context.apply(Entry(context.record.position + 1, 1_800_000_000.0, event))
        context.deliver()


def test_a_recorder_gets_the_events_of_each_verb_together() -> None:
    journal = Journal()
    context = ExecutionContext("run", "p", recorder=journal)
    context.start()
    context.auto_checkpoint_steps = 1
    context.complete_step("a")
    assert context.pause_execution() is True
    assert context.pause_execution() is False
    made = context.create_checkpoint("here")
    assert made.description == "here"
    assert [[type(event).__name__ for event in batch] for batch in journal.batches] == [
        ["ExecutionClaimed", "CheckpointCreated"],
        ["StepStarted", "StepSucceeded", "CheckpointCreated"],
        ["ExecutionPaused"],
        ["CheckpointCreated"],
    ]


def test_what_a_recorder_refuses_has_not_happened() -> None:
    class Full:
        def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
            raise OSError("disk full")

    context = ExecutionContext("run", "p", recorder=Full())
    with pytest.raises(OSError, match="disk full"):
        context.start()
    assert context.status is E.PENDING


def test_events_of_other_rooms_go_the_same_way(context: ExecutionContext) -> None:
    context.start_step("a")
    context.record_events([ev.StepRecovering(StepKey("a"), 1, 1, {"message": "no"}, {"strategy": "skip"})])
    assert context.record.steps[StepKey("a")].plan == {"strategy": "skip"}


# -- nested contexts ---------------------------------------------------------------------------------------------------


def test_nested_contexts(context: ExecutionContext) -> None:
    context.variable_manager.set_variable("limit", 3)
    inner = context.create_nested_context("child")
    assert inner.execution_id == "run.child"
    assert inner.parent_context is context
    assert context.nested_contexts == {"child": inner}
    assert inner.variable_manager.get_variable("limit") == 3
    inner.variable_manager.set_variable("limit", 4)
    assert context.variable_manager.get_variable("limit") == 3
    with pytest.raises(InputError, match="already"):
        context.create_nested_context("child")
    assert context.destroy_nested_context("child") is True
    assert context.destroy_nested_context("child") is False
    by_hand = ExecutionContext("run.other", "p", context)
    assert context.nested_contexts == {"other": by_hand}


def test_what_happens_to_a_parent_happens_to_its_children(context: ExecutionContext) -> None:
    inner = context.create_nested_context("a")
    deep = inner.create_nested_context("b")
    held = context.create_nested_context("held")
    idle = context.create_nested_context("idle")
    said: list[tuple[str, str]] = []
    for one in (inner, deep, held):
        one.start()
        one.add_status_handler(lambda *told: said.append(told))
    context.start()
    held.pause_execution()
    context.pause_execution()
    assert [one.status for one in (inner, deep, held, idle)] == [E.PAUSED, E.PAUSED, E.PAUSED, E.PENDING]
    context.resume_execution()
    assert [one.status for one in (inner, deep, held, idle)] == [E.RUNNING, E.RUNNING, E.PAUSED, E.PENDING]
    deep.complete()
    context.cancel_execution()
    assert [one.status for one in (inner, deep, held, idle)] == [E.CANCELLED, E.COMPLETED, E.CANCELLED, E.CANCELLED]
    told = {name: [status for said_of, status in said if said_of == name] for name, _ in said}
    assert told == {
        "run.held": [E.PAUSED, E.CANCELLED],
        "run.a": [E.PAUSED, E.RUNNING, E.CANCELLED],
        "run.a.b": [E.PAUSED, E.RUNNING, E.COMPLETED],
    }


def test_nothing_runs_within_what_is_paused_or_cancelled(context: ExecutionContext) -> None:
    idle = context.create_nested_context("idle")
    held = context.create_nested_context("held")
    deep = idle.create_nested_context("deep")
    held.start()
    held.pause_execution()
    context.start()
    context.pause_execution()
    for one in (idle, deep):
        with pytest.raises(IllegalMoveError, match="run, which it is in, is paused"):
            one.start()
    assert held.resume_execution() is False
    context.resume_execution()
    deep.start()
    assert held.resume_execution() is True
    context.cancel_execution()
    late = context.create_nested_context("late")
    assert (late.status, late.create_nested_context("deep").status) == (E.CANCELLED, E.CANCELLED)
    again = ExecutionContext.from_state(context.export_state())
    assert again.export_state() == context.export_state()


class EndsTheStep(set[str]):
    """Tags that are read after the context of the step was found, and before anything is written there."""

    def __init__(self, context: ExecutionContext) -> None:
        super().__init__({"t"})
        self._context = context

    def __iter__(self) -> Iterator[str]:
        for step in self._context.running_steps:
            self._context.complete_step(step)
        return super().__iter__()


def test_a_write_of_a_step_that_ends_meanwhile_goes_to_the_root(context: ExecutionContext) -> None:
    manager = context.variable_manager
    context.start_step("load")
    manager.set_variable("n", 1, VariableScope.STEP)
    manager.set_variable("n", 2, VariableScope.STEP, tags=EndsTheStep(context))
    metadata = manager.get_variable_metadata("n")
    assert metadata is not None
    assert (manager.list_variables()["n"], metadata.scope, metadata.tags) == (2, VariableScope.STEP, {"t"})
    context.start_step("plot")
    manager.set_variable("n", 3, VariableScope.STEP)
    assert manager.running_step is not None
    named = manager.running_step(None)
    with pytest.raises(UnknownContextError):
        manager.set_variable("n", 4, context_id=named, tags=EndsTheStep(context))


# -- variables of steps ------------------------------------------------------------------------------------------------


def test_variables_of_a_step_end_with_it(context: ExecutionContext) -> None:
    variables = context.variable_manager
    context.start_step("a")
    variables.set_variable("draft", 1, VariableScope.STEP)
    context.start_step("b")
    variables.set_variable("draft", 2, VariableScope.STEP)
    variables.set_variable("draft", 10, VariableScope.STEP, source_step="a")
    assert variables.get_variable("draft") == 2  # the latest to run is asking
    context.complete_step("b")
    assert variables.get_variable("draft") == 10
    context.complete_step("a")
    assert not variables.has_variable("draft")
    variables.set_variable("draft", 3, VariableScope.STEP)
    assert variables.list_variables(scope=VariableScope.STEP) == {"draft": 3}


def test_reading_makes_no_context_for_the_step(context: ExecutionContext) -> None:
    variables = context.variable_manager
    variables.set_variable("x", 1)
    context.start_step("a")
    recorded = Recorded(variables)
    variables.recorder = recorded
    assert variables.get_variable("x") == 1
    assert variables.has_variable("x")
    assert variables.resolve_template("${x}") == 1
    assert variables.get_variable_metadata("x") is not None
    assert variables.get_variable_history("x") == []
    assert not variables.delete_variable("nothing")
    variables.set_variable("x", 2)
    assert [type(change) for change in recorded.changes] == [Write]
    assert variables.export_state()["context_variables"] == {}
    variables.set_variable("draft", 3, VariableScope.STEP)
    assert [type(change) for change in recorded.changes] == [Write, OpenContext, Write]
    assert variables.get_variable("draft") == 3


class Recorded:
    """A recorder that notes what comes to it, and applies it."""

    def __init__(self, manager: VariableManager) -> None:
        self.manager = manager
        self.changes: list[Change] = []

    def record(self, changes: Sequence[Change]) -> None:
        self.changes += changes
        self.manager.apply(changes)

    def unrecorded(self, name: str) -> None:
        return None


def test_a_handler_sets_variables_of_its_own_step(context: ExecutionContext) -> None:
    variables = context.variable_manager
    context.start_step("a")
    context.start_step("b")

    def as_step(step: str, execution_id: str = "run") -> Any:
        work = PythonCall("m:f", {})
        attempt = Attempt(ExecutionId(execution_id), "p", StepKey(step), 1, 1, work, None, "", lambda note: None)
        CURRENT_ATTEMPT.set(attempt)
        variables.set_variable("tmp", step, VariableScope.TEMPORARY)
        return variables.get_variable("tmp")

    assert contextvars.copy_context().run(as_step, "a") == "a"
    assert contextvars.copy_context().run(as_step, "b") == "b"
    context.complete_step("b")
    assert variables.get_variable("tmp") == "a"


def test_a_scope_of_variables(context: ExecutionContext) -> None:
    with context.variable_scope() as scope:
        scope.set_variable("x", 1)
        assert scope.get_variable("x") == 1
    assert not context.variable_manager.has_variable("x")


def test_variables_are_counted(context: ExecutionContext) -> None:
    seen: list[str] = []
    context.variable_manager.on_variable_created(lambda name, value: seen.append(name))
    context.variable_manager.set_variable("x", 1)
    context.variable_manager.set_variable("x", 2)
    context.variable_manager.delete_variable("x")
    context.variable_manager.set_variable("x", 3)
    assert (context.metrics.variables_created, context.metrics.variables_updated) == (2, 1)
    assert seen == ["x", "x"]


def test_a_manager_with_handlers_keeps_them() -> None:
    manager = VariableManager("p")
    seen: list[str] = []
    manager.on_variable_created(lambda name, value: seen.append(name))
    context = ExecutionContext("e", "p", variable_manager=manager)
    assert context.variable_manager is manager
    manager.set_variable("x", 1)
    assert seen == ["x"]
    assert context.metrics.variables_created == 1


def test_cleanup_keeps_what_it_came_to(context: ExecutionContext) -> None:
    inner = context.create_nested_context("inner")
    context.start()
    inner.start()
    context.variable_manager.set_variable("x", 1)
    context.variable_manager.set_variable("x", 2)
    context.complete_step("a")
    inner.complete()
    context.complete()
    context.cleanup()
    assert (context.status, context.completed_steps) == (E.COMPLETED, 1)
    assert context.variable_manager.get_variable("x") == 2
    assert context.checkpoints == []
    assert inner.checkpoints == []
    assert context.variable_manager.get_variable_history("x") == []
    assert context.restore_checkpoint("initial") is False
