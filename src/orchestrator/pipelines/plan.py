"""The plan: a checked pipeline with everything decided that can be decided before it runs.

The engine reads plans only. A plan is immutable and shared by all executions of one pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.failure import RetryConfig
from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.compiling import CompiledStep, compile_outputs, compile_step
from orchestrator.pipelines.definition import (
    DefaultsDef,
    Definition,
    Kind,
    PipelineDef,
    StepDef,
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


class PlannedStep:
    """One step. `needs` and `dependents` are ids; `when_per_item` says that `when` is judged once for each item.

    What is compiled of it (`spec`, `when`, `loop`) and made of its policies is made when it is first asked for: a
    resume of a thousand steps looks at those that are left. Two threads that ask at once make the same.
    """

    __slots__ = (
        "_defaults",
        "checkpoint",
        "definition",
        "dependents",
        "id",
        "important",
        "loop",
        "max_parallel",
        "needs",
        "on_error",
        "retry",
        "runner",
        "spec",
        "timeout_seconds",
        "when",
        "when_per_item",
    )

    id: str
    needs: frozenset[str]
    dependents: tuple[str, ...]
    #: Its canonical form.
    definition: StepDef
    spec: Spec
    when: Compiled | None
    when_per_item: bool
    loop: LoopSpec | None
    timeout_seconds: float | None
    retry: RetryConfig
    on_error: tuple[ErrorRule, ...]

    def __init__(
        self, definition: StepDef, defaults: DefaultsDef, needs: frozenset[str], dependents: tuple[str, ...]
    ) -> None:
        self.id, self.definition = definition["id"], definition
        self.needs, self.dependents = needs, dependents
        self._defaults: DefaultsDef = {} if "set" in definition else defaults
        self.timeout_seconds = definition.get("timeout", self._defaults.get("timeout"))
        self.checkpoint = definition.get("checkpoint")
        self.important = definition.get("important", False)
        self.runner = definition.get("runner")
        #: How many items of its loop run at a time; None where it says nothing, or has no loop.
        self.max_parallel = definition.get("max_parallel") if "for_each" in definition else None

    @property
    def kind(self) -> Kind:
        """Which of the kinds it is."""
        return kind_of_step(self.definition)

    @property
    def target(self) -> str | None:
        """The handler that it calls, `module:function`; None where it calls none."""
        return self.definition.get("call")

    @property
    def fingerprint(self) -> str:
        """A short hash of its canonical form."""
        return fingerprint(self.definition)

    def take(self, compiled: CompiledStep) -> None:
        """Take what was compiled of it."""
        self.when, self.when_per_item, self.loop = compiled.when, compiled.when_per_item, compiled.loop
        self.spec = compiled.spec

    def __getattr__(self, name: str) -> Any:
        """A slot that was not filled yet."""
        if name in ("spec", "when", "when_per_item", "loop"):
            self.take(compile_step(self.definition, ("steps", self.id)))
        elif name == "retry":
            self.retry = retry_of(self.definition, self._defaults)
        elif name == "on_error":
            self.on_error = error_rules_of(self.definition)
        else:
            raise AttributeError(f"a planned step has no {name}")
        return getattr(self, name)


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline, ready to run. `steps` are in an order in which they can run; `canonical` is what is recorded.

    `graph` says of each step, in the order of the definition, which others it needs: recorded too, since to infer it
    takes as long as all the rest.
    """

    pipeline_id: str
    fingerprint: str
    steps: Mapping[str, PlannedStep]
    outputs: Mapping[str, Compiled]
    canonical: PipelineDef
    graph: Sequence[Sequence[int]]
    base_dir: Path | None = None


def make_plan(pipeline: Definition, examined: Analysis | None = None) -> Plan:
    """Check a pipeline and plan it; `examined` is what a check of it has found already.

    Raises PipelineFileError with every fault.
    """
    analysis = examined or examine(pipeline.canonical())
    definition = analysis.definition
    raise_findings(analysis.findings, definition, pipeline.positions)
    graph = [sorted(needed) for needed in analysis.needs]
    steps = _planned(definition, graph)
    for step in analysis.steps:
        steps[step.id].take(step)
    outputs = {str(part.path[-1]): part.value for part in analysis.outputs}
    return Plan(
        definition["pipeline"], fingerprint_of(definition), steps, outputs, definition, graph, pipeline.base_dir
    )


def recorded_plan(
    definition: PipelineDef, graph: Sequence[Sequence[int]], fingerprint: str, base_dir: Path | None
) -> Plan:
    """The plan of a pipeline that was checked when its execution began, and recorded with its graph."""
    outputs = {str(part.path[-1]): part.value for part in compile_outputs(definition.get("outputs", {}))}
    return Plan(definition["pipeline"], fingerprint, _planned(definition, graph), outputs, definition, graph, base_dir)


def _planned(definition: PipelineDef, graph: Sequence[Sequence[int]]) -> dict[str, PlannedStep]:
    """The steps, none of them compiled, in an order in which they can run."""
    steps, defaults = definition["steps"], definition.get("defaults", {})
    ids = [step["id"] for step in steps]
    dependents: list[list[str]] = [[] for _ in steps]
    for id_, needed in zip(ids, graph, strict=True):
        for need in needed:
            dependents[need].append(id_)
    return {
        ids[index]: PlannedStep(
            steps[index], defaults, frozenset([ids[need] for need in graph[index]]), tuple(dependents[index])
        )
        for index in in_order(graph)
    }


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
    "recorded_plan",
]
