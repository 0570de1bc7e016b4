"""The engine: runs executions, resumes them, retries them, on an event loop."""

from orchestrator.execution.engine.engine import StateGraphEngine
from orchestrator.execution.engine.inbox import has_posted_answers, post_answer, require_known
from orchestrator.execution.engine.outside import EngineParts
from orchestrator.execution.engine.performer import Kind
from orchestrator.execution.engine.result import ExecutionResult
from orchestrator.execution.engine.rooms import NoteSubscriber
from orchestrator.execution.state import ExecutionState

__all__ = [  # noqa: RUF022 - the contract's names first
    "StateGraphEngine",
    "ExecutionState",
    "ExecutionResult",
    "EngineParts",
    "Kind",
    "NoteSubscriber",
    "has_posted_answers",
    "post_answer",
    "require_known",
]
