"""Orchestrator: durable pipelines for Python.

The front door. Importing it costs next to nothing: each name is fetched from its module at its first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.app import Handle, Orchestrator, arun, fork, resume, run, start, validate
    from orchestrator.errors import OrchestratorError
    from orchestrator.execution.engine import ExecutionResult
    from orchestrator.execution.progress import current_attempt, progress
    from orchestrator.failure import RetryConfig
    from orchestrator.functions import (
        approve,
        as_completed,
        checkpoint,
        flow,
        now,
        patched,
        pipeline,
        random,
        rollback,
        run_pipeline,
        sleep,
        start_child,
        step,
        uuid,
        variables,
        wait_for_signal,
    )
    from orchestrator.journal.codec import register_type
    from orchestrator.pipelines.model import (
        Case,
        Concurrency,
        Effect,
        FormField,
        InputSpec,
        OnError,
        Pipeline,
        Retry,
        Step,
    )
    from orchestrator.status import ExecutionStatus, StepStatus

__version__ = "0.1.0"

_HOMES = {
    "Orchestrator": "app",
    "Handle": "app",
    "run": "app",
    "start": "app",
    "fork": "app",
    "arun": "app",
    "resume": "app",
    "validate": "app",
    "OrchestratorError": "errors",
    "ExecutionResult": "execution.engine",
    "progress": "execution.progress",
    "current_attempt": "execution.progress",
    "RetryConfig": "failure",
    "register_type": "journal.codec",
    "Pipeline": "pipelines.model",
    "Step": "pipelines.model",
    "Case": "pipelines.model",
    "InputSpec": "pipelines.model",
    "Retry": "pipelines.model",
    "OnError": "pipelines.model",
    "Effect": "pipelines.model",
    "FormField": "pipelines.model",
    "Concurrency": "pipelines.model",
    "step": "functions",
    "pipeline": "functions",
    "approve": "functions",
    "as_completed": "functions",
    "checkpoint": "functions",
    "flow": "functions",
    "now": "functions",
    "patched": "functions",
    "random": "functions",
    "rollback": "functions",
    "run_pipeline": "functions",
    "sleep": "functions",
    "start_child": "functions",
    "uuid": "functions",
    "variables": "functions",
    "wait_for_signal": "functions",
    "ExecutionStatus": "status",
    "StepStatus": "status",
}

__all__ = [
    "Case",
    "Concurrency",
    "Effect",
    "ExecutionResult",
    "ExecutionStatus",
    "FormField",
    "Handle",
    "InputSpec",
    "OnError",
    "Orchestrator",
    "OrchestratorError",
    "Pipeline",
    "Retry",
    "RetryConfig",
    "Step",
    "StepStatus",
    "approve",
    "arun",
    "as_completed",
    "checkpoint",
    "current_attempt",
    "flow",
    "fork",
    "now",
    "patched",
    "pipeline",
    "progress",
    "random",
    "register_type",
    "resume",
    "rollback",
    "run",
    "run_pipeline",
    "sleep",
    "start",
    "start_child",
    "step",
    "uuid",
    "validate",
    "variables",
    "wait_for_signal",
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
