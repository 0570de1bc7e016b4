"""The words for errors: what kind of fault it is, and how bad."""

from __future__ import annotations

from enum import StrEnum, auto


class ErrorSeverity(StrEnum):
    """How bad it is; a default plan is chosen by it."""

    LOW = auto()
    MEDIUM = auto()
    HIGH = auto()
    CRITICAL = auto()

    @property
    def rank(self) -> int:
        """0 for LOW to 3 for CRITICAL."""
        return tuple(ErrorSeverity).index(self)


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
