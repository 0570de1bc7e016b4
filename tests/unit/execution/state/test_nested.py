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
