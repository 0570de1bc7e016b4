"""A context that has some of everything, for the tests that save one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableScope
from orchestrator.testing.clock import FakeClock


def rich(execution_id: str = "run") -> ExecutionContext:
    """Steps in every state, variables of many types, checkpoints, nested contexts, one of them destroyed."""
    context = ExecutionContext(execution_id, "weather", clock=FakeClock())
    variables = context.variable_manager
    with_inner = context.create_nested_context("inner")
    lost = context.create_nested_context("lost")
    context.start()
    variables.set_variable("when", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), tags={"a"}, description="a time")
    variables.set_variable("parts", {"set": {1, 2}, "tuple": (1, "é"), "price": Decimal("1.10"), 3: b"\x00"})
    variables.set_template("greeting", "on ${when}")
    variables.add_dependency("parts", {"when"})
    variables.set_variable("client", object(), VariableScope.TEMPORARY)
    context.total_steps = 9
    context.complete_step("load")
    context.complete_step("plot", success=False, error=ValueError("no rows"))
    context.skip_step("mail", "nobody")
    with_inner.start()
    with_inner.variable_manager.set_variable("n", 1)
    context.start_step("slow")
    variables.set_variable("draft", 1, VariableScope.STEP)
    context.create_checkpoint("charted")
    variables.set_variable("draft", 2, VariableScope.STEP)
    variables.set_variable("parts", [None, float("inf")])
    variables.delete_variable("when")
    with_inner.variable_manager.set_variable("n", 2)
    with_inner.complete_step("deep")
    lost.start()
    context.destroy_nested_context("lost")
    context.retry_step("slow", "busy", 3)
    context.start_step("slow")
    context.start_step("plot")
    return context


def plain(context: ExecutionContext) -> Any:
    """What there is to compare."""
    return context.export_state()
