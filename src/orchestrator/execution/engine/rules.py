"""What follows from a failed attempt: the pipeline's own word, then a recovery manager's.

A manager that was handed in is asked first: its handlers, its plan for the step. Then the step's `on_error` rules, then
its `retry`; where nothing fits, the step fails: in a pipeline, a step that says nothing has one attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from orchestrator.errors import HandlerExitError, InnerStepError
from orchestrator.execution.recovery import RecoveryManager, RecoveryPlan, RecoveryStrategy, fail_fast
from orchestrator.failure import ErrorInfo, names_of, statuses
from orchestrator.pipelines.plan import ErrorRule, PlannedStep

#: An exception, what is kept of it, and how many attempts were made, to what is done now.
Decide: TypeAlias = Callable[[Exception, ErrorInfo, int], RecoveryPlan]


def decider(step: PlannedStep, manager: RecoveryManager | None) -> Decide:
    """What decides for a step; a manager also keeps the error in its history."""

    def decide(exc: Exception, error: ErrorInfo, attempt: int) -> RecoveryPlan:
        if isinstance(exc, HandlerExitError):  # what ends a program or a task is never recovered from
            return fail_fast(str(exc))
        own = _by_rule(step, exc, error, attempt)
        if manager is None:
            return own or _by_retry(step, error, attempt)
        manager.record(error)
        return manager.plan_for(error, _by_retry(step, error, attempt), own=own)

    return decide


def retries_only(step: PlannedStep) -> Decide:
    """What decides for a step that runs as the alternative of another: its own `retry` alone."""
    return lambda _exc, error, attempt: _by_retry(step, error, attempt)


def _by_retry(step: PlannedStep, error: ErrorInfo, attempt: int) -> RecoveryPlan:
    if step.retry.should_retry(error, attempt):
        return RecoveryPlan(RecoveryStrategy.RETRY_WITH_BACKOFF, retry_config=step.retry, timeout=step.retry.timeout)
    return fail_fast("the step's attempts are used up")


def _by_rule(step: PlannedStep, exc: Exception, error: ErrorInfo, attempt: int) -> RecoveryPlan | None:
    """The first rule that fits; one whose attempts are used up leaves the error to the next."""
    if not step.on_error:
        return None
    names = {name for module, simple in names_of(exc) for name in (simple, f"{module}.{simple}")}
    if isinstance(exc, InnerStepError) and (inner := exc.error.get("type")):
        names.add(str(inner))
    status = next(statuses(exc), None)
    for rule in step.on_error:
        used_up = rule.retry is not None and not rule.retry.has_attempts_left(error, attempt)
        if not used_up and rule.matches(error.category, error.severity, names, status, error.message):
            return _plan(rule)
    return None


def _plan(rule: ErrorRule) -> RecoveryPlan:
    return RecoveryPlan(
        RecoveryStrategy(rule.strategy),
        target_checkpoint=rule.checkpoint,
        alternative_steps=[*rule.steps],
        retry_config=rule.retry,
        manual_instructions=rule.instructions or None,
        timeout=rule.timeout,
        default_output=rule.output,
    )
