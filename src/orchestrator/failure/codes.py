"""The codes that exceptions carry: errno, SQLSTATE, HTTP status, a service's own word."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from orchestrator.failure.foreign import attribute, called, inside, names_of


def errnos(exc: BaseException) -> Iterator[int]:
    """The kernel's number."""
    number = attribute(exc, "errno")
    if _is_number(number):
        yield number


def sqlstates(exc: BaseException) -> Iterator[str]:
    """Five characters of SQL's own: `sqlstate` (psycopg, asyncpg), `pgcode` (psycopg2), also of SQLAlchemy's `orig`."""
    for owner in (exc, attribute(exc, "orig")):
        for name in ("sqlstate", "pgcode"):
            state = attribute(owner, name)
            if isinstance(state, str):
                yield state.upper()


def statuses(exc: BaseException) -> Iterator[int]:
    """HTTP statuses that tell of a fault: on the exception, or on its response."""
    response = attribute(exc, "response")
    for found in (
        *(attribute(exc, name) for name in ("status_code", "status", "code", "http_status")),
        *(attribute(response, name) for name in ("status_code", "status")),
        inside(response, "ResponseMetadata", "HTTPStatusCode"),
    ):
        if _is_number(found) and 400 <= found <= 599:
            yield int(found)


def service_codes(exc: BaseException) -> Iterator[str]:
    """The word by which a service or a database names the fault."""
    code = attribute(exc, "code")
    if callable(code) and any(module.partition(".")[0] == "grpc" for module, _ in names_of(exc)):
        code = called(code)
    for found in (
        code,
        inside(attribute(exc, "response"), "Error", "Code"),
        attribute(exc, "sqlite_errorname"),
    ):
        word = found.name if isinstance(found, Enum) and isinstance(found.name, str) else found
        if isinstance(word, str):
            yield word


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
