"""One open execution: the session that an engine drives, and what programs without an engine use instead."""

from orchestrator.execution.integration.adapter import VariableManagerAdapter
from orchestrator.execution.integration.bridge import ExecutionStateBridge
from orchestrator.execution.integration.link import ConflictHandler
from orchestrator.execution.integration.manager import (
    ComprehensiveExecutionManager,
    create_comprehensive_execution_manager,
)
from orchestrator.execution.integration.session import Session, Subscriber

__all__ = [  # noqa: RUF022 - the contract's names first
    "ComprehensiveExecutionManager",
    "create_comprehensive_execution_manager",
    "ExecutionStateBridge",
    "VariableManagerAdapter",
    "ConflictHandler",
    "Session",
    "Subscriber",
]
