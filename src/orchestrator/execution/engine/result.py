"""How an execution ended, or stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ExecutionFailedError, ExecutionWaitsError, InterruptedExecution
from orchestrator.status import ExecutionStatus
from orchestrator.types import ExecutionId, StepKey


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended, or stands. `error` is that of `failed_step`, as failure.ErrorInfo.to_dict gives it.

    `waiting` are the steps that wait for a person, each with what the person is to do.
    """

    execution_id: ExecutionId
    status: ExecutionStatus
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None = None
    failed_step: StepKey | None = None
    waiting: Mapping[StepKey, str] = field(default_factory=dict)

    def raise_for_status(self) -> ExecutionResult:
        """Self where it completed; raises ExecutionFailedError, ExecutionWaitsError or InterruptedExecution else."""
        if self.status is ExecutionStatus.COMPLETED:
            return self
        if self.status is ExecutionStatus.PAUSED and self.waiting:
            raise ExecutionWaitsError(self.execution_id, self.waiting)
        if self.status is ExecutionStatus.PAUSED:
            raise InterruptedExecution(self.execution_id)
        why = (self.error or {}).get("message", self.status)
        what = f"step {self.failed_step!r} failed" if self.failed_step else "the execution failed"
        text = f"{what}: {why}; try again with `orchestrator retry {self.execution_id}`"
        raise ExecutionFailedError(self.execution_id, text, self.failed_step, self.error)
