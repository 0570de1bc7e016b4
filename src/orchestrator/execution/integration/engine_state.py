"""The engine's account of an execution, read into a state object of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.errors import InputError
from orchestrator.execution.state import ExecutionState, PipelineExecutionState


def state_of(account: Mapping[str, Any]) -> PipelineExecutionState:
    """A state with the variables, outputs and steps of an engine's ExecutionState; parts that are missing are empty.

    The account is derived from a journal: it is read once, and never written to. Raises InputError for a part of the
    wrong kind.
    """
    if unknown := sorted(map(str, account.keys() - ExecutionState.__annotations__.keys())):
        raise InputError(
            f"a bridge takes a PipelineExecutionState, or the ExecutionState of an engine, which has no {unknown[0]!r}"
            "; put a dict of your own into `PipelineExecutionState().global_context.variables`"
        )
    state = PipelineExecutionState(str(account.get("pipeline_id") or "default"))
    for name, value in _names(account, "variables").items():
        state.register_variable(name, value)
    for step_id, output in _names(account, "step_outputs").items():
        state.register_result(step_id, output)
    for step_id in _ids(account, "completed_steps"):
        state.mark_task_executed(step_id)
    errors = _names(account, "errors")
    for step_id in (*_ids(account, "failed_steps"), *errors):
        state.mark_task_failed(step_id, _message(errors.get(step_id)))
    current = account.get("current_step")
    if current is not None and current not in state.executed_tasks and current not in state.failed_tasks:
        state.mark_task_pending(current)
    return state


def _names(account: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = account.get(part)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InputError(f"an ExecutionState's {part} is a mapping by name, not a {type(found).__name__}")
    return found


def _ids(account: Mapping[str, Any], part: str) -> list[str]:
    found = account.get(part)
    if found is None:
        return []
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise InputError(f"an ExecutionState's {part} are ids of steps, not a {type(found).__name__}")
    return list(found)


def _message(error: Any) -> str:
    """An error's sentence, from the error as data (`failure.ErrorInfo.to_dict`) or from a text."""
    said = error.get("message") if isinstance(error, Mapping) else error
    return "failed" if said is None else str(said)
