"""Checkpoints and restores: alone, and as an engine's session uses them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.state import Checkpoint, ExecutionContext, ExecutionStatus
from orchestrator.execution.variables import VariableType
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.keys import item_key
from orchestrator.status import StepStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.types import StepKey

E, S = ExecutionStatus, StepStatus


def key(name: str) -> StepKey:
    return StepKey(name)


@pytest.fixture
def context() -> ExecutionContext:
    context = ExecutionContext("run", "p", clock=FakeClock())
    context.start()
    return context


def status(context: ExecutionContext, step: str) -> StepStatus:
    found = context.record.steps.get(key(step))
    return S.PENDING if found is None else found.status


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_says_where_it_stands(context: ExecutionContext) -> None:
    context.start_step("a")
    made = context.create_checkpoint("before the load")
    assert (len(made.id), made.execution_id, made.step_id) == (8, "run", "a")
    assert (made.status, made.description) == (E.RUNNING, "before the load")
    assert made.timestamp.tzinfo is not None
    assert context.checkpoints[-1] == made
    assert context.create_checkpoint().description is None


def test_an_id_is_made_where_it_is_empty() -> None:
    assert len(Checkpoint().id) == 8
    assert Checkpoint().id != Checkpoint().id
    assert Checkpoint("mine").id == "mine"


def test_the_oldest_goes_but_never_the_initial_one(context: ExecutionContext) -> None:
    made = []
    for n in range(15):
        context.variable_manager.set_variable("n", n)
        context.start_step(f"s{n}")
        made.append(context.create_checkpoint().id)
    assert len(context.checkpoints) == context.max_checkpoints == 10
    assert [found.id for found in context.checkpoints[1:]] == made[-9:]
    assert context.checkpoints[0].description == "initial"
    assert context.restore_checkpoint(made[5]) is False
    for n in (7, 14, 6):
        assert context.restore_checkpoint(made[n]) is True
        assert context.variable_manager.get_variable("n") == n
        assert context.running_steps == [f"s{i}" for i in range(n + 1)]
    assert context.restore_checkpoint("initial") is True
    assert not context.variable_manager.has_variable("n")
    assert context.running_steps == []
    assert {status(context, f"s{i}") for i in range(15)} == {S.PENDING}


def test_retention_may_be_changed(context: ExecutionContext) -> None:
    context.max_checkpoints = 1
    newest = [context.create_checkpoint().id for _ in range(3)][-1]
    assert [found.description or found.id for found in context.checkpoints] == ["initial", newest]
    with pytest.raises(InputError):
        context.max_checkpoints = 0
    with pytest.raises(InputError):
        context.auto_checkpoint_steps = -1


# -- alone -------------------------------------------------------------------------------------------------------------


def test_everything_comes_back_as_it_stood(context: ExecutionContext) -> None:
    variables = context.variable_manager
    variables.set_variable("kept", [1], description="a list", var_type=VariableType.CONFIGURATION)
    variables.set_variable("gone", 1)
    context.complete_step("a")
    context.start_step("b")
    then = context.create_checkpoint()
    variables.set_variable("kept", [1, 2])
    variables.delete_variable("gone")
    variables.set_variable("new", 1)
    context.complete_step("b", success=False)
    context.complete_step("c")
    created = context.metrics.checkpoints_created
    assert context.restore_checkpoint(then.id) is True
    assert variables.list_variables() == {"kept": [1], "gone": 1}
    metadata = variables.get_variable_metadata("kept")
    assert metadata is not None
    assert (metadata.version, metadata.source_step) == (3, f"restore:{then.id}")
    assert (metadata.description, metadata.var_type) == ("a list", VariableType.CONFIGURATION)
    assert [version.value for version in variables.get_variable_history("kept")] == [[1], [1, 2]]
    assert [status(context, step) for step in "abc"] == [S.COMPLETED, S.RUNNING, S.PENDING]
    assert [context.record.steps[key(step)].generation for step in "abc"] == [1, 2, 2]
    assert context.running_steps == ["b"]
    assert (context.completed_steps, context.failed_steps, context.total_steps) == (1, 0, 2)
    assert context.metrics.variables_created == 2
    assert context.metrics.checkpoints_created == created
    assert context.restore_checkpoint(then.id) is True  # nothing differs
    assert context.record.steps[key("b")].generation == 2


def test_one_may_go_back_and_forth(context: ExecutionContext) -> None:
    made = []
    for n in range(4):
        context.variable_manager.set_variable("n", n)
        context.complete_step(f"s{n}")
        made.append(context.create_checkpoint().id)
    for n in (1, 3, 0, 2, 3):
        context.restore_checkpoint(made[n])
        assert context.variable_manager.get_variable("n") == n
        assert context.completed_steps == n + 1
        assert [found.id for found in context.checkpoints[1:]] == made


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_restore_is_the_way_out_of_an_end(context: ExecutionContext, end: str) -> None:
    then = context.create_checkpoint()
    context.start_step("a")
    if end == "cancel":
        context.cancel_execution()
    else:
        context.complete(success=end == "complete")
    assert context.restore_checkpoint(then.id) is True
    assert context.status is E.RUNNING
    assert context.metrics.end_time is None
    assert context.record.ended_at is None
    assert status(context, "a") is S.PENDING
    context.complete()


def test_a_paused_execution_stays_paused(context: ExecutionContext) -> None:
    context.pause_execution("wait")
    context.restore_checkpoint("initial")
    assert (context.status, context.record.pause_reason) == (E.PAUSED, "wait")


def test_budgets_are_not_set_back(context: ExecutionContext) -> None:
    then = context.create_checkpoint()
    context.start_step("a")
    context.retry_step("a", "no")
    context.start_step("a")
    context.retry_step("a", "no")
    context.restore_checkpoint(then.id)
    assert context.metrics.retries == 2
    assert context.record.steps[key("a")].failed_attempts == 2


def test_nested_contexts_come_back(context: ExecutionContext) -> None:
    kept, lost = context.create_nested_context("kept"), context.create_nested_context("lost")
    kept.variable_manager.set_variable("n", 1)
    lost.start()
    then = context.create_checkpoint()
    kept.variable_manager.set_variable("n", 2)
    kept.start()
    lost.complete_step("a")
    context.destroy_nested_context("lost")
    context.create_nested_context("new")
    context.restore_checkpoint(then.id)
    assert context.nested_contexts == {"kept": kept, "lost": lost}
    assert kept.variable_manager.get_variable("n") == 1
    assert (kept.status, lost.status) == (E.PENDING, E.RUNNING)
    assert status(lost, "a") is S.PENDING


def test_a_context_deep_inside_comes_back(context: ExecutionContext) -> None:
    deep = context.create_nested_context("child").create_nested_context("grandchild")
    then = context.create_checkpoint()
    deep.variable_manager.set_variable("n", 1)
    deep.start_step("a")
    again = context.create_checkpoint()
    deep.complete_step("a")
    context.restore_checkpoint(then.id)
    assert not deep.variable_manager.has_variable("n")
    context.restore_checkpoint(again.id)
    assert deep.variable_manager.get_variable("n") == 1
    assert deep.running_steps == ["a"]


def test_the_steps_that_ran_come_back_in_their_order(context: ExecutionContext) -> None:
    context.start_step("a")
    context.start_step("b")
    then = context.create_checkpoint()
    context.complete_step("a")
    context.start_step("a")
    assert context.running_steps == ["b", "a"]
    context.restore_checkpoint(then.id)
    assert context.running_steps == ["a", "b"]
    assert context.current_step_id == "b"


def test_a_checkpoint_marks_only_the_nested_contexts_that_changed(
    context: ExecutionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = [context.create_nested_context(f"n{i}") for i in range(50)]
    context.create_checkpoint()
    marked: list[str] = []
    take_mark = type(inner[0]._state).take_mark

    def noted(state: Any) -> Any:
        marked.append(state.name)
        return take_mark(state)

    monkeypatch.setattr(type(inner[0]._state), "take_mark", noted)
    inner[3].variable_manager.set_variable("x", 1)
    inner[7].complete_step("a")
    with inner[9].variable_scope():
        pass
    context.create_checkpoint()
    assert sorted(marked) == ["n3", "n7", "n9"]
    context.create_checkpoint()
    assert len(marked) == 3


def test_a_checkpoint_copies_nothing(context: ExecutionContext) -> None:
    """What it holds is what changed since: a step that was known, and a variable that was."""
    for i in range(100):
        context.complete_step(f"s{i}", success=False)
    context.create_checkpoint()
    context.start_step("s7")
    context.complete_step("new")
    newest = context._state.marks.newest
    assert newest is not None
    assert {name: step is not None for name, step in newest.steps.items()} == {"s7": True, "new": False}


def test_a_checkpoint_is_found_by_its_description(context: ExecutionContext) -> None:
    context.create_checkpoint("loaded")
    context.complete_step("a")
    assert context.restore_checkpoint("loaded") is True
    assert context.completed_steps == 0
    assert context.restore_checkpoint("nothing of the kind") is False
    assert context.plan_restore("nothing of the kind") is None


def test_variables_of_a_step_that_runs_again_come_back(context: ExecutionContext) -> None:
    variables = context.variable_manager
    from orchestrator.execution.variables import VariableScope

    context.start_step("a")
    variables.set_variable("draft", 1, VariableScope.STEP)
    then = context.create_checkpoint()
    variables.set_variable("draft", 2, VariableScope.STEP)
    context.complete_step("a")
    assert not variables.has_variable("draft")
    context.restore_checkpoint(then.id)
    assert variables.get_variable("draft") == 1
    context.complete_step("a")
    assert not variables.has_variable("draft")


# -- in an engine ------------------------------------------------------------------------------------------------------


class Engine:
    """A recorder that keeps a journal, and replays it."""

    def __init__(self) -> None:
        self.journal: list[Entry] = []
        self.context = ExecutionContext("run", "p", recorder=self)

    def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
        for event in events:
            entry = Entry(len(self.journal) + 1, 1_800_000_000.0 + len(self.journal), event)
            self.journal.append(entry)
            context.apply(entry)
        context.deliver()

    def tell(self, *events: Event) -> None:
        self.record(self.context, events)

    def run(self, step: str, value: Any = None, **more: Any) -> None:
        step_key = key(step)
        generation = max(1, self.context.record.step(step_key).generation)
        self.tell(ev.StepStarted(step_key, generation, 1))
        self.tell(ev.StepSucceeded(step_key, generation, 1, Encoded(pack(value)), **more))

    def replayed(self) -> ExecutionContext:
        context = ExecutionContext("run", "p", recorder=self)
        for entry in self.journal:
            context.apply(entry)
        return context


def same(one: ExecutionContext, other: ExecutionContext) -> None:
    assert one.record == other.record
    assert one.metrics == other.metrics
    assert one.running_steps == other.running_steps
    assert one.checkpoints == other.checkpoints
    assert one.variable_manager.export_state() == other.variable_manager.export_state()


@pytest.fixture
def engine() -> Engine:
    engine = Engine()
    engine.tell(
        ev.ExecutionCreated("run", "p", Encoded(pack({})), "f", (("hot", Encoded(pack(25))),), ""),  # type: ignore[arg-type]
    )
    engine.context.start()
    return engine


def test_values_are_bound(engine: Engine) -> None:
    variables = engine.context.variable_manager
    engine.run("load", {"rows": 3}, writes=(("total", Encoded(pack(3))),))
    engine.tell(ev.StepSkipped(key("plot"), 1, "not wanted"))
    engine.tell(ev.StepSkipped(key("mail"), 1, "failed", Encoded(pack("nobody"))))
    engine.run("load/mirror", "not a variable")
    engine.tell(ev.LoopExpanded(key("months"), 1, (Encoded(pack(1)), Encoded(pack(2)))))
    engine.run("months[0]", 10)
    engine.tell(ev.StepSkipped(item_key(key("months"), 1), 1, "empty"))
    engine.tell(ev.StepSucceeded(key("months"), 1, 1, None))
    engine.tell(ev.VariablesChanged((("hot", Encoded(pack(30))),), ("total",), "somebody"))
    assert variables.list_variables() == {
        "hot": 30,
        "load": {"rows": 3},
        "plot": None,
        "mail": "nobody",
        "months": [10, None],
    }
    metadata = variables.get_variable_metadata("load")
    assert metadata is not None
    assert (metadata.var_type, metadata.source_step) == (VariableType.OUTPUT, "load")
    hot = variables.get_variable_metadata("hot")
    assert hot is not None
    assert hot.source_step == "somebody"
    assert engine.context.completed_steps == 2  # the item and the part belong to steps
    same(engine.context, engine.replayed())


def test_a_restore_carries_what_it_changes(engine: Engine) -> None:
    context = engine.context
    engine.run("load", [1], writes=(("total", Encoded(pack(1))), ("kept", Encoded(pack(0)))))
    engine.tell(ev.StepStarted(key("slow"), 1, 1))
    made = context.create_checkpoint("loaded")
    engine.tell(ev.StepSucceeded(key("slow"), 1, 1, Encoded(pack(2)), (("total", Encoded(pack(2))),)))
    engine.run("plot", "p")
    engine.run("plot/extra", 1)
    planned = context.plan_restore(made.id, cause="plot")
    assert planned is not None
    event, _ = planned
    assert event.checkpoint == made.id
    assert set(event.keys) == {"slow", "plot"}  # the part goes with its owner
    assert event.writes == (("total", Encoded(pack(1))),)
    assert set(event.deleted) == {"slow", "plot"}
    assert event.position == int(made.id, 16)
    engine.tell(event)
    assert [status(context, step) for step in ("load", "slow", "plot")] == [S.COMPLETED, S.PENDING, S.PENDING]
    assert context.record.steps[key("slow")].generation == 2
    assert key("plot/extra") not in context.record.steps
    assert context.variable_manager.list_variables() == {"hot": 25, "load": [1], "total": 1, "kept": 0}
    assert context.record.rollbacks == {"plot": 1}
    assert context.running_steps == []
    assert (context.completed_steps, context.total_steps) == (1, 1)
    same(context, engine.replayed())
    engine.run("slow", 3)
    assert context.completed_steps == 2


def test_items_of_a_loop_that_goes_on_begin_anew_one_by_one(engine: Engine) -> None:
    items = tuple(Encoded(pack(i)) for i in range(3))
    engine.tell(ev.LoopExpanded(key("months"), 1, items))
    engine.run("months[0]")
    made = engine.context.create_checkpoint()
    engine.run("months[1]")
    planned = engine.context.plan_restore(made.id)
    assert planned is not None
    assert (planned[0].keys, planned[0].expanded) == ((key("months[1]"),), ())
    engine.run("months[2]")
    engine.tell(ev.StepSucceeded(key("months"), 1, 1, None))
    planned = engine.context.plan_restore(made.id)
    assert planned is not None
    assert set(planned[0].keys) == {"months", "months[1]", "months[2]"}
    assert planned[0].expanded == (key("months"),)
    engine.tell(planned[0])
    loop = engine.context.record.steps[key("months")]
    assert (loop.status, loop.items_done) == (S.RUNNING, 1)
    same(engine.context, engine.replayed())


def test_a_loop_that_was_not_expanded_yet_goes_whole(engine: Engine) -> None:
    made = engine.context.create_checkpoint()
    engine.tell(ev.LoopExpanded(key("months"), 1, (Encoded(pack(0)),)))
    engine.run("months[0]")
    planned = engine.context.plan_restore(made.id)
    assert planned is not None
    assert (planned[0].keys, planned[0].expanded) == ((key("months"),), ())
    engine.tell(planned[0])
    assert status(engine.context, "months[0]") is S.PENDING
    assert engine.context.running_steps == []


def test_a_checkpoint_that_is_not_kept_any_more_is_restored_from_the_event(engine: Engine) -> None:
    made = engine.context.create_checkpoint()
    engine.run("load", [1], writes=(("total", Encoded(pack(1))),))
    planned = engine.context.plan_restore(made.id)
    assert planned is not None
    for _ in range(12):
        engine.context.create_checkpoint()
    engine.tell(planned[0])
    assert engine.context.variable_manager.list_variables() == {"hot": 25}
    assert status(engine.context, "load") is S.PENDING
    same(engine.context, engine.replayed())


def test_a_success_may_name_its_place(engine: Engine) -> None:
    engine.run("load", [1], checkpoint="charted")
    found = engine.context.checkpoints[-1]
    assert (found.description, found.step_id, len(found.id)) == ("charted", "load", 8)
    engine.run("plot")
    assert engine.context.restore_checkpoint("charted") is True
    assert status(engine.context, "plot") is S.PENDING
    assert status(engine.context, "load") is S.COMPLETED
    same(engine.context, engine.replayed())


def test_ids_of_checkpoints_that_are_on_their_way_differ(engine: Engine) -> None:
    one, other = engine.context.new_checkpoint("one"), engine.context.new_checkpoint("other")
    assert one.checkpoint != other.checkpoint
    engine.tell(one, other)
    assert engine.context.create_checkpoint().id not in (one.checkpoint, other.checkpoint)


# -- retention ---------------------------------------------------------------------------------------------------------


def kept(context: ExecutionContext) -> list[str | None]:
    return [found.description for found in context.checkpoints]


def test_retention_keeps_what_is_pinned(context: ExecutionContext) -> None:
    context.max_checkpoints = 2
    context.pinned_checkpoints = frozenset({"loaded", "not made yet"})
    context.create_checkpoint("loaded")
    context.create_checkpoint("loaded")
    by_id = context.create_checkpoint("by id").id
    context.pinned_checkpoints |= {by_id}
    for name in "abc":
        context.create_checkpoint(name)
    assert kept(context) == ["initial", "loaded", "by id", "c"]
    with pytest.raises(InputError):
        context.pinned_checkpoints = "loaded"


def test_only_the_start_makes_the_initial_checkpoint() -> None:
    context = ExecutionContext("run", "p", clock=FakeClock())
    context.max_checkpoints = 2
    context.create_checkpoint("initial")
    context.start()
    first = context.checkpoints[-1]
    assert kept(context) == ["initial", "initial"]
    for name in ("initial", "initial", "a"):
        context.create_checkpoint(name)
    assert kept(context) == ["initial", "a"]
    assert context.checkpoints[0] == first
    loaded = ExecutionContext.from_state(context.export_state())
    loaded.create_checkpoint("b")
    assert (kept(loaded), loaded.checkpoints[0]) == (["initial", "b"], first)


def test_a_lower_retention_drops_at_once(context: ExecutionContext) -> None:
    for name in "abc":
        context.create_checkpoint(name)
    context.max_checkpoints = 2
    assert kept(context) == ["initial", "c"]


def test_a_checkpoint_is_given_though_a_subscriber_has_crowded_it_out(context: ExecutionContext) -> None:
    context.max_checkpoints = 2
    more = iter("abc")

    def crowd(_: Entry) -> None:
        if (name := next(more, None)) is not None:
            context.create_checkpoint(name)

    context.subscribe(crowd)
    made = context.create_checkpoint("mine")
    assert (made.description, "mine" in kept(context)) == ("mine", False)


def test_the_number_of_steps_to_come_is_restored(context: ExecutionContext) -> None:
    context.total_steps = 3
    context.create_checkpoint("three")
    context.total_steps = 8
    again = ExecutionContext.from_state(context.export_state())
    for one in (context, again):
        one.restore_checkpoint("three")
        assert one.total_steps == 3


def test_destroyed_contexts_go_with_the_last_checkpoint_that_knows_them(context: ExecutionContext) -> None:
    context.max_checkpoints = 3
    gone = []
    for i in range(12):
        inner = context.create_nested_context(f"n{i}")
        inner.start()
        context.create_checkpoint(f"with {i}")
        context.destroy_nested_context(f"n{i}")
        context.create_checkpoint(f"without {i}")
        gone.append(weakref.ref(inner))
        del inner
    gc.collect()
    assert [i for i, found in enumerate(gone) if found() is not None] == [11]
    assert len(context.export_state()["nested"]) == 1
    assert context.restore_checkpoint("with 11")
    assert context.nested_contexts["n11"].status is E.RUNNING


def test_a_block_over_variables_may_be_ended_by_a_restore(context: ExecutionContext) -> None:
    with context.variable_scope():
        context.restore_checkpoint("initial")
    with pytest.raises(ValueError, match="its own"), context.variable_scope():
        context.restore_checkpoint("initial")
        raise ValueError("its own")


def test_versions_go_on_after_a_load(context: ExecutionContext) -> None:
    manager = context.variable_manager
    manager.set_variable("n", 1)
    manager.set_variable("n", 2)
    context.create_checkpoint("with n")
    manager.delete_variable("n")
    manager.set_variable("m", 1)
    manager.delete_variable("m")
    loaded = ExecutionContext.from_state(context.export_state())
    loaded.restore_checkpoint("with n")
    loaded.variable_manager.set_variable("m", 2)
    versions = loaded.variable_manager.list_variables(include_metadata=True)
    assert {name: found["metadata"].version for name, found in versions.items()} == {"n": 3, "m": 2}
