"""The plan: a checked pipeline with everything decided that can be decided before it runs.

The engine reads plans only. A plan is immutable and shared by all executions of one pipeline. Those of the pipelines
that it runs as sub-pipelines are made when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.pipelines.analysis import Analysis, recorded_graph
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.compiling import compile_outputs
from orchestrator.pipelines.definition import SELF, Definition, FunctionDef, PipelineDef, fingerprint_of
from orchestrator.pipelines.flow_specs import (
    ApproveSpec,
    BlockSpec,
    CaseSpec,
    FailSpec,
    ParallelSpec,
    PipelineSpec,
    ReturnSpec,
    SignalSpec,
    SwitchSpec,
    WaitSpec,
)
from orchestrator.pipelines.planned import Flow, FlowGraph, PlannedStep, planned_steps
from orchestrator.pipelines.specs import (
    CallSpec,
    Effect,
    ErrorRule,
    LoopSpec,
    RunSpec,
    SetSpec,
    ShellText,
    Spec,
    WhileSpec,
    loop_items,
)
from orchestrator.pipelines.step_compiler import Part
from orchestrator.pipelines.templates import Compiled

if TYPE_CHECKING:
    from orchestrator.pipelines.positions import Positions

#: What is recorded of the graphs of a pipeline: that of its steps, or `{"steps": …, "finally": …, "pipelines": {…}}`.
Graph = FlowGraph | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Flow):
    """A pipeline, ready to run. `canonical` is what is recorded, and so is `graph`: to infer it takes as long as the
    rest of a plan.

    `pipelines` are the plans of all pipelines that are reached from the root, by the names that steps have for them,
    the root among them (`definition.SELF`). The plans of one root share them.
    """

    pipeline_id: str
    fingerprint: str
    #: What runs whatever has happened, in an order in which it can run.
    finally_: Mapping[str, PlannedStep]
    outputs: Mapping[str, Compiled]
    canonical: PipelineDef
    graph: Graph
    base_dir: Path | None = None
    #: The types that outputs must have.
    returns: Mapping[str, str]
    pipelines: Mapping[str, Plan]

    @property
    def function(self) -> str | None:
        """The durable function (`module:function`) that says what the steps are; None for a pipeline that has them."""
        return cast(FunctionDef, self.canonical).get("function")


def make_plan(pipeline: Definition, examined: Analysis | None = None) -> Plan:
    """Check a pipeline and plan it; `examined` is what a check of it has found already.

    Raises PipelineFileError with every fault.
    """
    analysis = examined or examine(pipeline.canonical())
    definition = analysis.definition
    raise_findings(analysis.all_findings(), definition, pipeline.positions)
    graph = recorded_graph(analysis)
    plan = _root(definition, graph, fingerprint_of(definition), pipeline.base_dir, analysis.outputs)
    for planned, level in ((plan.steps, analysis.main), (plan.finally_, analysis.last)):
        for step in level.steps:
            planned[step.id].take(step)
    return plan


def recorded_plan(definition: PipelineDef, graph: Graph, fingerprint: str, base_dir: Path | None) -> Plan:
    """The plan of a pipeline that was checked when its execution began, and recorded with its graph."""
    return _root(definition, graph, fingerprint, base_dir, compile_outputs(definition.get("outputs", {})))


def function_plan(definition: FunctionDef, base_dir: Path | None) -> Plan:
    """The plan of a durable function."""
    return recorded_plan(definition, (), fingerprint_of(definition), base_dir)


def add_pipeline(plan: Plan, ref: str, member: Plan) -> None:
    """Give a plan a pipeline that was not reached from its definition: one that a durable function runs."""
    assert isinstance(plan.pipelines, _Members)
    plan.pipelines.add(ref, member)


def member_folder(member: PipelineDef, root_folder: Path | None) -> Path | None:
    """The folder of the file of a pipeline that a root holds; None where the root has none."""
    folder = member.get("folder")
    return Path(normpath(root_folder / folder)) if root_folder is not None and folder else root_folder


def _root(
    definition: PipelineDef, graph: Graph, fingerprint: str, base_dir: Path | None, outputs: tuple[Part, ...]
) -> Plan:
    inside = graph["pipelines"] if isinstance(graph, Mapping) else {}
    members = _Members(definition.get("pipelines", {}), inside, base_dir)
    members.root = _plan(definition, graph, fingerprint, base_dir, outputs, members)
    return members.root


def _plan(
    definition: PipelineDef,
    graph: Graph,
    fingerprint: str,
    base_dir: Path | None,
    outputs: tuple[Part, ...],
    members: Mapping[str, Plan],
) -> Plan:
    main, last = (graph["steps"], graph["finally"]) if isinstance(graph, Mapping) else (graph, ())
    defaults = definition.get("defaults", {})
    return Plan(
        pipeline_id=definition["pipeline"],
        fingerprint=fingerprint,
        steps=planned_steps(definition["steps"], defaults, main),
        finally_=planned_steps(definition.get("finally", ()), defaults, last),
        outputs={str(part.path[-1]): part.value for part in outputs},
        canonical=definition,
        graph=graph,
        base_dir=base_dir,
        returns=definition.get("returns", {}),
        pipelines=members,
    )


class _Members(Mapping[str, Plan]):
    """The plans of a root and of all pipelines that are reached from it, each made when it is first asked for."""

    def __init__(
        self, definitions: Mapping[str, PipelineDef], graphs: Mapping[str, Graph], base_dir: Path | None
    ) -> None:
        self._definitions, self._graphs, self._base_dir = definitions, graphs, base_dir
        self._made: dict[str, Plan] = {}
        self.root: Plan

    def __getitem__(self, ref: str) -> Plan:
        if ref == SELF:
            return self.root
        if (plan := self._made.get(ref)) is None:
            definition, graph = self._definitions[ref], self._graphs[ref]
            folder = member_folder(definition, self._base_dir)
            outputs = compile_outputs(definition.get("outputs", {}))
            plan = self._made[ref] = _plan(definition, graph, fingerprint_of(definition), folder, outputs, self)
        return plan

    def add(self, ref: str, plan: Plan) -> None:
        """Take in one that a durable function runs."""
        self._made[ref] = plan

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((SELF, *self._definitions, *self._made)))

    def __len__(self) -> int:
        return len({SELF, *self._definitions, *self._made})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A definition as it was recorded: plans like the pipeline it was, without the validation library."""

    model: PipelineDef
    base_dir: Path | None = None

    def canonical(self) -> PipelineDef:
        """The recorded form."""
        return self.model

    @property
    def positions(self) -> Positions | None:
        """None: a record has no lines."""
        return None


__all__ = [
    "ApproveSpec",
    "BlockSpec",
    "CallSpec",
    "CaseSpec",
    "Effect",
    "ErrorRule",
    "FailSpec",
    "Flow",
    "Graph",
    "LoopSpec",
    "ParallelSpec",
    "PipelineSpec",
    "Plan",
    "PlannedStep",
    "Recorded",
    "ReturnSpec",
    "RunSpec",
    "SetSpec",
    "ShellText",
    "SignalSpec",
    "Spec",
    "SwitchSpec",
    "WaitSpec",
    "WhileSpec",
    "add_pipeline",
    "function_plan",
    "loop_items",
    "make_plan",
    "recorded_plan",
]
