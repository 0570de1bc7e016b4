"""What one execution came to, as far as a crash may not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal.events import StepSucceeded
from orchestrator.journal.records import decode_body
from orchestrator.journal.store import Append
from orchestrator.status import StepStatus
from orchestrator.testing.differing import differences
from orchestrator.testing.script import Call


@dataclass(frozen=True)
class Outcome:
    """How an execution ended, with its outputs, its GLOBAL variables, and the effects that it had outside."""

    status: str
    failed: Mapping[str, Any]
    outputs: Mapping[str, Any]
    variables: Mapping[str, Any]
    effects: Any

    def differences(self, got: Outcome) -> list[str]:
        """Where another one differs, one line each."""
        lines = differences(self.status, got.status, "status")
        for place in ("failed", "outputs", "variables", "effects"):
            lines += differences(getattr(self, place), getattr(got, place), place)
        return lines


def outcome_of(app: Orchestrator, result: ExecutionResult, effects: Any) -> Outcome:
    """What became of an execution that has ended."""
    record = app.show(result.execution_id)
    error = result.error or {}
    return Outcome(
        str(result.status),
        {"step": result.failed_step, "type": error.get("type")} if result.error else {},
        dict(result.outputs),
        {name: app.value(value) for name, (value, _) in record.variables.items()},
        effects,
    )


def effects_of(calls: list[Call], effects: Callable[[], Any] | None) -> Any:
    """What a test sees of the world; without that, which steps called out, each under its idempotency key.

    Where a rollback has set steps back, which of them began anew depends on what had ended by then: so only who called
    is compared.
    """
    if effects is not None:
        return effects()
    if any(call.generation > 1 for call in calls):
        return dict.fromkeys(sorted({call.key for call in calls}), "called")
    return {call.key: call.idempotency_key for call in sorted(calls, key=lambda call: call.key)}


def recorded_successes(app: Orchestrator, acknowledged: Iterable[Append]) -> set[str]:
    """The idempotency keys of the steps whose success is in the journals, or in what was said to be."""
    recorded = {
        f"{found.execution_id}/{step.key}/{step.generation}"
        for found in app.list()
        for step in app.show(found.execution_id).steps.values()
        if step.status is StepStatus.COMPLETED
    }
    return recorded | {
        f"{append.lease.execution_id}/{event.key}/{event.generation}"
        for append in acknowledged
        for _, event in decode_body(append.body)
        if isinstance(event, StepSucceeded)
    }
