"""Orchestrator: durable pipelines for Python.

The front door. Importing it costs next to nothing: each name is fetched from its module at its first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator, arun, resume, run, validate
    from orchestrator.errors import OrchestratorError
    from orchestrator.execution.engine import ExecutionResult
    from orchestrator.execution.progress import current_attempt, progress
    from orchestrator.failure import RetryConfig
    from orchestrator.pipelines.model import InputSpec, Pipeline, Retry, Step
    from orchestrator.status import ExecutionStatus, StepStatus

__version__ = "0.1.0"

_HOMES = {
    "Orchestrator": "app",
    "run": "app",
    "arun": "app",
    "resume": "app",
    "validate": "app",
    "OrchestratorError": "errors",
    "ExecutionResult": "execution.engine",
    "progress": "execution.progress",
    "current_attempt": "execution.progress",
    "RetryConfig": "failure",
    "Pipeline": "pipelines.model",
    "Step": "pipelines.model",
    "InputSpec": "pipelines.model",
    "Retry": "pipelines.model",
    "ExecutionStatus": "status",
    "StepStatus": "status",
}

__all__ = [
    "ExecutionResult",
    "ExecutionStatus",
    "InputSpec",
    "Orchestrator",
    "OrchestratorError",
    "Pipeline",
    "Retry",
    "RetryConfig",
    "Step",
    "StepStatus",
    "arun",
    "current_attempt",
    "progress",
    "resume",
    "run",
    "validate",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    value = getattr(import_module(f"orchestrator.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
