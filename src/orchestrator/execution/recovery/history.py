"""What went wrong so far: the latest errors, and the counts of all."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from threading import Lock

from orchestrator.execution.delivery import Delivery, Handlers
from orchestrator.failure import ErrorInfo

#: How many errors are kept; the counts go on.
MOST_ERRORS = 1000


class ErrorHistory:
    """Errors in the order in which they were recorded. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._errors: deque[ErrorInfo] = deque(maxlen=MOST_ERRORS)
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._delivery = Delivery()
        #: Told of each error, in order.
        self.on_error: Handlers[ErrorInfo] = Handlers()

    def add(self, error: ErrorInfo) -> None:
        """Record one."""
        with self._lock:
            self._errors.append(error)
            self._kinds[str(error.category), str(error.severity)] += 1
            self._delivery.put(self.on_error, error)
        self._delivery.run()

    def find(self, fits: Callable[[ErrorInfo], bool], limit: int | None) -> list[ErrorInfo]:
        """Those that fit, the newest last; with `limit`, the newest of them."""
        with self._lock:
            kept = list(self._errors)
        found = [error for error in kept if fits(error)]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def last(self, step_id: str) -> ErrorInfo | None:
        """The newest one of a step."""
        with self._lock:
            kept = list(self._errors)
        return next((error for error in reversed(kept) if error.step_id == step_id), None)

    def forget(self, fits: Callable[[ErrorInfo], bool]) -> None:
        """Drop those that fit, from the counts as well."""
        with self._lock:
            dropped = [error for error in self._errors if fits(error)]
            self._kinds -= Counter((str(error.category), str(error.severity)) for error in dropped)
            left = [error for error in self._errors if not fits(error)]
            self._errors.clear()
            self._errors.extend(left)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._errors.clear()
            self._kinds.clear()

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """How many errors there were, by category and by severity."""
        categories: Counter[str] = Counter()
        severities: Counter[str] = Counter()
        with self._lock:
            kinds = list(self._kinds.items())
        for (category, severity), count in kinds:
            categories[category] += count
            severities[severity] += count
        return categories, severities
