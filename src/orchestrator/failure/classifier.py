"""The tables that one owner classifies by, to which it may add rows of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import TypeVar

from orchestrator.errors import InputError
from orchestrator.failure.rules import DEFAULT_RULES, Classification, Rules
from orchestrator.failure.tables import MessageRule, Verdict
from orchestrator.failure.words import ErrorCategory, ErrorSeverity

K = TypeVar("K")
W = TypeVar("W", ErrorCategory, ErrorSeverity)


class Classifier:
    """The tables that one owner classifies by, and may add rows to. Thread-safe."""

    def __init__(self, rules: Rules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._lock = Lock()

    @property
    def rules(self) -> Rules:
        """The tables as they stand: frozen."""
        return self._rules

    def classify(self, exc: BaseException, now: float | None = None) -> Classification:
        """See `Rules.classify`."""
        return self._rules.classify(exc, now)

    def add(
        self,
        error: type[BaseException] | str,
        category: ErrorCategory | str,
        severity: ErrorSeverity | str = ErrorSeverity.MEDIUM,
    ) -> None:
        """Add a row for a type and what derives from it: the class, or its name, as `package.SomeError`.

        It goes before a built-in row of the same type; of several bases with rows, the most specific one decides.
        """
        row = {_type_name(error): _verdict(category, severity)}
        with self._lock:
            self._rules = replace(self._rules, added=MappingProxyType({**self._rules.added, **row}))

    def add_codes(
        self,
        category: ErrorCategory | str,
        severity: ErrorSeverity | str = ErrorSeverity.MEDIUM,
        *,
        errnos: Iterable[int] = (),
        service_codes: Iterable[str] = (),
        sqlstates: Iterable[str] = (),
        statuses: Iterable[int] = (),
        messages: Iterable[str] = (),
    ) -> None:
        """Add rows for codes, and for texts (regular expressions, in any case, asked before the built-in ones)."""
        verdict = _verdict(category, severity)
        patterns = tuple(MessageRule(_pattern(text), *verdict) for text in messages)
        with self._lock:
            old = self._rules
            self._rules = replace(
                old,
                errnos=_with(old.errnos, errnos, verdict),
                service_codes=_with(old.service_codes, service_codes, verdict),
                sqlstates=_with(old.sqlstates, map(str.upper, sqlstates), verdict),
                statuses=_with(old.statuses, statuses, verdict),
                messages=patterns + old.messages,
            )


def _with(table: Mapping[K, Verdict], keys: Iterable[K], verdict: Verdict) -> Mapping[K, Verdict]:
    return MappingProxyType({**table, **dict.fromkeys(keys, verdict)})


def _verdict(category: ErrorCategory | str, severity: ErrorSeverity | str) -> Verdict:
    return _word(ErrorCategory, category), _word(ErrorSeverity, severity)


def _word(words: type[W], given: W | str) -> W:
    try:
        return words(given)
    except ValueError:
        raise InputError(f"{given!r} is no {words.__name__}: one of {', '.join(words)}") from None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as exc:
        raise InputError(f"{text!r} is no regular expression: {exc}") from exc


def _type_name(error: object) -> str:
    if isinstance(error, type) and issubclass(error, BaseException):
        return f"{error.__module__}.{error.__qualname__}"
    if isinstance(error, str) and "." in error:
        return error
    raise InputError(f"{error!r} is no type of error: give the class, or its name as package.SomeError")
