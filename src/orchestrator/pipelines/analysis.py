"""A definition, compiled and looked up: which names there are, who gives them, who needs whom.

The checks read it, and so does the plan, so that nothing is compiled twice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orchestrator.errors import TemplateError
from orchestrator.pipelines.compiling import CompiledStep, Part, compile_outputs, compile_step
from orchestrator.pipelines.definition import PipelineDef
from orchestrator.pipelines.needs import Needs, TooManyEdgesError, infer_needs, writers_of
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path


@dataclass(slots=True)
class Analysis:
    """A definition with its templates compiled, and `findings`: what is wrong with it so far."""

    definition: PipelineDef
    steps: list[CompiledStep]
    outputs: tuple[Part, ...]
    needs: Needs = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: id -> index of the first step that has it.
    index_of: dict[str, int] = field(default_factory=dict)
    #: variable -> the indices of the steps that set it.
    writers: dict[str, list[int]] = field(default_factory=dict)
    #: loop variable -> the ids of the steps that have it.
    loop_variables: dict[str, list[str]] = field(default_factory=dict)
    #: everything that a template may name outside of loops.
    known: set[str] = field(default_factory=set)

    def given(self, name: str) -> bool:
        """Whether an input or a step has that name."""
        return name in self.definition.get("inputs", {}) or name in self.index_of

    def runs_in_place_only(self, name: str) -> bool:
        """Whether a step never runs by itself: its `when` is the word false."""
        return name in self.index_of and self.steps[self.index_of[name]].definition.get("when") is False


def analyse(definition: PipelineDef, names: Collection[str] = ()) -> Analysis:
    """Compile a definition; templates that cannot be read become findings. `names` are taken as known as well."""
    findings: list[Finding] = []

    def note(path: Path, error: TemplateError) -> None:
        findings.append(Finding(path, str(error), placeholder=error.placeholder, offset=error.offset))

    steps = [compile_step(step, ("steps", index), note) for index, step in enumerate(definition.get("steps", ()))]
    analysis = Analysis(definition, steps, compile_outputs(definition.get("outputs", {}), note), findings=findings)
    for index, step in enumerate(steps):
        if step.id:
            analysis.index_of.setdefault(step.id, index)
        if step.loop is not None:
            analysis.loop_variables.setdefault(step.loop.variable, []).append(step.id)
    analysis.writers = writers_of(steps)
    inputs = definition.get("inputs", {})
    analysis.known = {*inputs, *analysis.index_of, *analysis.writers, *names}
    try:
        analysis.needs = infer_needs(steps, inputs)
    except TooManyEdgesError as error:
        findings.append(Finding(("steps", error.index, "id"), str(error)))
    return analysis
