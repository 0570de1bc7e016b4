"""Retry policy as data, and the one place where it is decided whether and when to try again."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from random import Random
from typing import Any

from orchestrator.errors import InputError
from orchestrator.failure.info import ErrorInfo
from orchestrator.failure.words import ErrorCategory

_LARGEST = sys.float_info.max

#: What a plan retries where nothing else is said.
RETRIED_BY_DEFAULT = frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT, ErrorCategory.RESOURCE})


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """When and how soon to try again. Delays are in seconds; `max_attempts` counts tries in all.

    `jitter` (0 to 1) is the share of a delay that chance takes off or adds. A `retry_condition` is called with the
    error, and with the attempts made so far where it takes two arguments; one that raises says no, which is logged.
    `timeout` is how many seconds tries and waits may take in all from the first failure on.
    """

    max_attempts: int = 3
    initial_delay: float = 1.0
    max_delay: float = 60.0
    backoff_factor: float = 2.0
    exponential_backoff: bool = True
    jitter: float = 0.0
    retry_on_categories: Set[ErrorCategory] = RETRIED_BY_DEFAULT
    retry_condition: Callable[..., bool] | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "retry_on_categories", _categories(self.retry_on_categories))
        _check("max_attempts", self.max_attempts, "a whole number, 0 or more", kinds=int)
        _check("initial_delay", self.initial_delay)
        _check("max_delay", self.max_delay)
        _check("backoff_factor", self.backoff_factor, "a number, 1 or more", least=1)
        _check("jitter", self.jitter, "a number from 0 to 1", most=1)
        if self.timeout is not None:
            _check("timeout", self.timeout)

    def should_retry(self, error_info: ErrorInfo, attempt: int) -> bool:
        """Whether to try again after `attempt` tries were made. A condition decides alone where one is given."""
        if attempt >= self.max_attempts:
            return False
        if self.retry_condition is not None:
            return _holds(self.retry_condition, error_info, attempt)
        return error_info.category in self.retry_on_categories

    def has_attempts_left(self, error_info: ErrorInfo, attempt: int) -> bool:
        """The same for a plan that was chosen for this very error: its category was a reason, not an obstacle.

        So the categories count only where they are not the default ones.
        """
        if self.retry_condition is None and self.retry_on_categories == RETRIED_BY_DEFAULT:
            return attempt < self.max_attempts
        return self.should_retry(error_info, attempt)

    def covers(self, error_info: ErrorInfo) -> bool:
        """Whether errors of this kind are tried again at all; a condition may still say no."""
        return self.retry_condition is not None or error_info.category in self.retry_on_categories

    def get_delay(self, attempt: int, random: Random | None = None) -> float:
        """Seconds to wait when `attempt` retries were made so far (from 0): exponential, capped.

        With `random`, give or take up to `jitter` of it.
        """
        delay = self.initial_delay
        if self.exponential_backoff:
            delay = min(self.max_delay, self.initial_delay * self._growth(attempt))
        if self.jitter and random is not None:
            delay *= 1 + self.jitter * random.uniform(-1, 1)
        return max(0.0, delay)

    def _growth(self, attempt: int) -> float:
        """`backoff_factor ** attempt`, or the largest number there is."""
        try:
            return float(self.backoff_factor) ** min(attempt, 2**53)
        except OverflowError:
            return _LARGEST

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a condition is left out."""
        return {
            "max_attempts": self.max_attempts,
            "initial_delay": self.initial_delay,
            "max_delay": self.max_delay,
            "backoff_factor": self.backoff_factor,
            "exponential_backoff": self.exponential_backoff,
            "jitter": self.jitter,
            "retry_on_categories": sorted(self.retry_on_categories),
            **({"timeout": self.timeout} if self.timeout is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RetryConfig:
        """The config that `to_dict` described; what is missing has its default. InputError where it is none."""
        try:
            return cls(**data)
        except TypeError as exc:
            raise InputError(f"this is no retry config: {exc}") from exc


def _categories(given: Iterable[ErrorCategory | str]) -> frozenset[ErrorCategory]:
    try:
        return frozenset(map(ErrorCategory, (given,) if isinstance(given, str) else given))
    except (TypeError, ValueError):
        raise InputError(f"retry_on_categories must be some of {', '.join(ErrorCategory)}, not {given!r}") from None


def _check(
    name: str,
    value: Any,
    what: str = "seconds, 0 or more",
    *,
    kinds: Any = int | float,
    least: float = 0,
    most: float = _LARGEST,
) -> None:
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise InputError(f"{name} must be {what}, not {value!r}")


def _holds(condition: Callable[..., bool], error_info: ErrorInfo, attempt: int) -> bool:
    arguments = (error_info, attempt) if _takes_two(condition) else (error_info,)
    try:
        return bool(condition(*arguments))
    except Exception:  # logged: who asks has an error in hand already, which must not be lost
        import logging  # an ordinary error needs none of it

        logging.getLogger(__name__).exception("retry_condition_failed: %r; not tried again", condition)
        return False


def _takes_two(condition: Callable[..., bool]) -> bool:
    try:
        inspect.signature(condition).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a built-in one, which does not tell
        pass
    return True


#: A step without `retry` has one attempt.
ONE_ATTEMPT = RetryConfig(max_attempts=1)
