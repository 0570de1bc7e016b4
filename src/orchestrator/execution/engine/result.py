"""How an execution ended, or stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ExecutionFailedError, ExecutionWaitsError, InterruptedExecution
from orchestrator.execution.flow import rebuilt
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended, or stands. `error` is that of `failed_step`, as failure.ErrorInfo.to_dict gives it.

    `waiting` are the steps that wait for a person, each with what the person is to do, and `choices` the words that
    answer each. `reason` says why it is paused or was cancelled. One that `waits` goes on by itself where a scheduler
    runs: when a message comes, or at the time `until` (seconds since the epoch; None: when a message comes alone).
    """

    execution_id: ExecutionId
    status: ExecutionStatus
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None = None
    failed_step: StepKey | None = None
    waiting: Mapping[StepKey, str] = field(default_factory=dict)
    choices: Mapping[StepKey, Sequence[str]] = field(default_factory=dict)
    reason: str = ""
    waits: bool = False
    until: float | None = None

    @property
    def result(self) -> Any:
        """What a durable function returned; None of a pipeline that has no output `result`."""
        return self.outputs.get("result")

    def raise_for_status(self) -> ExecutionResult:
        """Self where it completed; raises ExecutionFailedError, ExecutionWaitsError or InterruptedExecution else."""
        if self.status is ExecutionStatus.COMPLETED:
            return self
        if self.status is ExecutionStatus.PAUSED and (self.waiting or self.waits):
            raise ExecutionWaitsError(self.execution_id, self.waiting, self.choices, self.reason)
        if self.status in UNFINISHED:
            raise InterruptedExecution(self.execution_id)
        if self.status is ExecutionStatus.CANCELLED:
            why = f": {self.reason}" if self.reason else ""
            raise ExecutionFailedError(self.execution_id, f"execution {self.execution_id} was cancelled{why}")
        why = (self.error or {}).get("message", self.status)
        what = f"step {self.failed_step!r} failed" if self.failed_step else "the execution failed"
        what = str(why) if str(why).startswith(what) else f"{what}: {why}"
        text = f"{what}; try again with `orchestrator retry {self.execution_id}`"
        error = ExecutionFailedError(self.execution_id, text, self.failed_step, self.error)
        if self.error is not None and "raised" in self.error:
            raise error from rebuilt(self.error, self.failed_step or StepKey(""))
        raise error
