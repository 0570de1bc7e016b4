"""The plan: a checked pipeline with everything decided that can be decided before it runs.

The engine reads plans only. A plan is immutable and shared by all executions of one pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.failure import RetryConfig
from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.definition import (
    Definition,
    Kind,
    PipelineDef,
    fingerprint,
    fingerprint_of,
    kind_of_step,
)
from orchestrator.pipelines.needs import in_order
from orchestrator.pipelines.plan_policies import error_rules_of, retry_of
from orchestrator.pipelines.specs import (
    CallSpec,
    ErrorRule,
    LoopSpec,
    RunSpec,
    SetSpec,
    ShellText,
    Spec,
    loop_items,
)
from orchestrator.pipelines.templates import Compiled

if TYPE_CHECKING:
    from orchestrator.pipelines.positions import Positions


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step. `needs` and `dependents` are ids; `when_per_item` says that `when` is judged once for each item."""

    id: str
    kind: Kind
    needs: frozenset[str]
    dependents: tuple[str, ...]
    spec: Spec
    when: Compiled | None
    when_per_item: bool
    loop: LoopSpec | None
    timeout_seconds: float | None
    retry: RetryConfig
    checkpoint: str | None
    runner: str | None
    fingerprint: str
    on_error: tuple[ErrorRule, ...] = ()
    important: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline, ready to run. `steps` are in an order in which they can run; `canonical` is what is recorded."""

    pipeline_id: str
    fingerprint: str
    steps: Mapping[str, PlannedStep]
    outputs: Mapping[str, Compiled]
    canonical: PipelineDef
    base_dir: Path | None = None


def make_plan(pipeline: Definition) -> Plan:
    """Check a pipeline and plan it. Raises PipelineFileError with every fault."""
    definition = pipeline.canonical()
    analysis = examine(definition)
    raise_findings(analysis.findings, definition, pipeline.positions)
    dependents: list[list[str]] = [[] for _ in analysis.steps]
    for step, needed in zip(analysis.steps, analysis.needs, strict=True):
        for need in needed:
            dependents[need].append(step.id)
    planned = [_planned(analysis, index, tuple(dependents[index])) for index in range(len(analysis.steps))]
    return Plan(
        pipeline_id=definition["pipeline"],
        fingerprint=fingerprint_of(definition, [step.fingerprint for step in planned]),
        steps={planned[index].id: planned[index] for index in in_order(analysis.needs)},
        outputs={str(part.path[-1]): part.value for part in analysis.outputs},
        canonical=definition,
        base_dir=pipeline.base_dir,
    )


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


def _planned(analysis: Analysis, index: int, dependents: tuple[str, ...]) -> PlannedStep:
    compiled: CompiledStep = analysis.steps[index]
    step = compiled.definition
    defaults = analysis.definition.get("defaults", {}) if "set" not in step else {}
    return PlannedStep(
        id=compiled.id,
        kind=kind_of_step(step),
        needs=frozenset([analysis.steps[need].id for need in analysis.needs[index]]),
        dependents=dependents,
        spec=compiled.spec,
        when=compiled.when,
        when_per_item=compiled.when_per_item,
        loop=compiled.loop,
        timeout_seconds=step.get("timeout", defaults.get("timeout")),
        retry=retry_of(step, defaults),
        checkpoint=step.get("checkpoint"),
        runner=step.get("runner"),
        fingerprint=fingerprint(step),
        on_error=error_rules_of(step),
        important=step.get("important", False),
    )


__all__ = [
    "CallSpec",
    "ErrorRule",
    "LoopSpec",
    "Plan",
    "PlannedStep",
    "Recorded",
    "RunSpec",
    "SetSpec",
    "ShellText",
    "Spec",
    "loop_items",
    "make_plan",
]
