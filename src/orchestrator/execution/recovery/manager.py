"""The recovery of one execution's steps: errors in, plans out, and the plans performed.

On its own it performs plans itself (`execute_recovery`). In an engine it is asked for plans only (`plan_for`), and the
engine performs them, since there a rollback or a person's answer is an event of the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from orchestrator.clock import Clock, SystemClock, new_id, utc
from orchestrator.errors import HandlerExitError, InputError
from orchestrator.execution.delivery import Handlers
from orchestrator.execution.recovery.blocks import StepErrorBlock
from orchestrator.execution.recovery.calling import StepExecutor, within
from orchestrator.execution.recovery.choosing import PlanHandler, PlanSources, by_severity
from orchestrator.execution.recovery.history import ErrorHistory
from orchestrator.execution.recovery.ledger import Ledger
from orchestrator.execution.recovery.performing import RecoverableContext, Recovered, Recovery, RecoveryTracker
from orchestrator.execution.recovery.plan import RecoveryPlan, fail_fast
from orchestrator.execution.recovery.waiting import Answer, Decision, Interventions
from orchestrator.failure import Classifier, ErrorCategory, ErrorInfo, ErrorSeverity


class RecoveryManager:
    """Classifies errors, chooses plans, performs them, and remembers. Thread-safe.

    `execution_context` and `progress_tracker` may be set later; a tracker that does not follow that very context is
    told of every attempt. `classifier` is the manager's own: rows added to it count here only. `on_answer(step_id,
    decision, value, by)`, where somebody sets it, is given the answers to steps that wait elsewhere, and says whether
    it took one.
    """

    def __init__(
        self,
        execution_context: RecoverableContext | None = None,
        progress_tracker: RecoveryTracker | None = None,
        *,
        classifier: Classifier | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.execution_context = execution_context
        self.progress_tracker = progress_tracker
        self.classifier = classifier if classifier is not None else Classifier()
        self.on_answer: Callable[[str, str, Any, str | None], bool] | None = None
        self._clock: Clock = clock or SystemClock()
        self._random = random or Random()
        self._sources = PlanSources()
        self._history = ErrorHistory()
        self._ledger = Ledger()
        self._interventions = Interventions()
        self._on_attempt: Handlers[str] = Handlers()
        self._on_retry: Handlers[str, ErrorInfo, float] = Handlers()
        self._on_intervention: Handlers[str, str] = Handlers()
        self._on_attempt.add(self._tell_tracker)

    # -- what is known beforehand ------------------------------------------------------------------------------------

    def register_error_handler(self, category: ErrorCategory | str, handler: PlanHandler) -> Callable[[], None]:
        """Ask this handler for a plan for errors of this category; gives a function that ends it.

        Handlers are asked in the order in which they came. One that gives None leaves the error to the next; one that
        raises is logged, counted and passed over.
        """
        return self._sources.add(_word(ErrorCategory, category), _function(handler))

    def register_global_error_handler(self, handler: PlanHandler) -> Callable[[], None]:
        """Ask this handler for a plan for any error that the handlers of its category have none for."""
        return self._sources.add(None, _function(handler))

    def set_recovery_plan(self, step_id: str, plan: RecoveryPlan | None) -> None:
        """The step's own plan, for what the handlers have none for; None takes it away."""
        if not (plan is None or isinstance(plan, RecoveryPlan)):
            raise InputError(f"the plan of step {step_id!r} must be a RecoveryPlan, not a {type(plan).__name__}")
        self._sources.set_plan(step_id, plan)

    def on_error(self, handler: Callable[[ErrorInfo], object]) -> Callable[[], None]:
        """Call this with every error that is recorded; gives a function that ends it."""
        return self._history.on_error.add(handler)

    def on_retry(self, handler: Callable[[str, ErrorInfo, float], object]) -> Callable[[], None]:
        """Call this when an attempt of a recovery failed and another one is due.

        With the step's id, the error, and when it is due, in seconds since the epoch.
        """
        return self._on_retry.add(handler)

    def on_intervention(self, handler: Callable[[str, str], object]) -> Callable[[], None]:
        """Call this with the step's id and the instructions whenever a step begins to wait for a person."""
        return self._on_intervention.add(handler)

    # -- from an error to a plan -------------------------------------------------------------------------------------

    def classify_error(self, exc: BaseException, context: Mapping[str, Any] | None = None) -> ErrorInfo:
        """What the error means; nothing is recorded. `category, severity = manager.classify_error(exc)` works too."""
        return self.describe(exc, context=context)

    def handle_error(
        self,
        exc: BaseException,
        step_id: str | None = None,
        step_name: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> RecoveryPlan:
        """Record the error and choose a plan; see `plan_for`."""
        error = self.describe(exc, step_id, step_name, context)
        self.record(error)
        return self.plan_for(error)

    def describe(
        self,
        exc: BaseException,
        step_id: str | None = None,
        step_name: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> ErrorInfo:
        """The error as data; nothing is recorded."""
        return ErrorInfo.of(
            exc,
            error_id=new_id(self._clock),
            timestamp=utc(self._clock.time()),
            rules=self.classifier.rules,
            step_id=step_id,
            step_name=step_name,
            execution_id=self.execution_context.execution_id if self.execution_context is not None else None,
            context=context,
        )

    def record(self, error: ErrorInfo) -> None:
        """Keep an error in the history, and tell the `on_error` handlers."""
        self._history.add(error)

    def plan_for(
        self, error: ErrorInfo, default: RecoveryPlan | None = None, *, own: RecoveryPlan | None = None
    ) -> RecoveryPlan:
        """The plan of a handler of the category, of a global handler, or of the step; else a default; records nothing.

        `own` is the step's plan where none was set here. The default is by severity, or what is given; it retries only
        what its retry config covers. What ends a task or the program (no `Exception`) is FAIL_FAST, with no handler
        asked.
        """
        stops = isinstance(error.exception, HandlerExitError) or not isinstance(error.exception, Exception)
        if error.exception is not None and stops:
            return fail_fast(f"{type(error.exception).__name__} is never recovered from")
        found = self._sources.find(error) or own
        if found is not None:
            return found
        return default.if_covered(error) if default is not None else by_severity(error, self._can_roll_back(error))

    def _can_roll_back(self, error: ErrorInfo) -> bool:
        context = self.execution_context
        return context is not None and bool(context.checkpoints) and self._ledger.may_roll_back(error.step_id)

    def handle_step_errors(self, step_id: str, step_name: str | None = None) -> StepErrorBlock:
        """A `with` (or `async with`) block that records what it raises and lets it go on; `error` is what it recorded.

        `plan_for(block.error)` chooses the plan, without recording the error again as `handle_error` would.
        """
        return StepErrorBlock(lambda exc: self._note(exc, step_id, step_name))

    def _note(self, exc: BaseException, step_id: str | None = None, step_name: str | None = None) -> ErrorInfo:
        error = self.describe(exc, step_id, step_name)
        self.record(error)
        return error

    # -- from a plan to a step that goes on ----------------------------------------------------------------------------

    async def execute_recovery(
        self, step_id: str, plan: RecoveryPlan, step_executor: StepExecutor | None = None
    ) -> bool:
        """Perform the plan; whether the step is recovered. Its value is then `get_recovery_value(step_id)`.

        An async executor runs on this loop, any other in a thread. What fails on the way is recorded and gives False;
        a cancellation, and what ends the program, goes through. Raises InputError where the plan cannot be performed
        with this executor.
        """
        if not isinstance(plan, RecoveryPlan):
            raise InputError(f"the plan must be a RecoveryPlan, not a {type(plan).__name__}")
        recovery = self._recovery(step_id, plan, step_executor)
        recovery.check()
        with self._ledger.running(step_id) as stopped:
            try:
                found = await within(recovery.perform(), self._clock, plan.timeout_seconds, stopped, step_id)
            except Exception as exc:  # noqa: BLE001 - recorded
                self._note(exc, step_id)
                return False
            return self._ended(step_id, found)

    def _recovery(self, step_id: str, plan: RecoveryPlan, executor: StepExecutor | None) -> Recovery:
        return Recovery(
            step_id=step_id,
            plan=plan,
            executor=executor,
            context=self.execution_context,
            clock=self._clock,
            random=self._random,
            ledger=self._ledger,
            history=self._history,
            interventions=self._interventions,
            on_attempt=self._on_attempt,
            on_retry=self._on_retry,
            on_intervention=self._on_intervention,
            note=self._note,
        )

    def _tell_tracker(self, step_id: str) -> None:
        """One that follows our context is told by the context."""
        context, tracker = self.execution_context, self.progress_tracker
        follows = getattr(tracker, "execution_context", None) is context
        if context is not None and tracker is not None and not follows:
            last = self._history.last(step_id)
            tracker.on_step_started(context.execution_id, step_id, (last.step_name if last else None) or "")

    def _ended(self, step_id: str, found: Recovered | None) -> bool:
        if found is None:
            return False
        self._ledger.keep_value(step_id, found.value)
        return True

    def answer(self, step_id: str, decision: Decision | str, value: Any = None, by: str | None = None) -> None:
        """Answer a step that waits for a person: `retry`, `skip` (with the value that it has then) or `abort`.

        From any thread or task. Raises InputError where the step does not wait, or no longer.
        """
        answer = Answer.of(decision, value, by)
        if self._interventions.answer(step_id, answer):
            return
        if self.on_answer is not None and self.on_answer(step_id, str(answer.decision), value, by):
            return
        waiting = ", ".join(self._interventions.listed()) or "none"
        raise InputError(f"step {step_id!r} does not wait for an answer; waiting: {waiting}")

    # -- what happened -------------------------------------------------------------------------------------------------

    def get_error_history(
        self,
        step_id: str | None = None,
        category: ErrorCategory | str | None = None,
        severity: ErrorSeverity | str | None = None,
        limit: int | None = None,
    ) -> list[ErrorInfo]:
        """The errors that fit, the newest last, the newest `limit` of them. The last 1,000 are kept."""
        if limit is not None and limit < 0:
            raise InputError(f"limit must be 0 or more, not {limit}")
        wanted = (step_id, category, severity)

        def fits(error: ErrorInfo) -> bool:
            has = (error.step_id, error.category, error.severity)
            return all(want is None or want == have for want, have in zip(wanted, has, strict=True))

        return self._history.find(fits, limit)

    def get_recovery_value(self, step_id: str, default: Any = None) -> Any:
        """The value that the step's latest successful recovery came to."""
        return self._ledger.value(step_id, default)

    def get_retry_count(self, step_id: str) -> int:
        """How many attempts recovery has made at this step."""
        return self._ledger.attempts(step_id)

    def reset_retry_count(self, step_id: str) -> None:
        """Forget the attempts, and give the step its rollbacks back."""
        self._ledger.reset(step_id)

    def is_step_recovering(self, step_id: str) -> bool:
        """Whether `execute_recovery` is at this step now."""
        return step_id in self._ledger.recovering()

    def get_recovery_status(self) -> dict[str, Any]:
        """Counts, and who waits for a person: `waiting` maps step ids to instructions and the time since when."""
        categories, severities = self._history.counts()
        return {
            "total_errors": categories.total(),
            "active_recoveries": len(self._ledger.recovering()),
            "error_counts_by_category": dict(categories),
            "error_counts_by_severity": dict(severities),
            "steps_with_retries": self._ledger.steps_with_attempts(),
            "registered_handlers": self._sources.counts(),
            "handler_faults": self._sources.faults,
            "waiting": self._interventions.listed(),
        }

    # -- the end -------------------------------------------------------------------------------------------------------

    def cleanup(self, id: str | None = None) -> None:
        """Forget the errors of the execution, or of the step and all that is known of it, that has this id; None: all.

        Handlers, plans of steps and what is under way stay.
        """
        if id is None:
            self._history.clear()
            self._ledger.clear()
        else:
            self._history.forget(lambda error: id in (error.execution_id, error.step_id))
            self._ledger.forget(id)

    def shutdown(self) -> None:
        """Stop what is under way, which then gives False, and forget everything. May be called again."""
        self._interventions.abort_all()
        self._ledger.stop_all()
        self._sources.clear()
        self.cleanup()


def create_recovery_manager(
    execution_context: RecoverableContext | None = None, progress_tracker: RecoveryTracker | None = None
) -> RecoveryManager:
    """A manager without handlers."""
    return RecoveryManager(execution_context, progress_tracker)


def _function(handler: PlanHandler) -> PlanHandler:
    if not callable(handler):
        raise InputError(f"a handler must be a function of an ErrorInfo, not a {type(handler).__name__}")
    return handler


def _word(words: type[ErrorCategory], given: ErrorCategory | str) -> ErrorCategory:
    try:
        return words(given)
    except ValueError:
        raise InputError(f"{given!r} is no category: one of {', '.join(words)}") from None
