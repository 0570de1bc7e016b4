"""Errors as data, and retry policy as data.

An exception lives in one process; what the journal keeps of it is an `ErrorInfo`. How an exception is classified is a
table (`RULES`) read along the exception's bases and its cause chain, never a chain of `if`s. Names of foreign
exceptions are compared as text, so that no client library is imported to recognise its errors.
"""

from __future__ import annotations

import errno
import math
import re
import traceback as tb
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from random import Random
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.errors import OrchestratorError, RemoteError


class ErrorSeverity(StrEnum):
    """How bad it is; a default plan is chosen by it."""

    LOW = auto()
    MEDIUM = auto()
    HIGH = auto()
    CRITICAL = auto()


class ErrorCategory(StrEnum):
    """What kind of fault it is; YAML `retry: {on: [...]}` names these words."""

    VALIDATION = auto()
    EXECUTION = auto()
    TIMEOUT = auto()
    RESOURCE = auto()
    NETWORK = auto()
    AUTHENTICATION = auto()
    SYSTEM = auto()
    DEPENDENCY = auto()
    CONFIGURATION = auto()
    USER = auto()
    UNKNOWN = auto()


_C, _V = ErrorCategory, ErrorSeverity

#: Qualified name of an exception type -> (category, severity). The first base (method resolution order) listed decides.
RULES: Mapping[str, tuple[ErrorCategory, ErrorSeverity]] = {
    "orchestrator.errors.StepTimeoutError": (_C.TIMEOUT, _V.MEDIUM),
    "orchestrator.errors.WorkerLostError": (_C.RESOURCE, _V.MEDIUM),
    "orchestrator.errors.HandlerStillRunningError": (_C.SYSTEM, _V.HIGH),
    "orchestrator.errors.TooManyInterruptionsError": (_C.SYSTEM, _V.CRITICAL),
    "orchestrator.errors.ShellError": (_C.EXECUTION, _V.MEDIUM),
    "orchestrator.errors.CodecError": (_C.VALIDATION, _V.HIGH),
    "orchestrator.errors.PipelineError": (_C.CONFIGURATION, _V.HIGH),
    "orchestrator.errors.InputError": (_C.VALIDATION, _V.LOW),
    "builtins.MemoryError": (_C.RESOURCE, _V.CRITICAL),
    "builtins.RecursionError": (_C.EXECUTION, _V.HIGH),
    "builtins.TimeoutError": (_C.TIMEOUT, _V.MEDIUM),
    "builtins.ConnectionError": (_C.NETWORK, _V.MEDIUM),
    "builtins.ImportError": (_C.DEPENDENCY, _V.HIGH),
    "builtins.ValueError": (_C.VALIDATION, _V.LOW),
    "builtins.TypeError": (_C.VALIDATION, _V.LOW),
    "builtins.LookupError": (_C.VALIDATION, _V.LOW),
    "builtins.AssertionError": (_C.VALIDATION, _V.LOW),
    "builtins.ArithmeticError": (_C.EXECUTION, _V.LOW),
    "builtins.AttributeError": (_C.EXECUTION, _V.LOW),
    "builtins.NameError": (_C.EXECUTION, _V.HIGH),
    "builtins.NotImplementedError": (_C.EXECUTION, _V.HIGH),
    "socket.gaierror": (_C.NETWORK, _V.MEDIUM),
    "ssl.SSLError": (_C.NETWORK, _V.MEDIUM),
    "http.client.HTTPException": (_C.NETWORK, _V.MEDIUM),
    "urllib.error.URLError": (_C.NETWORK, _V.MEDIUM),
    "requests.exceptions.ConnectionError": (_C.NETWORK, _V.MEDIUM),
    "requests.exceptions.Timeout": (_C.TIMEOUT, _V.MEDIUM),
    "httpx.TimeoutException": (_C.TIMEOUT, _V.MEDIUM),
    "httpx.TransportError": (_C.NETWORK, _V.MEDIUM),
    "aiohttp.client_exceptions.ClientConnectionError": (_C.NETWORK, _V.MEDIUM),
    "psycopg.OperationalError": (_C.NETWORK, _V.MEDIUM),
    "botocore.exceptions.EndpointConnectionError": (_C.NETWORK, _V.MEDIUM),
}

