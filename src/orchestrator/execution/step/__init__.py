"""The one durable step: its attempts, its outcome, and the ways out when it fails."""

from orchestrator.execution.step.step import execute, join
from orchestrator.execution.step.task import StepTask

__all__ = ["StepTask", "execute", "join"]
