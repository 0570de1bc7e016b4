"""State: one execution's life, steps, checkpoints and nested contexts, and where it is kept."""

from orchestrator.execution.state.applying import PAUSED_WITH_PARENT
from orchestrator.execution.state.checkpoints import (
    INITIAL,
    Checkpoint,
    checkpoint_due,
    checkpoint_id,
    passing_checkpoints,
)
from orchestrator.execution.state.context import ExecutionContext, Recorder, StateManager
from orchestrator.execution.state.files import FileStateManager, create_execution_context, load_execution_context
from orchestrator.execution.state.formats import PersistenceFormat
from orchestrator.execution.state.loops import LoopContext
from orchestrator.execution.state.metrics import ExecutionMetrics
from orchestrator.execution.state.pipeline_state import GlobalContext, PipelineExecutionState
from orchestrator.execution.state.shared_state import ExecutionState, execution_state
from orchestrator.execution.state.watched import GONE, WatchedDict
from orchestrator.status import ExecutionStatus

__all__ = [  # noqa: RUF022 - the contract's names first
    "ExecutionStatus",
    "ExecutionMetrics",
    "Checkpoint",
    "PersistenceFormat",
    "ExecutionContext",
    "FileStateManager",
    "create_execution_context",
    "load_execution_context",
    "PipelineExecutionState",
    "LoopContext",
    "ExecutionState",
    "execution_state",
    "Recorder",
    "StateManager",
    "GlobalContext",
    "WatchedDict",
    "GONE",
    "INITIAL",
    "PAUSED_WITH_PARENT",
    "checkpoint_due",
    "checkpoint_id",
    "passing_checkpoints",
]  # fmt: skip
