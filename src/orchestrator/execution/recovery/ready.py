"""Handlers that are ready to be registered. Each gives a plan for its kind of error, and None for any other."""

from __future__ import annotations

from orchestrator.execution.recovery.plan import RecoveryPlan, RecoveryStrategy, fail_fast
from orchestrator.failure import ErrorCategory, ErrorInfo, ErrorSeverity, RetryConfig


def network_error_handler(error_info: ErrorInfo) -> RecoveryPlan | None:
    """Five attempts, with ever longer waits, for a NETWORK error."""
    if error_info.category is not ErrorCategory.NETWORK:
        return None
    return RecoveryPlan(
        RecoveryStrategy.RETRY_WITH_BACKOFF,
        retry_config=RetryConfig(max_attempts=5),
        description="the network may come back",
    )


def timeout_error_handler(error_info: ErrorInfo) -> RecoveryPlan | None:
    """Three attempts, one second apart, for a TIMEOUT error."""
    if error_info.category is not ErrorCategory.TIMEOUT:
        return None
    return RecoveryPlan(
        RecoveryStrategy.RETRY,
        retry_config=RetryConfig(max_attempts=3, exponential_backoff=False),
        description="it may be quicker next time",
    )


def critical_error_handler(error_info: ErrorInfo) -> RecoveryPlan | None:
    """No further attempt for a CRITICAL error, whatever its category."""
    if error_info.severity is not ErrorSeverity.CRITICAL:
        return None
    return fail_fast("a critical error")
