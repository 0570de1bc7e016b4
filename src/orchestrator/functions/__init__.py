"""Durable Python functions: `@step` and `@pipeline`, and what they may do beside calling steps."""

from orchestrator.functions.inside import (
    approve,
    as_completed,
    checkpoint,
    flow,
    now,
    patched,
    random,
    rollback,
    sleep,
    start_child,
    uuid,
    variables,
    wait_for_signal,
)
from orchestrator.functions.lint import DeterminismWarning
from orchestrator.functions.nested import run_pipeline
from orchestrator.functions.pipelines import AsyncPipeline, PipelineFunction, RunOptions, SyncPipeline, pipeline
from orchestrator.functions.steps import AsyncStep, StepFunction, SyncStep, step

__all__ = [
    "AsyncPipeline",
    "AsyncStep",
    "DeterminismWarning",
    "PipelineFunction",
    "RunOptions",
    "StepFunction",
    "SyncPipeline",
    "SyncStep",
    "approve",
    "as_completed",
    "checkpoint",
    "flow",
    "now",
    "patched",
    "pipeline",
    "random",
    "rollback",
    "run_pipeline",
    "sleep",
    "start_child",
    "step",
    "uuid",
    "variables",
    "wait_for_signal",
]
