"""What a step does when its attempts are over: the strategies that are more than one attempt more.

Each is a deed like the step itself: it decides and asks, and what it came to is recorded before anything depends on it.
A way out that was begun is recorded first (`StepRecovering`, `InterventionRequested`), so that a later life of the
engine goes on with it instead of asking again what to do.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.errors import InnerStepError, InputError, RollbackError
from orchestrator.execution.driver import Deed, Keep, Record, Rollback
from orchestrator.execution.recovery import MAX_ROLLBACKS, GaveUp, RecoveryPlan, RecoveryStrategy
from orchestrator.execution.step.leaving import leftovers
from orchestrator.execution.step.task import StepTask, work
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import ErrorData
from orchestrator.journal.step_record import Intervention
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


def recover(task: StepTask, gave_up: GaveUp) -> Deed[None]:
    """Perform the plan that was decided on when the last attempt failed."""
    plan, error = gave_up.plan, gave_up.error
    if plan.strategy is not RecoveryStrategy.FAIL_FAST and (left := leftovers(task, task.over)):
        yield Record(left)  # else they are kept for a retry by hand
    begun = ev.StepRecovering(task.key, task.generation, gave_up.attempt, error.to_dict(), plan.to_dict())
    match plan.strategy:
        case RecoveryStrategy.SKIP:
            output = yield Keep(plan.default_output)
            yield Record((begun, ev.StepSkipped(task.key, task.generation, f"skipped after {error.message}", output)))
        case RecoveryStrategy.ALTERNATIVE_PATH:
            yield Record((begun,))
            yield from take_alternative(task, plan)
        case RecoveryStrategy.ROLLBACK:
            yield from _roll_back(task, plan, begun, gave_up)
        case RecoveryStrategy.MANUAL_INTERVENTION:
            yield Record((_question(task, plan, gave_up),))
        case _:
            yield failed(task, gave_up.attempt, error)


def failed(task: StepTask, attempt: int, error: ErrorInfo) -> Record:
    """The end of a step that failed for good."""
    data, cause = failure_of(task, error)
    return Record((ev.StepFailed(task.key, task.generation, attempt, data, cause),))


def failure_of(task: StepTask, error: ErrorInfo) -> tuple[ErrorData, StepKey | None]:
    """What is recorded of the failure of a step, and the step inside of it that made it fail."""
    exc = error.exception
    data, cause = error.to_dict(), exc.step_key if isinstance(exc, InnerStepError) else None
    if task.raised is not None and exc is not None:
        more, inner = task.raised(exc)
        data |= more
        cause = cause or (inner if task.is_function else None)
    return data, cause


def _roll_back(task: StepTask, plan: RecoveryPlan, begun: ev.StepRecovering, gave_up: GaveUp) -> Deed[None]:
    why: str | None = f"it was set back {task.rollbacks} times already"
    if task.rollbacks < MAX_ROLLBACKS:
        why = yield Rollback(task.key, plan.target_checkpoint, (begun,))
    error = task.describe(RollbackError(task.key, str(why), gave_up.error.message), task.key)
    yield failed(task, gave_up.attempt, error)


def _question(task: StepTask, plan: RecoveryPlan, gave_up: GaveUp) -> ev.InterventionRequested:
    error = gave_up.error
    return ev.InterventionRequested(
        task.key,
        task.generation,
        gave_up.attempt,
        error.to_dict(),
        plan.manual_instructions or error.message,
        None if plan.timeout_seconds is None else task.now() + plan.timeout_seconds,
    )


def answered(task: StepTask, asked: Intervention) -> Deed[None]:
    """Go on as the person said: leave the step out, or give it up. (A `retry` is one more attempt.)"""
    known = task.known
    assert known is not None
    if asked.decision == "skip":
        reason = f"skipped by {asked.by}" if asked.by else "skipped by hand"
        yield Record((ev.StepSkipped(task.key, task.generation, reason, asked.value),))
    else:
        cause = task.failure(task.over.failed)[0] if task.over is not None and task.over.failed is not None else None
        error = known.error or {}
        yield Record((ev.StepFailed(task.key, task.generation, known.failed_attempts, error, cause),))


def take_alternative(task: StepTask, plan: RecoveryPlan) -> Deed[None]:
    """Run the steps that the plan names, in order, for this one; the last output is its own."""
    if not plan.alternative_steps:
        raise InputError(f"the recovery of step {task.key!r} is an alternative path, and names no steps")
    attempt = task.attempts_made
    output: Encoded | None = None
    failures = task.known.failures if task.known else None
    begun_at = failures[-1].at if failures else task.now()  # also in an earlier life
    deadline = None if plan.timeout_seconds is None else begun_at + plan.timeout_seconds
    for name in plan.alternative_steps:
        part = replace(task.alternative(name), deadline=deadline)
        if part.known is not None and part.known.status is StepStatus.COMPLETED:  # in an earlier life
            output = part.known.output
            continue
        try:
            number, output, writes = yield from work(part)
        except GaveUp as exc:
            of_part = ev.StepFailed(part.key, part.generation, exc.attempt, exc.error.to_dict(), part.key)
            yield Record((of_part, *failed(task, attempt, exc.error).events))
            return
        yield Record((ev.StepSucceeded(part.key, part.generation, number, output, writes),))
    checkpoint = task.checkpoint
    output = output if output is not None else (yield Keep(None))
    yield Record((ev.StepSucceeded(task.key, task.generation, attempt, output, (), checkpoint),))
