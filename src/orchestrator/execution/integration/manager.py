"""One object for a program that runs its own steps: the parts of an execution, sharing one context.

Every verb goes to the part that it belongs to, and what that part records reaches the others by the context's entries:
a step that is completed becomes progress, becomes a checkpoint, becomes a saved state, each told once. Nothing is kept
here but which steps are important.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import wraps
from types import TracebackType
from typing import Any, Self

from orchestrator.errors import IllegalMoveError, InputError
from orchestrator.execution.progress import ProgressTracker
from orchestrator.execution.recovery import (
    ErrorCategory,
    RecoveryManager,
    RecoveryPlan,
    RecoveryStrategy,
    StepExecutor,
    call,
    critical_error_handler,
    fits,
    network_error_handler,
    timeout_error_handler,
)
from orchestrator.execution.state import Checkpoint, ExecutionContext
from orchestrator.execution.variables import VariableManager, VariableType


class ComprehensiveExecutionManager:
    """Runs one execution by hand: steps, variables, progress, recovery, checkpoints. Thread-safe.

    The parts that are not given are made. It checkpoints at the start, every five completed steps, after each step that
    is marked important, and at the end. As a `with` block it shuts down at the end; it neither starts nor completes the
    execution. Raises InputError where the given parts belong to different executions.
    """

    def __init__(
        self,
        execution_id: str,
        pipeline_id: str,
        execution_context: ExecutionContext | None = None,
        variable_manager: VariableManager | None = None,
        progress_tracker: ProgressTracker | None = None,
        recovery_manager: RecoveryManager | None = None,
    ) -> None:
        self.execution_id, self.pipeline_id = execution_id, pipeline_id
        self.execution_context = _context(execution_id, pipeline_id, execution_context, variable_manager)
        self.variable_manager = self.execution_context.variable_manager
        self.progress_tracker = _tracker(self.execution_context, progress_tracker)
        self.recovery_manager = _recovery(self.execution_context, self.progress_tracker, recovery_manager)
        self._important: set[str] = set()

    # -- the execution -----------------------------------------------------------------------------------------------

    def start_execution(self, total_steps: int = 1) -> None:
        """Begin, or begin again what failed. Raises IllegalMoveError where it runs or has ended otherwise.

        One that was loaded from a file in the middle runs already: go on with its next step.
        """
        context, before = self.execution_context, self.execution_context.total_steps
        context.total_steps = total_steps
        try:
            context.start_execution()
        except IllegalMoveError:
            context.total_steps = before
            raise

    def complete_execution(self, success: bool = True) -> None:
        """End, well or not. Raises IllegalMoveError where it does not run."""
        self.execution_context.complete_execution(success)
        self.execution_context.create_checkpoint("end")

    # -- steps -------------------------------------------------------------------------------------------------------

    def start_step(self, id: str, name: str | None = None, important: bool = False) -> None:
        """Begin a step; after one that is `important` a checkpoint is made. Many may run at once."""
        if important:
            self._important.add(id)
        self.execution_context.start_step(id, name or "")

    def complete_step(
        self,
        id: str,
        success: bool = True,
        error: BaseException | str | None = None,
        progress_percentage: float = 100.0,
    ) -> None:
        """End a step, well or not; one that was not started starts first."""
        before = self._newest_checkpoint()
        if progress_percentage == 100.0:
            self.execution_context.complete_step(id, success, error)
        else:  # the tracker keeps the percentage and has the context complete the step
            message = None if error is None else str(error)
            self.progress_tracker.complete_step(self.execution_id, id, success, message, progress_percentage)
        if success and id in self._important and self._newest_checkpoint() == before:
            self.execution_context.create_checkpoint(f"after {id}")

    def update_step_progress(self, id: str, percentage: float, message: str | None = None) -> None:
        """Say how far a step is, from 0 to 100; the variable `progress.{id}.percentage` says so too."""
        self.progress_tracker.update_step_progress(self.execution_id, id, percentage, message)
        name, value = f"progress.{id}.percentage", min(100.0, max(0.0, float(percentage)))
        self.variable_manager.set_variable(name, value, var_type=VariableType.SYSTEM, source_step=id)

    def handle_step_error(
        self, id: str, name: str | None, error: BaseException, context: Mapping[str, Any] | None = None
    ) -> RecoveryPlan:
        """Record an error of a step, and choose what follows."""
        return self.recovery_manager.handle_error(error, id, name, context)

    async def execute_step_with_recovery(self, id: str, name: str | None, step_executor: StepExecutor) -> bool:
        """Run a step, and recover it where it fails; whether it went well.

        Its value is then the variable of the step's id. An async executor runs on this loop, any other in a thread.
        A cancellation goes through, and the step is recorded as failed.
        """
        self.start_step(id, name)
        try:
            value = await call(step_executor, *(() if fits(step_executor) else (id,)))
        except Exception as exc:  # noqa: BLE001 - recorded by `handle_error`
            return await self._recover(id, name, step_executor, exc)
        except BaseException as error:
            self.complete_step(id, False, "cancelled" if isinstance(error, asyncio.CancelledError) else error)
            raise
        self._succeed(id, value)
        return True

    async def _recover(self, id: str, name: str | None, executor: StepExecutor, exc: Exception) -> bool:
        plan = self.handle_step_error(id, name, exc)
        try:
            recovered = await self.recovery_manager.execute_recovery(id, plan, self._again(id, executor))
        except BaseException as error:  # a cancellation, or a plan that this executor cannot perform
            self.complete_step(id, False, "cancelled" if isinstance(error, asyncio.CancelledError) else error)
            raise
        if not recovered:
            self.complete_step(id, False, self._last_error(id) or exc)
        elif plan.strategy is RecoveryStrategy.SKIP:
            last = self._last_error(id)
            self.execution_context.skip_step(id, f"skipped after {last.message if last else type(exc).__name__}")
            self._keep(id, self.recovery_manager.get_recovery_value(id))
        else:
            self._succeed(id, self.recovery_manager.get_recovery_value(id))
        return recovered

    def _again(self, id: str, executor: StepExecutor) -> StepExecutor:
        """The executor as recovery calls it: each time is one attempt more of the step."""

        @wraps(executor)
        async def attempt(*arguments: Any) -> Any:
            context = self.execution_context
            if id in context.running_steps:  # not set back by a rollback
                context.retry_step(id, self._last_error(id))
            context.start_step(id)
            return await call(executor, *arguments)

        return attempt

    def _last_error(self, id: str) -> Any:
        return next(reversed(self.recovery_manager.get_error_history(id, limit=1)), None)

    def _succeed(self, id: str, value: Any) -> None:
        self._keep(id, value)
        self.complete_step(id)

    def _keep(self, id: str, value: Any) -> None:
        self.variable_manager.set_variable(id, value, var_type=VariableType.OUTPUT, source_step=id)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def create_checkpoint(self, description: str | None = None) -> Checkpoint:
        """Note how everything stands, to come back to it."""
        return self.execution_context.create_checkpoint(description)

    def restore_checkpoint(self, id: str) -> bool:
        """Bring variables, steps and progress back to a checkpoint; False where it is unknown. Budgets stay spent."""
        return self.execution_context.restore_checkpoint(id)

    def _newest_checkpoint(self) -> str | None:
        checkpoints = self.execution_context.checkpoints
        return checkpoints[-1].id if checkpoints else None

    # -- looking -----------------------------------------------------------------------------------------------------

    def get_execution_status(self) -> dict[str, Any]:
        """How everything stands, ready for JSON; times as ISO text, durations in seconds."""
        context = self.execution_context
        progress = self.progress_tracker.get_execution_progress(self.execution_id)
        metrics = context.metrics
        return {
            "execution_id": self.execution_id,
            "pipeline_id": self.pipeline_id,
            "status": str(context.status),
            "progress": {
                "percentage": progress.progress_percentage if progress else 0.0,
                "completed_steps": context.completed_steps,
                "total_steps": context.total_steps,
                "running_steps": sorted(context.running_steps),
                "failed_steps": context.failed_steps,
            },
            "recovery": self.recovery_manager.get_recovery_status(),
            "checkpoints": [checkpoint.id for checkpoint in context.checkpoints],
            "metrics": {
                "start_time": _iso(metrics.start_time),
                "end_time": _iso(metrics.end_time),
                "duration": _seconds(metrics.duration),
                "steps_completed": metrics.steps_completed,
                "steps_failed": metrics.steps_failed,
                "steps_skipped": metrics.steps_skipped,
                "steps_total": metrics.steps_total,
                "variables_created": metrics.variables_created,
                "variables_updated": metrics.variables_updated,
                "checkpoints_created": metrics.checkpoints_created,
                "retries": metrics.retries,
            },
        }

    # -- the end -----------------------------------------------------------------------------------------------------

    def cleanup(self) -> None:
        """Let go of what an ended execution holds, and keep how it ended."""
        self.execution_context.cleanup()
        self.progress_tracker.cleanup(self.execution_id)
        self.recovery_manager.cleanup(self.execution_id)

    def shutdown(self) -> None:
        """Stop handlers and recoveries that are under way. May be called again."""
        self.recovery_manager.shutdown()
        self.progress_tracker.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.shutdown()


def create_comprehensive_execution_manager(execution_id: str, pipeline_id: str) -> ComprehensiveExecutionManager:
    """A manager with parts of its own."""
    return ComprehensiveExecutionManager(execution_id, pipeline_id)


def _context(
    execution_id: str, pipeline_id: str, context: ExecutionContext | None, variables: VariableManager | None
) -> ExecutionContext:
    if context is None:
        return ExecutionContext(execution_id, pipeline_id, variable_manager=variables)
    if variables is not None and context.variable_manager is not variables:
        raise InputError("the execution context has another variable manager; give one of the two")
    if context.execution_id != execution_id:
        raise InputError(f"the execution context is that of {context.execution_id!r}, not of {execution_id!r}")
    return context


def _tracker(context: ExecutionContext, tracker: ProgressTracker | None) -> ProgressTracker:
    if tracker is None:
        return ProgressTracker(context, context.variable_manager)
    if tracker.execution_context is not context:
        tracker.watch(context)
    return tracker


def _recovery(context: ExecutionContext, tracker: ProgressTracker, recovery: RecoveryManager | None) -> RecoveryManager:
    if recovery is None:
        recovery = RecoveryManager(context, tracker)
    if recovery.execution_context not in (None, context):
        raise InputError("the recovery manager serves another execution; give each one of its own")
    recovery.execution_context = context
    if recovery.progress_tracker is None:
        recovery.progress_tracker = tracker
    recovery.register_error_handler(ErrorCategory.NETWORK, network_error_handler)
    recovery.register_error_handler(ErrorCategory.TIMEOUT, timeout_error_handler)
    recovery.register_global_error_handler(critical_error_handler)
    return recovery


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
