"""Progress: how far an execution is, told while it runs."""

from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.notes import PROGRESS_FD, AttemptInfo, current_attempt, progress
from orchestrator.execution.progress.protocols import ProgressTrackerProtocol, WatchedContext, WatchedVariables
from orchestrator.execution.progress.steps import StepProgress
from orchestrator.execution.progress.tracker import ProgressTracker, create_progress_tracker
from orchestrator.execution.progress.tracking import TrackedStep
from orchestrator.status import StepStatus

__all__ = [
    "PROGRESS_FD",
    "AttemptInfo",
    "ExecutionProgress",
    "ProgressEvent",
    "ProgressEventType",
    "ProgressTracker",
    "ProgressTrackerProtocol",
    "StepProgress",
    "StepStatus",
    "TrackedStep",
    "WatchedContext",
    "WatchedVariables",
    "create_progress_tracker",
    "current_attempt",
    "progress",
]  # fmt: skip
