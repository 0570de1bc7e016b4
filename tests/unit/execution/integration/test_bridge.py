"""A bridge keeps a context and a state in step: what each verb and each write on one side means on the other."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from orchestrator.errors import IllegalMoveError, InputError
from orchestrator.execution.integration import ExecutionStateBridge
from orchestrator.execution.state import ExecutionContext, LoopContext, PipelineExecutionState
from orchestrator.execution.variables import VariableManager, VariableScope, VariableType
from orchestrator.journal.events import ExecutionRestored
from orchestrator.types import StepKey


@pytest.fixture
def context() -> ExecutionContext:
    return ExecutionContext("run-1", "report")


@pytest.fixture
def manager(context: ExecutionContext) -> VariableManager:
    return context.variable_manager


@pytest.fixture
def state() -> PipelineExecutionState:
    return PipelineExecutionState("report")


@pytest.fixture
def bridge(context: ExecutionContext, state: PipelineExecutionState) -> ExecutionStateBridge:
    return ExecutionStateBridge(context, state)


def held(state: PipelineExecutionState) -> dict[str, Any]:
    return {kind: dict(items) for kind, items in state.global_context.items() if items}


def tasks(state: PipelineExecutionState) -> tuple[set[str], set[str], dict[str, str]]:
    return state.pending_tasks, state.executed_tasks, state.failed_tasks


# -- variables ---------------------------------------------------------------------------------------------------------


def test_a_variable_goes_from_the_context_to_the_state(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    manager.set_variable("rows", [1])
    manager.set_variable("rows", None)
    assert held(state) == {"variables": {"rows": None}}
    manager.delete_variable("rows")
    assert held(state) == {}


def test_a_variable_goes_from_the_state_to_the_context(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    state.register_variable("rows", [1])
    state.global_context.variables.update(rows=None, limit=3)
    assert manager.list_variables() == {"rows": None, "limit": 3}
    del state.global_context.variables["rows"]
    assert manager.list_variables() == {"limit": 3}


def test_what_is_carried_over_comes_back_to_nobody(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    told: list[tuple[str, str, Any]] = []
    state.on_change(lambda *change: told.append(change))
    manager.set_variable("here", [1])
    state.register_variable("there", [2])
    state.register_variable("there", float("nan"))
    assert [name for _, name, _ in told] == ["here", "there", "there"]
    versions = {name: manager.get_variable_metadata(name) for name in ("here", "there")}
    assert {name: known and known.version for name, known in versions.items()} == {"here": 1, "there": 2}


def test_what_is_known_of_a_variable_stays(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    bridge.register_variable("limit", 3, var_type=VariableType.CONFIGURATION, source_step="plan")
    state.register_variable("limit", 4)
    known = manager.get_variable_metadata("limit")
    assert known is not None
    assert (known.var_type, known.version) == (VariableType.CONFIGURATION, 2)


def test_an_output_of_the_step_of_its_name_is_a_result(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    bridge.register_variable("load", 1, VariableType.OUTPUT, "load")
    bridge.register_variable("rows", 2, VariableType.OUTPUT, "load")
    assert held(state) == {"results": {"load": 1}, "variables": {"rows": 2}}
    assert state.executed_tasks == {"load"}


def test_a_result_goes_from_the_state_to_the_context(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    state.register_result("load", {"rows": 3})
    known = manager.get_variable_metadata("load")
    assert known is not None
    assert (known.var_type, known.source_step) == (VariableType.OUTPUT, "load")
    assert manager.resolve_template("${load.rows}") == 3


def test_a_template_is_one_on_both_sides(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    manager.set_template("greeting", "Hello ${name}")
    state.register_template("farewell", "Bye ${name}")
    state.register_variable("name", "Ada")
    assert held(state)["templates"] == {"greeting": "Hello ${name}", "farewell": "Bye ${name}"}
    assert bridge.get_variable("farewell") == "Bye Ada"
    assert bridge.get_variable("greeting") == "Hello Ada"


@pytest.mark.parametrize("side", ["manager", "state"])
def test_a_name_is_one_thing(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState, side: str
) -> None:
    def result(value: int) -> None:
        if side == "manager":
            manager.set_variable("load", value, var_type=VariableType.OUTPUT, source_step="load")
        else:
            state.register_result("load", value)

    state.register_variable("load", 1)
    result(2)
    assert held(state) == {"results": {"load": 2}}
    state.register_variable("load", 3)
    assert held(state) == {"variables": {"load": 3}}
    known = manager.get_variable_metadata("load")
    assert known is not None
    assert (known.var_type, known.source_step) == (VariableType.INTERMEDIATE, None)
    state.register_template("load", "${other}")
    assert held(state) == {"templates": {"load": "${other}"}}
    assert manager.export_state()["variable_templates"] == {"load": "${other}"}


def test_variables_that_are_not_global_stay_where_they_are(
    bridge: ExecutionStateBridge, context: ExecutionContext, manager: VariableManager, state: PipelineExecutionState
) -> None:
    state.register_variable("rows", "global")
    context.start_step("load")
    manager.set_variable("rows", "the step's", VariableScope.STEP)
    with context.variable_scope() as scope:
        scope.set_variable("rows", "the scope's")
    nested = context.create_nested_context("child")
    nested.variable_manager.set_variable("rows", "the child's")
    assert held(state) == {"variables": {"rows": "global"}}
    del state.global_context.variables["rows"]
    assert manager.get_variable("rows") == "the step's"
    assert manager.list_variables() == {}


def test_a_childs_bridge_leaves_the_parents_variables_alone(context: ExecutionContext) -> None:
    context.variable_manager.set_variable("rows", 1)
    bridge = ExecutionStateBridge(context.create_nested_context("child"))
    assert held(bridge.pipeline_state) == {}
    bridge.pipeline_state.register_variable("rows", 2)
    assert context.variable_manager.get_variable("rows") == 1
    assert bridge.get_variable("rows") == 2


def test_what_cannot_be_carried_is_counted_and_stops_nothing(
    bridge: ExecutionStateBridge,
    manager: VariableManager,
    state: PipelineExecutionState,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        state.register_variable("no ${name}", 1)
        state.register_template("circle", "${circle}")
    state.register_variable("rows", 2)
    assert bridge.refused == 2
    assert caplog.text.count("bridge_refused") == 2
    assert "'no ${name}' is not the same on both sides" in caplog.text
    assert manager.list_variables() == {"rows": 2}


def test_reading_reaches_the_states_loops_too(bridge: ExecutionStateBridge, state: PipelineExecutionState) -> None:
    bridge.register_variable("month", None)
    state.push_loop_context("months", LoopContext("months", iteration=1, item="May"))
    assert bridge.get_variable("item") == "May"
    assert bridge.has_variable("item")
    assert bridge.has_variable("month")
    assert bridge.get_variable("month", "unset") is None
    assert not bridge.has_variable("year")
    assert bridge.get_variable("year", 2024) == 2024
    with pytest.raises(InputError):
        bridge.register_variable("", 1)


# -- a state that was filled before ------------------------------------------------------------------------------------


def test_each_side_is_given_what_only_the_other_has(context: ExecutionContext, state: PipelineExecutionState) -> None:
    context.variable_manager.set_variable("here", 1)
    context.variable_manager.set_template("shown", "${here}")
    context.variable_manager.set_variable("both", "the context's")
    context.variable_manager.set_variable("deleted", 0)
    context.variable_manager.delete_variable("deleted")
    state.register_variable("there", 2)
    state.register_result("load", 3)
    state.register_variable("both", "the state's")
    bridge = ExecutionStateBridge(context, state)
    assert context.variable_manager.list_variables() == {
        "here": 1,
        "shown": 1,
        "both": "the context's",
        "there": 2,
        "load": 3,
    }
    assert held(state) == {
        "variables": {"here": 1, "there": 2, "both": "the state's"},
        "results": {"load": 3},
        "templates": {"shown": "${here}"},
    }
    state.register_variable("deleted", "again")
    assert bridge.get_variable("deleted") == "again"
    state.register_variable("both", "later")
    assert bridge.get_variable("both") == "later"


def test_sync_copies_one_way(context: ExecutionContext, state: PipelineExecutionState) -> None:
    context.variable_manager.set_variable("both", [1])
    context.start_step("load")
    context.skip_step("chart")
    state.register_variable("both", [2])
    state.register_result("plan", "done")
    state.mark_task_failed("fetch", "offline")
    bridge = ExecutionStateBridge(context, state)
    bridge.sync_to_pipeline_state()
    assert state.global_context.variables["both"] == [1]
    assert tasks(state) == ({"load"}, {"plan", "chart"}, {"fetch": "offline"})
    assert (context.completed_steps, context.failed_steps) == (0, 0)

    state.global_context.variables["both"].append(3)
    bridge.sync_from_pipeline_state()
    assert context.variable_manager.get_variable("both") == [1, 3]
    assert (context.completed_steps, context.failed_steps, context.running_steps) == (1, 1, ["load"])
    bridge.sync_from_pipeline_state()
    assert (context.completed_steps, context.failed_steps, context.metrics.steps_skipped) == (1, 1, 1)


def test_a_former_state_is_let_go(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.register_variable("rows", 1)
    bridge.start_step("load")
    newer = PipelineExecutionState()
    newer.register_variable("limit", 2)
    bridge.set_pipeline_state(newer)
    assert bridge.pipeline_state is bridge.pipeline_execution_state is newer
    bridge.complete_step("load")
    state.register_variable("rows", "stale")
    assert held(newer) == {"variables": {"rows": 1, "limit": 2}}
    assert held(state) == {"variables": {"rows": "stale"}}
    assert tasks(newer) == (set(), {"load"}, {})
    assert tasks(state) == ({"load"}, set(), {})


def test_without_a_state_it_makes_one(context: ExecutionContext) -> None:
    bridge = ExecutionStateBridge(context)
    bridge.register_variable("rows", 1)
    assert bridge.pipeline_state.pipeline_id == "report"
    assert bridge.pipeline_state.get_available_context() == {"rows": 1}


def test_an_engines_account_is_read_and_never_written(context: ExecutionContext) -> None:
    account = {
        "pipeline_id": "weather",
        "execution_id": "run-0",
        "current_step": "chart",
        "variables": {"hot": 25},
        "step_outputs": {"load": {"rows": 3}},
        "completed_steps": ["load", "tidy"],
        "failed_steps": ["fetch", "post"],
        "errors": {"fetch": {"message": "offline", "category": "network"}},
    }
    before = json.dumps(account)
    bridge = ExecutionStateBridge(context, account)
    assert bridge.get_variable("load") == {"rows": 3}
    assert bridge.get_variable("hot") == 25
    assert bridge.pipeline_state.pipeline_id == "weather"
    assert tasks(bridge.pipeline_state) == ({"chart"}, {"load", "tidy"}, {"fetch": "offline", "post": "failed"})
    bridge.register_variable("hot", 30)
    assert json.dumps(account) == before


@pytest.mark.parametrize("wrong", [3, "state", {"variables": []}, {"completed_steps": "load"}, {"errors": ["offline"]}])
def test_what_is_no_state_changes_nothing(
    bridge: ExecutionStateBridge, state: PipelineExecutionState, wrong: Any
) -> None:
    with pytest.raises(InputError):
        bridge.set_pipeline_state(wrong)
    bridge.register_variable("rows", 1)
    assert bridge.pipeline_state is state
    assert held(state) == {"variables": {"rows": 1}}


def test_after_close_nothing_is_carried(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.close()
    bridge.close()
    bridge.register_variable("rows", 1)
    bridge.start_step("load")
    state.register_variable("limit", 2)
    bridge.sync_to_pipeline_state()
    assert held(state) == {"variables": {"limit": 2}}
    assert context.variable_manager.list_variables() == {"rows": 1}


# -- steps -------------------------------------------------------------------------------------------------------------


def test_the_verbs_of_steps_move_the_task(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.start_step("load")
    assert tasks(state) == ({"load"}, set(), {})
    assert context.running_steps == ["load"]
    bridge.fail_step("load", "offline")
    assert tasks(state) == (set(), set(), {"load": "offline"})
    assert context.failed_steps == 1
    bridge.start_step("load")
    assert tasks(state) == ({"load"}, set(), {})
    bridge.complete_step("load")
    assert tasks(state) == (set(), {"load"}, {})
    assert (context.completed_steps, context.failed_steps, context.running_steps) == (1, 0, [])


def test_a_steps_result_completes_it(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.start_step("load")
    bridge.register_step_result("load", None)
    assert context.record.steps[StepKey("load")].attempt == 1
    bridge.complete_step("load")
    bridge.register_step_result("load", {"rows": 3})
    assert held(state) == {"results": {"load": {"rows": 3}}}
    assert tasks(state) == (set(), {"load"}, {})
    assert context.completed_steps == 1
    bridge.fail_step("post", ValueError("no address"))
    assert "no address" in state.failed_tasks["post"]
    bridge.register_step_result("post", "sent")
    assert tasks(state) == (set(), {"load", "post"}, {})
    assert (context.completed_steps, context.failed_steps) == (2, 0)


def test_a_step_ends_one_way(bridge: ExecutionStateBridge, context: ExecutionContext) -> None:
    bridge.complete_step("load")
    with pytest.raises(IllegalMoveError):
        bridge.fail_step("load", "too late")
    bridge.complete_step("fetch", success=False)
    bridge.fail_step("fetch", "offline")
    assert (context.completed_steps, context.failed_steps) == (1, 1)


def test_tasks_follow_the_contexts_own_verbs(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    state.executed_tasks.add("by hand")
    context.start()
    context.start_step("load")
    context.complete_step("load")
    checkpoint = context.create_checkpoint()
    context.skip_step("chart")
    context.complete_step("post/mirror")
    context.start_step("post")
    context.complete_step("fetch", success=False, error="offline")
    assert tasks(state) == ({"post"}, {"load", "chart", "post/mirror", "by hand"}, {"fetch": "offline"})
    assert held(state) == {"results": {"chart": None}}
    assert context.restore_checkpoint(checkpoint.id)
    assert tasks(state) == (set(), {"load", "by hand"}, {})
    assert held(state) == {}
    context.start_step("post")
    context.cancel_execution()
    assert tasks(state) == (set(), {"load", "by hand"}, {})


def test_a_restore_may_leave_nothing_of_a_step(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    for step_id in ("months", "months[0]", "months[1]"):
        bridge.complete_step(step_id)
    context.record_events([ExecutionRestored("before", 1, (StepKey("months"),))])
    assert list(context.record.steps) == ["months"]
    assert tasks(state) == (set(), set(), {})


def test_a_result_that_a_restore_brings_back_is_a_result(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    context.start()
    bridge.register_step_result("load", 1)
    bridge.register_variable("rows", 2)
    checkpoint = context.create_checkpoint()
    state.global_context.results["load"] = 3
    del state.global_context.variables["rows"]
    for _ in range(2):
        assert context.restore_checkpoint(checkpoint.id)
        assert held(state) == {"results": {"load": 1}, "variables": {"rows": 2}}
        bridge.register_step_result("load", 4)


def test_it_goes_on_after_the_context_has_given_up_its_histories(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.register_variable("rows", 1)
    del state.global_context.variables["rows"]
    bridge.register_variable("limit", 1)
    context.cleanup()
    state.global_context.variables.update(rows=2, limit=2)
    assert context.variable_manager.list_variables() == {"limit": 2, "rows": 2}
    context.variable_manager.delete_variable("rows")
    assert held(state) == {"variables": {"limit": 2}}


# -- out ---------------------------------------------------------------------------------------------------------------


def test_the_combined_state_holds_both_exports(
    bridge: ExecutionStateBridge, context: ExecutionContext, state: PipelineExecutionState
) -> None:
    bridge.register_step_result("load", {"rows": 3})
    exported = bridge.export_combined_state()
    assert exported["pipeline_state"] == state.export_state()
    assert exported["execution_context"].keys() == context.export_state().keys()
    state.global_context.results["load"] = None
    again = ExecutionStateBridge(ExecutionContext.from_state(exported["execution_context"]))
    assert again.get_variable("load") == {"rows": 3}
    assert tasks(again.pipeline_state) == (set(), {"load"}, {})
    other = PipelineExecutionState()
    other.import_state(exported["pipeline_state"])
    assert held(other) == held(again.pipeline_state)


def test_an_import_is_carried_over(
    bridge: ExecutionStateBridge, manager: VariableManager, state: PipelineExecutionState
) -> None:
    bridge.register_variable("rows", 1)
    empty, filled = PipelineExecutionState().export_state(), state.export_state()
    state.import_state(empty)
    assert manager.list_variables() == {}
    state.import_state(filled)
    assert manager.list_variables() == {"rows": 1}
    manager.import_state(VariableManager().export_state())
    assert held(state) == {}


def test_a_plain_dict_is_no_state() -> None:
    with pytest.raises(InputError, match=r"global_context\.variables"):
        ExecutionStateBridge(ExecutionContext("e", "p"), {"shops": ["n"], "rate": 1.2})  # type: ignore[arg-type]
