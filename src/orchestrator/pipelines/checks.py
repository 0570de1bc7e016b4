"""Everything that can be known to be wrong before the run.

Each check is a function from an `Analysis` to findings; all run, so that one look shows every fault. They read the
canonical form, so that they serve a file, a pipeline built in Python, and what is left of a file with other faults.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from orchestrator.pipelines.analysis import Analysis, analyse
from orchestrator.pipelines.check_fields import Shapes, fields_used
from orchestrator.pipelines.check_given import names_given
from orchestrator.pipelines.check_names import names_used
from orchestrator.pipelines.check_needs import needs_named
from orchestrator.pipelines.check_recovery import ways_out
from orchestrator.pipelines.check_whole import whole
from orchestrator.pipelines.definition import SELF, Definition, PipelineDef, StepDef
from orchestrator.pipelines.error_rules import error_rules, retry_rules
from orchestrator.pipelines.needs import cycles
from orchestrator.pipelines.positions import Finding, Positions, report
from orchestrator.pipelines.rules import input_rules, step_rules
from orchestrator.pipelines.shapes import Shape

#: Gives what is known of the outputs of the `call` steps of a pipeline, by its name among the members of the root.
ShapesOf = Callable[[str], Shapes]


def check(pipeline: Definition, shapes: Mapping[str, Shape] | None = None, positions: Positions | None = None) -> None:
    """Raise PipelineFileError with every fault of a pipeline.

    `shapes` says by id what is known of the outputs of `call` steps (of one item, where a step has `for_each`).
    """
    definition = pipeline.canonical()
    given = shapes or {}
    analysis = examine(definition, lambda ref: lambda step: given.get(step.get("id", "")) if ref == SELF else None)
    raise_findings(analysis.all_findings(), definition, positions or pipeline.positions)


def raise_findings(findings: Sequence[Finding], definition: PipelineDef, positions: Positions | None) -> None:
    """Raise PipelineFileError where there are findings."""
    if findings:
        file = positions.file if positions else f"<pipeline {definition.get('pipeline', '')}>"
        raise report(findings, file, positions, definition)


def examine(
    definition: PipelineDef,
    shapes: ShapesOf | None = None,
    *,
    keys: Sequence[Collection[str]] | None = None,
    names: Collection[str] = (),
) -> Analysis:
    """Compile and check a definition and the pipelines that it holds; what is wrong is in `findings`, of each its own.

    For one that had faults: `keys` are those that each step has in the file, `names` are taken as known as well.
    """
    analysis = analyse(definition, names)
    for ref, one in analysis.family.items():
        _examine(one, shapes(ref) if shapes is not None else _unknown, keys if one is analysis else None)
    return analysis


def _unknown(_step: StepDef) -> Shape | None:
    return None


def _examine(analysis: Analysis, shapes: Shapes, keys: Sequence[Collection[str]] | None) -> None:
    analysis.findings += _field_rules(analysis, keys)
    analysis.findings += whole(analysis)
    analysis.findings += names_given(analysis)
    analysis.findings += needs_named(analysis)
    analysis.findings += ways_out(analysis)
    analysis.findings += names_used(analysis)
    analysis.findings += fields_used(analysis, shapes)
    analysis.findings += _knots(analysis)


def _field_rules(analysis: Analysis, keys: Sequence[Collection[str]] | None) -> Iterator[Finding]:
    for name, spec in analysis.definition.get("inputs", {}).items():
        yield from input_rules(spec, ("inputs", name))
    defaults = analysis.definition.get("defaults", {})
    yield from retry_rules(defaults.get("retry", {}), ("defaults", "retry"))
    yield from error_rules(defaults.get("on_error", ()), ("defaults", "on_error"))
    for index, step in enumerate(analysis.main.steps):
        present = keys[index] if keys else step.definition.keys()
        if present:  # what is no mapping has been reported for itself
            yield from step_rules(step.definition, step.path, present)
    for step in analysis.last.steps:
        yield from step_rules(step.definition, step.path, step.definition.keys())


def _knots(analysis: Analysis) -> Iterator[Finding]:
    for level in analysis.levels():
        for cycle in cycles(level.needs):
            way = " -> ".join(level.steps[index].id for index in cycle)
            replaced = any(level.steps[index].alternatives for index in cycle)
            hint = "a step waits for what its alternatives need, too" if replaced else ""
            if len(cycle) > 2:
                yield Finding((*level.path, cycle[0], "id"), f"these steps wait for each other: {way}", hint=hint)
