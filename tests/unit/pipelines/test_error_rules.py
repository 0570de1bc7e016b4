"""Which errors a rule of `on_error` is for: all that it says must hold, and what it does not say always does."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.failure import ErrorCategory, ErrorSeverity
from orchestrator.pipelines.specs import ErrorRule

#: An error: what `matches` is asked about.
TIMEOUT: dict[str, Any] = {
    "category": ErrorCategory.TIMEOUT,
    "severity": ErrorSeverity.MEDIUM,
    "type_names": ("Timeout", "requests.exceptions.Timeout", "RequestException", "OSError", "builtins.OSError"),
    "status": 504,
    "message": "The Gateway timed out: straße",
}

#: What a rule may say: something that is so, and something that is not.
CONDITIONS: list[tuple[str, Any, Any]] = [
    ("categories", {ErrorCategory.USER, ErrorCategory.TIMEOUT}, {ErrorCategory.NETWORK}),
    ("severities", {ErrorSeverity.MEDIUM}, {ErrorSeverity.LOW, ErrorSeverity.HIGH}),
    ("exceptions", {"KeyError", "OSError"}, {"exceptions.Timeout", "Error"}),
    ("exceptions", {"requests.exceptions.Timeout"}, {"requests.Timeout"}),
    ("statuses", {503, 504}, {500}),
    ("message", "gateway TIMED", "gateway  timed"),
    ("message", "STRASSE", "street"),
]


def rule(**conditions: Any) -> ErrorRule:
    frozen = {key: value if isinstance(value, str) else frozenset(value) for key, value in conditions.items()}
    return ErrorRule(strategy="skip", **frozen)


def test_a_rule_that_says_nothing_is_for_every_error() -> None:
    assert rule().matches(**TIMEOUT)
    assert rule().matches(ErrorCategory.UNKNOWN, ErrorSeverity.LOW, (), None, "")


@pytest.mark.parametrize(("field", "so", "not_so"), CONDITIONS)
def test_each_condition_alone(field: str, so: Any, not_so: Any) -> None:
    assert rule(**{field: so}).matches(**TIMEOUT)
    assert not rule(**{field: not_so}).matches(**TIMEOUT)


@pytest.mark.parametrize(("field", "so", "not_so"), CONDITIONS)
def test_all_of_them_must_hold(field: str, so: Any, not_so: Any) -> None:
    good = {name: value for name, value, _ in CONDITIONS}
    assert rule(**good).matches(**TIMEOUT)
    assert not rule(**good | {field: not_so}).matches(**TIMEOUT)


def test_an_error_without_a_status_has_none_of_them() -> None:
    assert not rule(statuses={504}).matches(**TIMEOUT | {"status": None})
