"""Errors as data, and retry policy as data: the ground on which recovery stands."""

from orchestrator.failure.classifier import Classifier
from orchestrator.failure.codes import statuses
from orchestrator.failure.foreign import attribute, names_of, text_of, writable
from orchestrator.failure.info import ErrorInfo
from orchestrator.failure.retry import ONE_ATTEMPT, RETRIED_BY_DEFAULT, RetryConfig
from orchestrator.failure.rules import DEFAULT_RULES, Classification, Rules, classify
from orchestrator.failure.scrubbing import plain, scrub
from orchestrator.failure.words import ErrorCategory, ErrorSeverity

__all__ = [
    "DEFAULT_RULES",
    "ONE_ATTEMPT",
    "RETRIED_BY_DEFAULT",
    "Classification",
    "Classifier",
    "ErrorCategory",
    "ErrorInfo",
    "ErrorSeverity",
    "RetryConfig",
    "Rules",
    "attribute",
    "classify",
    "names_of",
    "plain",
    "scrub",
    "statuses",
    "text_of",
    "writable",
]
