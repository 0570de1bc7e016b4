"""Recovery: what follows when an attempt fails."""

from orchestrator.execution.progress import create_progress_tracker
from orchestrator.execution.recovery.calling import StepExecutor, call, fits
from orchestrator.execution.recovery.choosing import PlanHandler
from orchestrator.execution.recovery.ledger import MAX_ROLLBACKS
from orchestrator.execution.recovery.manager import RecoveryManager, create_recovery_manager
from orchestrator.execution.recovery.performing import RecoverableContext, RecoveryTracker
from orchestrator.execution.recovery.plan import RETRIES, RecoveryPlan, RecoveryStrategy, fail_fast
from orchestrator.execution.recovery.ready import (
    critical_error_handler,
    network_error_handler,
    timeout_error_handler,
)
from orchestrator.execution.recovery.retrying import (
    ENGINE_FAULTS,
    MAX_CLAIMS_WITHOUT_PROGRESS,
    AttemptPlan,
    GaveUp,
    attempts,
)
from orchestrator.execution.recovery.waiting import Answer, Decision
from orchestrator.failure import Classifier, ErrorCategory, ErrorInfo, ErrorSeverity, RetryConfig, classify

__all__ = [  # noqa: RUF022 - the contract's names first
    "RecoveryStrategy",
    "ErrorSeverity",
    "ErrorCategory",
    "ErrorInfo",
    "RetryConfig",
    "RecoveryPlan",
    "RecoveryManager",
    "network_error_handler",
    "timeout_error_handler",
    "critical_error_handler",
    "create_recovery_manager",
    "create_progress_tracker",
    "Answer",
    "AttemptPlan",
    "Classifier",
    "Decision",
    "ENGINE_FAULTS",
    "GaveUp",
    "MAX_CLAIMS_WITHOUT_PROGRESS",
    "MAX_ROLLBACKS",
    "PlanHandler",
    "RETRIES",
    "RecoverableContext",
    "RecoveryTracker",
    "StepExecutor",
    "attempts",
    "call",
    "fits",
    "classify",
    "fail_fast",
]
