"""Retry decisions, and the waits that the other side asks for."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.clock import utc
from orchestrator.errors import InputError
from orchestrator.failure import RETRIED_BY_DEFAULT, ErrorCategory, ErrorInfo, ErrorSeverity, RetryConfig, classify

C = ErrorCategory
NOW = 1_800_000_000.0


def error(category: C = C.NETWORK) -> ErrorInfo:
    return ErrorInfo("1", category, ErrorSeverity.MEDIUM, "it failed")


seconds = st.floats(0, 1e6)
configs = st.builds(
    RetryConfig,
    max_attempts=st.integers(0, 8),
    initial_delay=seconds,
    max_delay=seconds,
    backoff_factor=st.floats(1, 1e6) | st.integers(1, 100),
    exponential_backoff=st.booleans(),
    retry_on_categories=st.frozensets(st.sampled_from(C)),
)


@given(configs, st.integers(0, 10), st.sampled_from(C))
def test_it_retries_what_is_covered_as_long_as_attempts_are_left(config: RetryConfig, made: int, category: C) -> None:
    left, covered = made < config.max_attempts, category in config.retry_on_categories
    assert config.should_retry(error(category), made) == (left and covered)
    assert config.covers(error(category)) == covered
    chosen = left and (covered or config.retry_on_categories == RETRIED_BY_DEFAULT)
    assert config.has_attempts_left(error(category), made) == chosen


@given(configs, st.integers(0, 10), st.sampled_from(C), st.booleans())
def test_a_condition_decides_alone(config: RetryConfig, made: int, category: C, says: bool) -> None:
    asked = []

    def condition(info: ErrorInfo, attempt: int) -> bool:
        asked.append((info.category, attempt))
        return says

    given_one = RetryConfig(max_attempts=config.max_attempts, retry_condition=condition)
    expected = made < config.max_attempts and says
    assert given_one.should_retry(error(category), made) == expected
    assert given_one.has_attempts_left(error(category), made) == expected
    assert asked == [(category, made)] * (2 * (made < config.max_attempts))
    assert given_one.covers(error(category))


def test_a_condition_may_look_at_the_error_alone() -> None:
    config = RetryConfig(retry_condition=lambda info: info.category is C.USER)
    assert config.should_retry(error(C.USER), 1)
    assert not config.should_retry(error(C.NETWORK), 1)


def test_a_condition_that_raises_says_no_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    config = RetryConfig(retry_condition=lambda info, attempt: 1 / 0 > 1)
    with caplog.at_level(logging.ERROR):
        assert not config.should_retry(error(), 1)
    assert "retry_condition_failed" in caplog.text


@given(configs, st.integers(0, 2000))
def test_delays_follow_the_formula_and_never_overflow(config: RetryConfig, retries: int) -> None:
    try:
        grown = config.initial_delay * float(config.backoff_factor) ** retries
    except OverflowError:
        grown = float("inf") if config.initial_delay else 0.0
    expected = min(config.max_delay, grown) if config.exponential_backoff else config.initial_delay
    assert config.get_delay(retries) == pytest.approx(expected)
    assert config.get_delay(10**400) <= max(config.max_delay, config.initial_delay)


@given(configs, st.integers(0, 50))
def test_delays_never_shrink(config: RetryConfig, retries: int) -> None:
    assert config.get_delay(retries) <= config.get_delay(retries + 1)


@pytest.mark.timeout(5)
def test_a_whole_factor_is_no_reason_to_compute_a_number_of_a_billion_digits() -> None:
    assert RetryConfig(backoff_factor=3).get_delay(10**9) == 60.0
    assert RetryConfig(backoff_factor=1).get_delay(10**400) == 1.0


def test_jitter_stays_within_its_share_and_needs_chance() -> None:
    config = RetryConfig(initial_delay=10, exponential_backoff=False, jitter=0.5)
    delays = {config.get_delay(0, Random(seed)) for seed in range(50)}
    assert len(delays) > 10
    assert all(5 <= delay <= 15 for delay in delays)
    assert config.get_delay(0) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": -1},
        {"max_attempts": 1.5},
        {"max_attempts": True},
        {"initial_delay": -1},
        {"initial_delay": float("nan")},
        {"max_delay": float("inf")},
        {"max_delay": "60"},
        {"backoff_factor": 0.5},
        {"jitter": 1.1},
        {"jitter": None},
        {"retry_on_categories": ["nothing"]},
        {"retry_on_categories": 3},
    ],
    ids=str,
)
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        RetryConfig(**wrong)


@given(configs)
def test_a_config_is_plain_data_and_comes_back(config: RetryConfig) -> None:
    import json

    assert RetryConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_categories_may_be_given_in_any_way() -> None:
    assert RetryConfig(retry_on_categories={C.USER}) == RetryConfig(retry_on_categories=["user"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no retry config"):
        RetryConfig.from_dict({"tries": 3})


# -- Retry-After -------------------------------------------------------------------------------------------------------


def limited(**attributes: Any) -> Exception:
    exc = RuntimeError("slow down")
    vars(exc).update(attributes)
    return exc


def headers(value: Any, name: str = "Retry-After") -> SimpleNamespace:
    return SimpleNamespace(headers={"Date": "x", name: value})


def asked(exc: BaseException) -> float | None:
    return classify(exc, now=NOW).retry_after


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
@pytest.mark.parametrize("value", ["7", " 7 ", 7, 7.0, b"7"])
def test_seconds_wherever_they_stand(name: str, value: Any) -> None:
    for exc in (
        limited(response=headers(value, name)),
        limited(headers={name: value}),
        limited(response={"ResponseMetadata": {"HTTPHeaders": {name: value}}}),
        limited(retry_after=value),
    ):
        assert asked(exc) == 7.0


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_a_date_in_each_of_its_three_forms(form: str) -> None:
    date = (datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90)).strftime(form)
    assert asked(limited(response=headers(date))) == 90.0


@given(st.floats(-1e6, 1e6))
def test_a_date_is_measured_from_now_and_never_below_zero(offset: float) -> None:
    date = format_datetime(utc(NOW + offset), usegmt=True)
    found = asked(limited(retry_after=date))
    assert found is not None
    assert found == pytest.approx(min(max(0.0, offset), 86_400.0), abs=1.0)


@pytest.mark.parametrize(
    "value", ["soon", "", "nan", "inf", float("nan"), float("inf"), [], {}, object(), "1" * 400, None]
)
def test_what_makes_no_sense_is_not_obeyed(value: Any) -> None:
    assert asked(limited(retry_after=value)) is None


def test_a_wait_is_at_most_a_day_and_never_negative() -> None:
    assert asked(limited(retry_after=10**9)) == 86_400.0
    assert asked(limited(retry_after=-5)) == 0.0
    assert asked(limited(retry_after=timedelta(minutes=1))) == 60.0
    assert asked(limited(retry_after="Fri, 31 Dec 9999 23:59:59 GMT")) == 86_400.0


def test_causes_and_members_of_a_group_are_asked_and_the_longest_wait_counts() -> None:
    outer = limited()
    outer.__cause__ = limited(retry_after=5)
    assert asked(outer) == 5.0
    assert asked(ExceptionGroup("g", [limited(retry_after=3), outer, ValueError()])) == 5.0


def test_headers_that_raise_are_no_headers() -> None:
    class Bad:
        def items(self) -> Any:
            raise RuntimeError("no")

    assert asked(limited(response=SimpleNamespace(headers=Bad()))) is None


def test_the_time_of_the_error_is_what_a_date_is_measured_from() -> None:
    exc = limited(retry_after=format_datetime(utc(NOW + 30), usegmt=True))
    assert ErrorInfo.of(exc, error_id="1", timestamp=utc(NOW)).retry_after == 30.0
