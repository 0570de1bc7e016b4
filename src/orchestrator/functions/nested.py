"""A pipeline that a durable function runs: its steps are steps of the same execution, below the key of the call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.errors import InputError
from orchestrator.execution.driver import Assign
from orchestrator.execution.flow import Asked, Given, planned
from orchestrator.functions.inside import place_for
from orchestrator.functions.source import where_called
from orchestrator.functions.steps import PACKAGE, take_key
from orchestrator.journal.codec import Encoded, pack
from orchestrator.pipelines.definition import SELF, PipelineDef, steps_of
from orchestrator.pipelines.plan import Graph, PipelineSpec, make_plan, recorded_plan

if TYPE_CHECKING:
    from orchestrator.pipelines.model import Pipeline


def run_pipeline(
    pipeline: Pipeline | str | Path, inputs: Mapping[str, Any] | None = None, *, name: str | None = None
) -> Any:
    """Run a pipeline, or the file of one, as a part of this function; gives its outputs. Awaited in an async function.

    `name` is what it is called in keys, by default its own name. A relative path counts from the file of the function.
    What fails in it fails the call. Raises PipelineFileError and InputError.
    """
    place, where = place_for("run_pipeline"), where_called(PACKAGE)
    from orchestrator.pipelines.model import Pipeline

    root = Path(place.flow.folder) if place.flow.folder else None
    if isinstance(pipeline, str | Path):
        pipeline = Pipeline.load((root or Path.cwd()) / pipeline)
    if not isinstance(pipeline, Pipeline):
        raise InputError(f"run_pipeline takes a Pipeline or the file of one, not {pipeline!r:.60}")
    plan = make_plan(pipeline)
    ref = f"{plan.pipeline_id}@{plan.fingerprint}"
    definition, graph = _renamed(plan.canonical, plan.graph, ref)
    if plan.base_dir is not None:
        definition["folder"] = os.path.relpath(plan.base_dir, root) if root is not None else str(plan.base_dir)
    called = name or plan.pipeline_id.replace(" ", "-")
    step = planned(cast(Any, {"id": called, "pipeline": ref}))
    step.spec = PipelineSpec(ref, Given(dict(inputs or {})))
    asked = Asked(
        called,
        take_key(place, called, where),
        step,
        lambda _: Assign({}),
        where,
        plan=recorded_plan(definition, graph, plan.fingerprint, plan.base_dir),
        model=Encoded(pack(definition)),
        graph=Encoded(pack(graph)),
    )
    return place.flow.later(asked) if place.flow.is_async else place.flow.wait(asked)


def _renamed(definition: PipelineDef, graph: Graph, ref: str) -> tuple[PipelineDef, Graph]:
    """The definition and its graph, with names for the pipelines in it that are its own in any execution."""
    copy = deepcopy(definition)
    members = copy.pop("pipelines", {})

    def name(inner: str) -> str:
        return ref if inner == SELF else f"{ref}/{inner}"

    for member in (copy, *members.values()):
        for _, step in steps_of(member):
            if "pipeline" in step:
                step["pipeline"] = name(step["pipeline"])
    if members:
        copy["pipelines"] = {name(inner): member for inner, member in members.items()}
    if isinstance(graph, Mapping) and "pipelines" in graph:
        graph = {**graph, "pipelines": {name(inner): part for inner, part in graph["pipelines"].items()}}
    return copy, graph
