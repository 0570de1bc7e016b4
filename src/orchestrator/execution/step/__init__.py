"""The one durable step: its attempts, its outcome, and the ways out when it fails."""

from orchestrator.execution.step.blocks import pipeline_outputs
from orchestrator.execution.step.effects import in_doubt
from orchestrator.execution.step.step import execute
from orchestrator.execution.step.task import StepTask
from orchestrator.execution.step.waits import APPROVAL, SIGNAL, TIME

__all__ = ["APPROVAL", "SIGNAL", "TIME", "StepTask", "execute", "in_doubt", "pipeline_outputs"]