#: errno -> what it means; consulted before the type, since OSError says most by its number.
ERRNO_RULES: Mapping[int, tuple[ErrorCategory, ErrorSeverity]] = {
    errno.ECONNREFUSED: (_C.NETWORK, _V.MEDIUM),
    errno.ECONNRESET: (_C.NETWORK, _V.MEDIUM),
    errno.EHOSTUNREACH: (_C.NETWORK, _V.MEDIUM),
    errno.ENETUNREACH: (_C.NETWORK, _V.MEDIUM),
    errno.EPIPE: (_C.NETWORK, _V.MEDIUM),
    errno.ETIMEDOUT: (_C.TIMEOUT, _V.MEDIUM),
    errno.ENOSPC: (_C.RESOURCE, _V.HIGH),
    errno.EDQUOT: (_C.RESOURCE, _V.HIGH),
    errno.EMFILE: (_C.RESOURCE, _V.MEDIUM),
    errno.ENFILE: (_C.RESOURCE, _V.MEDIUM),
    errno.ENOMEM: (_C.RESOURCE, _V.CRITICAL),
    errno.EAGAIN: (_C.RESOURCE, _V.MEDIUM),
    errno.EACCES: (_C.AUTHENTICATION, _V.HIGH),
    errno.EPERM: (_C.SYSTEM, _V.HIGH),
}

#: HTTP status -> what it means, for exceptions that carry one.
STATUS_RULES: Mapping[int, tuple[ErrorCategory, ErrorSeverity]] = {
    400: (_C.VALIDATION, _V.LOW),
    401: (_C.AUTHENTICATION, _V.HIGH),
    403: (_C.AUTHENTICATION, _V.HIGH),
    404: (_C.VALIDATION, _V.LOW),
    408: (_C.TIMEOUT, _V.MEDIUM),
    422: (_C.VALIDATION, _V.LOW),
    425: (_C.NETWORK, _V.MEDIUM),
    429: (_C.RESOURCE, _V.MEDIUM),
    500: (_C.NETWORK, _V.MEDIUM),
    502: (_C.NETWORK, _V.MEDIUM),
    503: (_C.NETWORK, _V.MEDIUM),
    504: (_C.TIMEOUT, _V.MEDIUM),
}

#: Text of the message -> what it means; the last resort, for types that say nothing.
MESSAGE_RULES: tuple[tuple[re.Pattern[str], ErrorCategory, ErrorSeverity], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), category, severity)
    for pattern, category, severity in (
        (r"\btimed? ?out\b|deadline exceeded", _C.TIMEOUT, _V.MEDIUM),
        (
            r"connection (refused|reset|aborted|closed)|network is unreachable|name or service",
            _C.NETWORK,
            _V.MEDIUM,
        ),
        (
            r"out of memory|no space left|quota exceeded|too many (requests|open files)",
            _C.RESOURCE,
            _V.MEDIUM,
        ),
        (r"unauthori[sz]ed|authentication failed|permission denied|forbidden", _C.AUTHENTICATION, _V.HIGH),
    )
)

#: What is kept of an error's text and of its traceback.
_TEXT_CHARACTERS = 8000

_SECRET = re.compile(
    r"(?P<key>(?:authorization|password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)"
    r"(?P<value>[^\s\"',;&]+)"
    r"|(?P<user>://[^/\s:@]+:)(?P<pass>[^/\s@]+)(?=@)",
    re.IGNORECASE,
)


def scrub(text: str) -> str:
    """The text with what looks like a credential replaced by `***` (`password=…`, `Authorization: …`, `scheme://user:…@`)."""
    return _SECRET.sub(lambda m: (m["key"] or m["user"]) + "***", text)


@dataclass(frozen=True, slots=True)
class Classification:
    """What an exception means; `retry_after` is in seconds, where the other side asked for a delay."""

    category: ErrorCategory
    severity: ErrorSeverity
    retry_after: float | None = None


def classify(exc: BaseException) -> Classification:
    """Classify by code (errno, HTTP status), then by type and its bases, then by message; causes count as well."""
    retry_after = next((s for link in _chain(exc) if (s := _retry_after(link)) is not None), None)
    for rule in (_by_code, _by_type, _by_message):
        for link in _chain(exc):
            if found := rule(link):
                return Classification(*found, retry_after)
    if isinstance(exc, OSError):
        return Classification(_C.SYSTEM, _V.HIGH, retry_after)
    return Classification(
        _C.UNKNOWN if type(exc) is Exception else _C.EXECUTION,
        _V.MEDIUM,
        retry_after,
    )


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from, without going round a loop."""
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _by_code(exc: BaseException) -> tuple[ErrorCategory, ErrorSeverity] | None:
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno in ERRNO_RULES:
        return ERRNO_RULES[exc.errno]
    response = attribute(exc, "response")
    for owner, name in (
        (exc, "status_code"),
        (exc, "status"),
        (exc, "code"),
        (response, "status_code"),
        (response, "status"),
    ):
        code = attribute(owner, name)
        if isinstance(code, int) and code in STATUS_RULES:
            return STATUS_RULES[code]
    return None


def _by_type(exc: BaseException) -> tuple[ErrorCategory, ErrorSeverity] | None:
    if isinstance(exc, RemoteError):  # an exception of a worker process, known by its name only
        return RULES.get(exc.type_name)
    for base in type(exc).__mro__:
        if found := RULES.get(f"{base.__module__}.{base.__qualname__}"):
            return found
    return None


def _by_message(exc: BaseException) -> tuple[ErrorCategory, ErrorSeverity] | None:
    text = text_of(exc)
    return next(((category, severity) for pattern, category, severity in MESSAGE_RULES if pattern.search(text)), None)


def _retry_after(exc: BaseException) -> float | None:
    """`exc.retry_after` in seconds, or the Retry-After header (RFC 9110, seconds form) of its response."""
    value = attribute(exc, "retry_after")
    headers = attribute(attribute(exc, "response"), "headers")
    if value is None and isinstance(headers, Mapping):
        value = headers.get("Retry-After")
    try:
        seconds = float(value) if value is not None else math.nan
    except (TypeError, ValueError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def attribute(owner: object, name: str) -> Any:
    """An attribute of somebody else's object; None where there is none, or where looking at it raises."""
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - an error is being described: another one in the way of that tells nothing
        return None


