"""Pipelines checked together with their handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.execution.engine.collecting import without_collection
from orchestrator.pipelines.plan import Plan, make_plan
from orchestrator.runners.handlers import resolve_handler
from orchestrator.steps.handlers_check import check_with_handlers

if TYPE_CHECKING:
    from orchestrator.pipelines.model import Pipeline


def validate(pipeline: Pipeline) -> None:
    """Check a pipeline as far as is possible without running it: names, scopes, graph, handlers and their arguments.

    Imports the modules of its handlers. Raises PipelineFileError with every fault.
    """
    plan_checked(pipeline)


def plan_checked(pipeline: Pipeline) -> Plan:
    """The plan of a pipeline that `validate` finds nothing wrong with. Raises as that does."""
    with without_collection():
        return make_plan(
            pipeline, check_with_handlers(pipeline, lambda target, folder: resolve_handler(target, str(folder or "")))
        )
