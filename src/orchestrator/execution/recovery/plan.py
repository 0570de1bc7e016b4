"""A plan: which way out of a failure is taken, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum, auto
from typing import Any

from orchestrator.errors import InputError
from orchestrator.failure import ErrorInfo, RetryConfig


class RecoveryStrategy(StrEnum):
    """The ways out of a failure."""

    FAIL_FAST = auto()
    RETRY = auto()
    RETRY_WITH_BACKOFF = auto()
    SKIP = auto()
    ROLLBACK = auto()
    MANUAL_INTERVENTION = auto()
    ALTERNATIVE_PATH = auto()


#: The ways that try the same step again, after a while.
RETRIES = frozenset({RecoveryStrategy.RETRY, RecoveryStrategy.RETRY_WITH_BACKOFF})

_BACKOFF = RetryConfig()
_CONSTANT = RetryConfig(exponential_backoff=False)


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """Which way out of a failure to take.

    `timeout` bounds the whole recovery: seconds, or a timedelta, which becomes seconds. `target_checkpoint` None is the
    latest one. Only the strategies that they belong to read the other fields.
    """

    strategy: RecoveryStrategy
    target_checkpoint: str | None = None
    alternative_steps: list[str] = field(default_factory=list)
    retry_config: RetryConfig | None = None
    manual_instructions: str | None = None
    timeout: float | timedelta | None = None
    default_output: Any = None
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy", _strategy(self.strategy))
        object.__setattr__(self, "alternative_steps", _steps(self.alternative_steps))
        object.__setattr__(self, "timeout", _seconds(self.timeout))
        if not (self.retry_config is None or isinstance(self.retry_config, RetryConfig)):
            raise InputError(f"retry_config must be a RetryConfig, not {self.retry_config!r}")

    @property
    def retry(self) -> RetryConfig:
        """What its retries follow. Where nothing is given, RETRY always waits one second, a backoff ever longer."""
        if self.retry_config is not None:
            return self.retry_config
        return _CONSTANT if self.strategy is RecoveryStrategy.RETRY else _BACKOFF

    @property
    def timeout_seconds(self) -> float | None:
        """`timeout` as a number of seconds."""
        return _seconds(self.timeout)

    def is_automated(self) -> bool:
        """Whether it goes on without a person."""
        return self.strategy is not RecoveryStrategy.MANUAL_INTERVENTION

    def if_covered(self, error: ErrorInfo) -> RecoveryPlan:
        """The plan as a default, which nobody chose for this very error.

        As such it retries only what its config covers; anything else is FAIL_FAST.
        """
        if self.strategy in RETRIES and not self.retry.covers(error):
            return fail_fast(f"{error.category} errors are not tried again")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data: without `default_output`, which may be any value, and a retry condition, which is code."""
        data = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "default_output"}
        data["retry_config"] = self.retry_config.to_dict() if self.retry_config is not None else None
        return {**data, "strategy": str(self.strategy), "alternative_steps": [*self.alternative_steps]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], default_output: Any = None) -> RecoveryPlan:
        """The plan that `to_dict` described; what is missing has its default. InputError where it is none."""
        retry = data.get("retry_config")
        config = RetryConfig.from_dict(retry) if retry is not None else None
        try:
            return cls(**{**data, "retry_config": config, "default_output": default_output})
        except TypeError as exc:
            raise InputError(f"this is no recovery plan: {exc}") from exc


def fail_fast(description: str = "") -> RecoveryPlan:
    """The plan that gives up."""
    return RecoveryPlan(RecoveryStrategy.FAIL_FAST, description=description)


def _strategy(given: RecoveryStrategy | str) -> RecoveryStrategy:
    try:
        return RecoveryStrategy(given)
    except ValueError:
        raise InputError(f"{given!r} is no strategy: one of {', '.join(RecoveryStrategy)}") from None


def _steps(given: Any) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(step, str) for step in given):
        raise InputError(f"alternative_steps must be a list of step ids, not {given!r}")
    return list(given)


def _seconds(given: Any) -> float | None:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is None or (number and 0 <= seconds < float("inf")):
        return seconds
    raise InputError(f"timeout must be seconds, 0 or more, not {given!r}")
