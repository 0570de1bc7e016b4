"""What happens to a parent happens to the contexts nested in it, as far as it concerns them."""

from __future__ import annotations

from orchestrator.execution.state import ExecutionContext
from orchestrator.status import ExecutionStatus


def test_a_resumed_parent_leaves_paused_what_was_paused_by_itself() -> None:
    parent = ExecutionContext("e", "p")
    parent.start()
    alone, along = parent.create_nested_context("alone"), parent.create_nested_context("along")
    alone.start()
    along.start()
    assert alone.pause_execution()
    parent.pause_execution()
    parent.resume_execution()
    assert (alone.status, along.status) == (ExecutionStatus.PAUSED, ExecutionStatus.RUNNING)


def test_a_restore_brings_a_nested_context_to_where_it_stood_at_that_very_checkpoint() -> None:
    parent = ExecutionContext("e", "p")
    parent.start()
    child = parent.create_nested_context("child")
    child.start()
    points = []
    for value in (1, 2, 3):
        child.variable_manager.set_variable("x", value)
        child.start_step(f"s{value}")
        points.append(parent.create_checkpoint().id)
    child.variable_manager.set_variable("x", 4)
    for point, value in ((points[1], 2), (points[0], 1), (points[2], 3), (points[1], 2)):
        assert parent.restore_checkpoint(point)
        assert child.variable_manager.get_variable("x") == value
        assert child.running_steps == [f"s{n}" for n in range(1, value + 1)]