def text_of(exc: BaseException) -> str:
    """An exception's text, at most 8,000 characters of it, and only such as can be written."""
    try:
        text = str(exc)
    except Exception as inner:  # noqa: BLE001 - as above
        text = f"(its text cannot be made: {type(inner).__name__})"
    return writable(text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…")


def writable(text: str) -> str:
    """The text with lone surrogates, as in names of files that are not UTF-8, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What is kept of an error. `exception` is the live object and never leaves the process."""

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
    def of(cls, exc: BaseException, *, error_id: str, timestamp: datetime, **where: Any) -> ErrorInfo:
        """Describe an exception: classified, with its traceback, without what looks like a credential."""
        found = classify(exc)
        lines = [exc.remote_traceback] if isinstance(exc, RemoteError) else tb.format_exception(exc)
        return cls(
            error_id=error_id,
            category=found.category,
            severity=found.severity,
            message=scrub(_sentence(exc)),
            exception=exc,
            traceback=scrub(writable("".join(lines)[-2 * _TEXT_CHARACTERS :]))[-_TEXT_CHARACTERS:],
            timestamp=timestamp,
            retry_after=found.retry_after,
            **where,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: enums as values, time as ISO text, the exception as its text."""
        return {
            "error_id": self.error_id,
            "category": str(self.category),
            "severity": str(self.severity),
            "message": self.message,
            "exception": scrub(text_of(self.exception)) if self.exception is not None else None,
            "type": _type_name(self.exception) if self.exception is not None else None,
            "traceback": self.traceback,
            "step_id": self.step_id,
            "step_name": self.step_name,
            "execution_id": self.execution_id,
            "timestamp": self.timestamp.isoformat(),
            "context": dict(self.context),
            "retry_after": self.retry_after,
        }


def _type_name(exc: BaseException) -> str:
    return exc.type_name if isinstance(exc, RemoteError) else type(exc).__qualname__


def _sentence(exc: BaseException) -> str:
    text = text_of(exc)
    if isinstance(exc, OrchestratorError):  # written as a sentence already
        return text
    return f"{_type_name(exc)}: {text}" if text else _type_name(exc)


#: What a plan retries where nothing else is said.
RETRIED_BY_DEFAULT = frozenset({_C.NETWORK, _C.TIMEOUT, _C.RESOURCE})


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """When and how soon to try again. Delays are in seconds; `max_attempts` counts tries in all, the first included."""

    max_attempts: int = 3
    initial_delay: float = 1.0
    max_delay: float = 60.0
    backoff_factor: float = 2.0
    exponential_backoff: bool = True
    jitter: float = 0.0
    retry_on_categories: frozenset[ErrorCategory] = RETRIED_BY_DEFAULT
    retry_condition: Callable[[ErrorInfo, int], bool] | None = None

    def should_retry(self, error_info: ErrorInfo, attempt: int) -> bool:
        """Whether to try again after `attempt` tries were made. A condition decides alone where one is given."""
        if attempt >= self.max_attempts:
            return False
        if self.retry_condition is not None:
            return bool(self.retry_condition(error_info, attempt))
        return error_info.category in self.retry_on_categories

    def get_delay(self, attempt: int, random: Random | None = None) -> float:
        """Seconds to wait before retry number `attempt` (from 0): exponential, capped.

        With `random`, give or take up to `jitter` of it.
        """
        delay = self.initial_delay
        if self.exponential_backoff:
            try:
                delay = min(self.max_delay, self.initial_delay * self.backoff_factor**attempt)
            except OverflowError:
                delay = self.max_delay
        if self.jitter and random is not None:
            delay *= 1 + self.jitter * random.uniform(-1, 1)
        return max(0.0, delay)


#: A step without `retry` has one attempt.
ONE_ATTEMPT = RetryConfig(max_attempts=1)
