"""Which plan follows an error: asked of handlers, found for the step, or chosen by how bad the error is."""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Callable
from threading import Lock
from typing import TypeAlias

from orchestrator.execution.recovery.plan import RecoveryPlan, RecoveryStrategy, fail_fast
from orchestrator.failure import ErrorCategory, ErrorInfo, ErrorSeverity, RetryConfig
from orchestrator.journal.keys import without_numbers
from orchestrator.types import StepKey

#: Gives a plan for an error, or None where it knows none.
PlanHandler: TypeAlias = Callable[[ErrorInfo], RecoveryPlan | None]

_log = logging.getLogger(__name__)


class PlanSources:
    """Handlers and the plans of steps, in the order in which they are asked. Thread-safe; asked with no lock held."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_category: defaultdict[ErrorCategory, tuple[PlanHandler, ...]] = defaultdict(tuple)
        self._global: tuple[PlanHandler, ...] = ()
        self._by_step: dict[str, RecoveryPlan] = {}
        #: How often a handler raised, or gave what is no plan.
        self.faults = 0

    def add(self, category: ErrorCategory | None, handler: PlanHandler) -> Callable[[], None]:
        """Ask this handler, of errors of this category or of any; gives a function that ends it."""
        with self._lock:
            if category is None:
                self._global = (*self._global, handler)
            else:
                self._by_category[category] = (*self._by_category[category], handler)
        return lambda: self._remove(category, handler)

    def _remove(self, category: ErrorCategory | None, handler: PlanHandler) -> None:
        with self._lock:
            if category is None:
                self._global = _without(self._global, handler)
            else:
                self._by_category[category] = _without(self._by_category[category], handler)

    def set_plan(self, step_id: str, plan: RecoveryPlan | None) -> None:
        """The step's own plan; None takes it away."""
        with self._lock:
            self._by_step.pop(step_id, None)
            if plan is not None:
                self._by_step[step_id] = plan

    def find(self, error: ErrorInfo) -> RecoveryPlan | None:
        """Of the category's handlers, of the global ones, or the step's own.

        An item of a loop has its loop's, and a step inside of one that of its name: `months.parse`.
        """
        with self._lock:
            handlers = self._by_category.get(error.category, ()) + self._global
        for handler in handlers:
            if (plan := self._ask(handler, error)) is not None:
                return plan
        return self._own(error.step_id) if error.step_id is not None else None

    def _own(self, step_id: str) -> RecoveryPlan | None:
        with self._lock:
            return self._by_step.get(step_id) or self._by_step.get(without_numbers(StepKey(step_id)))

    def _ask(self, handler: PlanHandler, error: ErrorInfo) -> RecoveryPlan | None:
        try:
            answer: object = handler(error)
            if answer is None or isinstance(answer, RecoveryPlan):
                return answer
            if inspect.iscoroutine(answer):
                answer.close()
            _log.error("recovery_handler_no_plan: %r gave a %s; passed over", handler, type(answer).__name__)
        except Exception:  # noqa: BLE001 - logged and counted: the next one is asked
            _log.exception("recovery_handler_failed: %r; passed over", handler)
        with self._lock:
            self.faults += 1
        return None

    def counts(self) -> dict[str, int]:
        """How many handlers there are."""
        with self._lock:
            of_categories = sum(map(len, self._by_category.values()))
            return {"category_specific": of_categories, "global": len(self._global)}

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._by_category.clear()
            self._by_step.clear()
            self._global = ()


def by_severity(error: ErrorInfo, can_roll_back: bool) -> RecoveryPlan:
    """The default plan. It never retries a category that is not retried by default."""
    match error.severity:
        case ErrorSeverity.LOW:
            plan = RecoveryPlan(RecoveryStrategy.RETRY, retry_config=RetryConfig(exponential_backoff=False))
        case ErrorSeverity.MEDIUM:
            plan = RecoveryPlan(RecoveryStrategy.RETRY_WITH_BACKOFF, retry_config=RetryConfig())
        case ErrorSeverity.HIGH if can_roll_back:
            plan = RecoveryPlan(RecoveryStrategy.ROLLBACK)
        case _:
            plan = fail_fast(f"the error is {error.severity}")
    return plan.if_covered(error)


def _without(handlers: tuple[PlanHandler, ...], gone: PlanHandler) -> tuple[PlanHandler, ...]:
    """The handlers without one of this; the same one may have been added twice."""
    at = handlers.index(gone) if gone in handlers else len(handlers)
    return handlers[:at] + handlers[at + 1 :]
