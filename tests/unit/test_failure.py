"""Classification is a table; retry decisions are one function."""

from __future__ import annotations

import errno
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.clock import utc
from orchestrator.errors import EncodeError, RemoteError, ShellError, StepTimeoutError, WorkerLostError
from orchestrator.failure import ErrorCategory as C
from orchestrator.failure import ErrorInfo, RetryConfig, classify, scrub
from orchestrator.failure import ErrorSeverity as S


class ApiError(Exception):
    def __init__(self, status_code: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        self.response = type("Response", (), {"headers": headers or {}, "status_code": status_code})()


@pytest.mark.parametrize(
    ("exc", "category"),
    [
        (ConnectionError("x"), C.NETWORK),
        (ConnectionResetError(errno.ECONNRESET, "x"), C.NETWORK),
        (ValueError("x"), C.VALIDATION),
        (KeyError("x"), C.VALIDATION),
        (TimeoutError(), C.TIMEOUT),
        (MemoryError(), C.RESOURCE),
        (ModuleNotFoundError("x"), C.DEPENDENCY),
        (PermissionError(errno.EACCES, "x"), C.AUTHENTICATION),
        (PermissionError(errno.EPERM, "x"), C.SYSTEM),
        (OSError(errno.ENOSPC, "x"), C.RESOURCE),
        (FileNotFoundError(errno.ENOENT, "x"), C.SYSTEM),
        (ApiError(429), C.RESOURCE),
        (ApiError(401), C.AUTHENTICATION),
        (StepTimeoutError("a", 1), C.TIMEOUT),
        (WorkerLostError("x"), C.RESOURCE),
        (ShellError("x", 1), C.EXECUTION),
        (EncodeError("a", "b"), C.VALIDATION),
        (RemoteError("builtins.ConnectionError", "x"), C.NETWORK),
        (RuntimeError("the read timed out"), C.TIMEOUT),
        (RuntimeError("something"), C.EXECUTION),
        (Exception("something"), C.UNKNOWN),
    ],
)
def test_categories(exc: BaseException, category: C) -> None:
    assert classify(exc).category is category


def test_severities_of_the_contract() -> None:
    assert classify(ConnectionError()).severity is S.MEDIUM
    assert classify(ValueError()).severity is S.LOW


def test_the_cause_counts_where_the_exception_says_nothing() -> None:
    try:
        try:
            raise ConnectionRefusedError
        except ConnectionRefusedError as cause:
            raise RuntimeError("could not load") from cause
    except RuntimeError as exc:
        assert classify(exc).category is C.NETWORK


def test_retry_after_is_read_from_the_exception_or_its_response() -> None:
    assert classify(ApiError(503, {"Retry-After": "7"})).retry_after == 7.0
    odd = RuntimeError()
    odd.retry_after = "soon"  # type: ignore[attr-defined]
    assert classify(odd).retry_after is None


@given(
    st.integers(1, 50),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
    st.floats(1, 10),
    st.floats(0, 1),
)
def test_delays_stay_within_their_bounds(
    attempt: int, initial: float, most: float, factor: float, jitter: float
) -> None:
    config = RetryConfig(initial_delay=initial, max_delay=most, backoff_factor=factor, jitter=jitter)
    plain = RetryConfig(initial_delay=initial, max_delay=most, backoff_factor=factor).get_delay(attempt)
    assert plain == pytest.approx(min(most, initial * factor**attempt))
    assert plain * (1 - jitter) <= config.get_delay(attempt, Random(1)) * 1.0001 + 1e-9
    assert config.get_delay(attempt, Random(1)) <= plain * (1 + jitter) * 1.0001 + 1e-9


def test_a_constant_delay_is_the_initial_one() -> None:
    assert RetryConfig(initial_delay=3, exponential_backoff=False).get_delay(40) == 3


def test_retry_decisions() -> None:
    network = ErrorInfo.of(ConnectionError("x"), error_id="1", timestamp=utc(0))
    wrong = ErrorInfo.of(ValueError("x"), error_id="1", timestamp=utc(0))
    assert RetryConfig(max_attempts=2).should_retry(network, 1)
    assert not RetryConfig(max_attempts=2).should_retry(network, 2)
    assert not RetryConfig(max_attempts=2).should_retry(wrong, 1)
    assert RetryConfig(retry_condition=lambda error, attempt: True).should_retry(wrong, 1)


def test_what_is_kept_of_an_error_is_json_and_names_no_secret() -> None:
    planted = "hunter2"
    try:
        raise ConnectionError(
            f"GET postgres://me:{planted}@db/x failed, password={planted}, Authorization: Bearer {planted}"
        )
    except ConnectionError as exc:
        kept = ErrorInfo.of(exc, error_id="1", timestamp=utc(0), step_id="a").to_dict()
    text = json.dumps(kept)
    assert planted not in text
    assert kept["category"] == "network"
    assert "ConnectionError" in kept["message"]
    assert "Traceback" in kept["traceback"]


def test_scrub_leaves_plain_text_alone() -> None:
    assert scrub("tokenised 3 rows; the key is missing") == "tokenised 3 rows; the key is missing"
