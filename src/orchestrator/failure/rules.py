"""What an exception means, by the built-in tables and by rows that users add.

For the exception, then for each of its causes: the type and its bases, then the codes that it carries. Only where none
of them says anything, the messages are read, and at last the broad types. A group of exceptions means what its worst
member means, and a step that failed with one inside of it what that one's failure means. Foreign types are compared by
name, so that no client library is imported to recognise its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from orchestrator.clock import utc_now
from orchestrator.errors import InnerStepError
from orchestrator.failure import codes, tables
from orchestrator.failure.foreign import MOST_LINKS, causes, names_of, text_of
from orchestrator.failure.retry_after import retry_after
from orchestrator.failure.tables import MessageRule, Verdict
from orchestrator.failure.words import ErrorCategory, ErrorSeverity

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Classification:
    """What an exception means; `retry_after` is in seconds, where the other side asked for a delay."""

    category: ErrorCategory
    severity: ErrorSeverity
    retry_after: float | None = None


def _given(table: Mapping[K, Verdict]) -> Any:
    return field(default_factory=lambda: table)


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """The tables, frozen. `added` are rows by type that go before the built-in ones of the same base."""

    added: Mapping[str, Verdict] = _given(MappingProxyType({}))
    types: Mapping[str, Verdict] = _given(tables.TYPES)
    broad_types: Mapping[str, Verdict] = _given(tables.BROAD_TYPES)
    errnos: Mapping[int, Verdict] = _given(tables.ERRNOS)
    service_codes: Mapping[str, Verdict] = _given(tables.SERVICE_CODES)
    sqlstates: Mapping[str, Verdict] = _given(tables.SQLSTATES)
    statuses: Mapping[int, Verdict] = _given(tables.STATUSES)
    messages: tuple[MessageRule, ...] = tables.MESSAGES

    def classify(self, exc: BaseException, now: float | None = None) -> Classification:
        """Classify; `now` (seconds since the epoch) is what a Retry-After date is measured from."""
        now = utc_now().timestamp() if now is None else now
        return Classification(*self._verdict(exc, set()), _longest_wait(exc, now))

    def _verdict(self, exc: BaseException, seen: set[int]) -> Verdict:
        links: list[BaseException] = []
        for link in causes(exc, seen):
            if found := self._by_type(link) or _by_inner(link) or self._by_code(link) or self._by_member(link, seen):
                return found
            links.append(link)
        found = _first(self._by_message, links) or _first(self._by_broad_type, links)
        return found or _by_nothing(exc)

    def _by_type(self, exc: BaseException) -> Verdict | None:
        for module, name in names_of(exc):
            if found := _row(self.added, module, name) or _row(self.types, module, name):
                return found
        return None

    def _by_broad_type(self, exc: BaseException) -> Verdict | None:
        return _first(lambda named: _row(self.broad_types, *named), names_of(exc))

    def _by_code(self, exc: BaseException) -> Verdict | None:
        return (
            _first(self.errnos.get, codes.errnos(exc))
            or _first(self.service_codes.get, codes.service_codes(exc))
            or _first(lambda state: _own_or_class(self.sqlstates, state, state[:2]), codes.sqlstates(exc))
            or _first(lambda status: _own_or_class(self.statuses, status, status // 100), codes.statuses(exc))
        )

    def _by_member(self, exc: BaseException, seen: set[int]) -> Verdict | None:
        if not isinstance(exc, BaseExceptionGroup):
            return None
        unseen = (member for member in exc.exceptions if id(member) not in seen and len(seen) < MOST_LINKS)
        verdicts = [self._verdict(member, seen) for member in unseen]
        return max(verdicts, key=lambda verdict: verdict[1].rank, default=None)

    def _by_message(self, exc: BaseException) -> Verdict | None:
        text = text_of(exc)
        return _first(lambda rule: (rule.category, rule.severity) if rule.pattern.search(text) else None, self.messages)


#: What everybody starts with.
DEFAULT_RULES = Rules()


def classify(exc: BaseException, rules: Rules = DEFAULT_RULES, *, now: float | None = None) -> Classification:
    """What an exception means; never raises. See `Rules.classify`."""
    return rules.classify(exc, now)


def _first(rule: Callable[[Any], Verdict | None], things: Iterable[Any]) -> Verdict | None:
    return next((found for found in map(rule, things) if found is not None), None)


def _row(table: Mapping[str, Verdict], module: str, name: str) -> Verdict | None:
    """The row of a class: of its own module before that of a package around it."""
    while module:
        if found := table.get(f"{module}.{name}"):
            return found
        module = module.rpartition(".")[0]
    return None


def _own_or_class(table: Mapping[K, Verdict], code: K, code_class: K) -> Verdict | None:
    return table.get(code) or table.get(code_class)


def _by_inner(exc: BaseException) -> Verdict | None:
    """A step that failed since one inside of it did means what that failure was found to mean."""
    if not isinstance(exc, InnerStepError):
        return None
    try:
        return ErrorCategory(str(exc.error.get("category"))), ErrorSeverity(str(exc.error.get("severity")))
    except ValueError:  # nothing is kept of it, or words of another version
        return None


def _by_nothing(exc: BaseException) -> Verdict:
    if not isinstance(exc, Exception):
        return ErrorCategory.SYSTEM, ErrorSeverity.CRITICAL
    return ErrorCategory.UNKNOWN if type(exc) is Exception else ErrorCategory.EXECUTION, ErrorSeverity.MEDIUM


def _longest_wait(exc: BaseException, now: float) -> float | None:
    """What the exception, its causes and, in a group, its members ask for."""
    waits = (retry_after(link, now) for link in _everything(exc))
    return max((seconds for seconds in waits if seconds is not None), default=None)


def _everything(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [exc]
    while left:
        for link in causes(left.pop(), seen):
            yield link
            if isinstance(link, BaseExceptionGroup):
                left.extend(link.exceptions)
