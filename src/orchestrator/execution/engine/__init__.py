"""The engine: runs executions, resumes them, retries them, on an event loop."""

from orchestrator.execution.engine.beginning import steps_of
from orchestrator.execution.engine.checking import ReplayCheck
from orchestrator.execution.engine.engine import StateGraphEngine
from orchestrator.execution.engine.foresight import ExecutionPlan, StepForecast
from orchestrator.execution.engine.hosting import PATIENCE_SECONDS
from orchestrator.execution.engine.inbox import (
    has_posted_answers,
    open_questions,
    post_answer,
    post_signal,
    require_known,
)
from orchestrator.execution.engine.outside import EngineParts
from orchestrator.execution.engine.performer import Kind
from orchestrator.execution.engine.questions import Question
from orchestrator.execution.engine.result import ExecutionResult
from orchestrator.execution.engine.rooms import NoteSubscriber
from orchestrator.execution.engine.timetravel import CheckpointInfo
from orchestrator.execution.state import ExecutionState

__all__ = [  # noqa: RUF022 - the contract's names first
    "StateGraphEngine",
    "ExecutionState",
    "ExecutionResult",
    "EngineParts",
    "ExecutionPlan",
    "StepForecast",
    "CheckpointInfo",
    "Question",
    "ReplayCheck",
    "PATIENCE_SECONDS",
    "Kind",
    "NoteSubscriber",
    "has_posted_answers",
    "open_questions",
    "post_answer",
    "post_signal",
    "steps_of",
    "require_known",
]
