"""One execution's state as other graph engines take it: a typed mapping, derived from the journal's fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict

from orchestrator.clock import utc
from orchestrator.execution.state.outputs import output_as
from orchestrator.execution.variables import LiveCell
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import ErrorData
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


class ExecutionState(TypedDict):
    """Where one execution stands. Times are timezone-aware UTC; a step stands for what is inside of it."""

    pipeline_id: str
    execution_id: str
    #: The step that was started most recently and still runs.
    current_step: str | None
    variables: dict[str, Any]
    step_outputs: dict[str, Any]
    completed_steps: list[str]
    failed_steps: list[str]
    step_start_times: dict[str, datetime]
    step_end_times: dict[str, datetime]
    #: Step -> why it failed (see `failure.ErrorInfo.to_dict`).
    errors: dict[str, ErrorData]
    #: Step -> how often it was tried again; those that were are named only.
    retry_counts: dict[str, int]
    started_at: datetime | None
    last_updated: datetime
    metadata: dict[str, Any]


def execution_state(record: ExecutionRecord, decode: Callable[[Encoded], Any]) -> ExecutionState:
    """The state of an execution; `decode` gives the value of a recorded form."""
    steps = {str(key): s for key, s in record.steps.items() if record.is_top(key)}
    running = [(s.started_at or 0.0, key) for key, s in steps.items() if s.status is StepStatus.RUNNING]
    outputs = {key: _output(record, s.key, decode) for key, s in steps.items() if s.status is StepStatus.COMPLETED}
    skipped = {key: s.output and decode(s.output) for key, s in steps.items() if s.status is StepStatus.SKIPPED}
    values = {name: value for name, (value, _) in record.variables.items()}
    return ExecutionState(
        pipeline_id=record.pipeline_id,
        execution_id=record.execution_id,
        current_step=max(running)[1] if running else None,
        variables={**_decoded(record.inputs, decode), **outputs, **skipped, **_decoded(values, decode)},
        step_outputs={**outputs, **skipped},
        completed_steps=[key for key, s in steps.items() if s.status is StepStatus.COMPLETED],
        failed_steps=[key for key, s in steps.items() if s.status is StepStatus.FAILED],
        step_start_times={key: utc(s.started_at) for key, s in steps.items() if s.started_at is not None},
        step_end_times={key: utc(s.ended_at) for key, s in steps.items() if s.ended_at is not None},
        errors={key: s.error for key, s in steps.items() if s.status is StepStatus.FAILED and s.error is not None},
        retry_counts={key: s.attempt - 1 for key, s in steps.items() if s.attempt > 1},
        started_at=utc(record.created_at) if record.created_at else None,
        last_updated=utc(record.updated_at),
        metadata={
            "status": str(record.status),
            "steps_total": record.steps_total,
            "owner": record.owner,
            "pause_reason": record.pause_reason,
            "rollbacks": dict(record.rollbacks),
        },
    )


def _output(record: ExecutionRecord, key: StepKey, decode: Callable[[Encoded], Any]) -> Any:
    found = output_as(record, key, lambda value: LiveCell(decode(value)))
    return None if found is None else found.read()


def _decoded(values: Mapping[str, Encoded], decode: Callable[[Encoded], Any]) -> dict[str, Any]:
    return {name: decode(value) for name, value in values.items()}
