"""Errors as data. An exception lives in one process; what is kept of it is an `ErrorInfo`."""

from __future__ import annotations

import traceback as tb
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.errors import OrchestratorError, RemoteError
from orchestrator.failure.foreign import TEXT_CHARACTERS, text_of, writable
from orchestrator.failure.rules import DEFAULT_RULES, Rules
from orchestrator.failure.scrubbing import plain, scrub
from orchestrator.failure.words import ErrorCategory, ErrorSeverity


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What is kept of an error. `exception` is the live object and never leaves the process.

    `retry_after` is in seconds, where the other side asked for a delay.
    """

    error_id: str
    category: ErrorCategory
    severity: ErrorSeverity
    message: str
    exception: BaseException | None = None
    traceback: str = ""
    step_id: str | None = None
    step_name: str | None = None
    execution_id: str | None = None
    timestamp: datetime = field(default_factory=utc_now)
    context: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None

    @classmethod
    def of(
        cls,
        exc: BaseException,
        *,
        error_id: str,
        timestamp: datetime,
        rules: Rules = DEFAULT_RULES,
        step_id: str | None = None,
        step_name: str | None = None,
        execution_id: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> ErrorInfo:
        """Describe an exception: classified, with its traceback, without what looks like a credential."""
        found = rules.classify(exc, timestamp.timestamp())
        return cls(
            error_id=error_id,
            category=found.category,
            severity=found.severity,
            message=scrub(_sentence(exc)),
            exception=exc,
            traceback=_traceback(exc),
            step_id=step_id,
            step_name=step_name,
            execution_id=execution_id,
            timestamp=timestamp,
            context=dict(context or {}),
            retry_after=found.retry_after,
        )

    def __iter__(self) -> Iterator[ErrorCategory | ErrorSeverity]:
        """Category and severity: `category, severity = manager.classify_error(exc)`."""
        return iter((self.category, self.severity))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready and without secrets: enums as values, time as ISO text, the exception as its text."""
        return {
            "error_id": self.error_id,
            "category": str(self.category),
            "severity": str(self.severity),
            "message": scrub(self.message),
            "exception": scrub(text_of(self.exception)) if self.exception is not None else None,
            "type": _type_name(self.exception) if self.exception is not None else None,
            "traceback": scrub(self.traceback),
            "step_id": self.step_id,
            "step_name": self.step_name,
            "execution_id": self.execution_id,
            "timestamp": self.timestamp.isoformat(),
            "context": plain(self.context),
            "retry_after": self.retry_after,
        }


def _type_name(exc: BaseException) -> str:
    return exc.type_name if isinstance(exc, RemoteError) else type(exc).__qualname__


def _sentence(exc: BaseException) -> str:
    text = text_of(exc)
    if isinstance(exc, OrchestratorError):  # written as a sentence already
        return text
    return f"{_type_name(exc)}: {text}" if text else _type_name(exc)


def _traceback(exc: BaseException) -> str:
    """Its last 8,000 characters; scrubbed before they are cut, so that half a secret is not missed."""
    lines = [exc.remote_traceback] if isinstance(exc, RemoteError) else tb.format_exception(exc)
    return scrub(writable("".join(lines)[-2 * TEXT_CHARACTERS :]))[-TEXT_CHARACTERS:]
