"""Everything that can be known to be wrong before the run.

Each check is a function from an `Analysis` to findings; all run, so that one look shows every fault. They read the
canonical form, so that they serve a file, a pipeline built in Python, and what is left of a file with other faults.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestrator.pipelines.analysis import Analysis, analyse
from orchestrator.pipelines.check_names import fields_used, names_used
from orchestrator.pipelines.check_recovery import ways_out
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.definition import Definition, PipelineDef
from orchestrator.pipelines.error_rules import retry_rules
from orchestrator.pipelines.needs import cycles
from orchestrator.pipelines.positions import Finding, Positions, report
from orchestrator.pipelines.rules import input_rules, step_rules
from orchestrator.pipelines.shapes import Shape
from orchestrator.pipelines.wording import Path


def check(pipeline: Definition, shapes: Mapping[str, Shape] | None = None, positions: Positions | None = None) -> None:
    """Raise PipelineFileError with every fault of a pipeline.

    `shapes` says what is known of the outputs of `call` steps (of one item, where a step has `for_each`).
    """
    definition = pipeline.canonical()
    raise_findings(examine(definition, shapes).findings, definition, positions or pipeline.positions)


def raise_findings(findings: Sequence[Finding], definition: PipelineDef, positions: Positions | None) -> None:
    """Raise PipelineFileError where there are findings."""
    if findings:
        file = positions.file if positions else f"<pipeline {definition.get('pipeline', '')}>"
        raise report(findings, file, positions, [step.get("id") for step in definition.get("steps", ())])


def examine(
    definition: PipelineDef,
    shapes: Mapping[str, Shape] | None = None,
    *,
    keys: Sequence[Collection[str]] | None = None,
    names: Collection[str] = (),
) -> Analysis:
    """Compile and check a definition; what is wrong is in `findings`.

    For one that had faults: `keys` are those that each step has in the file, `names` are taken as known as well.
    """
    analysis = analyse(definition, names)
    analysis.findings += _field_rules(analysis, keys)
    analysis.findings += _names_given(analysis)
    analysis.findings += _needs_named(analysis)
    analysis.findings += ways_out(analysis)
    analysis.findings += names_used(analysis)
    analysis.findings += fields_used(analysis, shapes or {})
    analysis.findings += _knots(analysis)
    return analysis


def _field_rules(analysis: Analysis, keys: Sequence[Collection[str]] | None) -> Iterator[Finding]:
    for name, spec in analysis.definition.get("inputs", {}).items():
        yield from input_rules(spec, ("inputs", name))
    yield from retry_rules(analysis.definition.get("defaults", {}).get("retry", {}), ("defaults", "retry"))
    for index, step in enumerate(analysis.steps):
        present = keys[index] if keys else step.definition.keys()
        if present:  # what is no mapping has been reported for itself
            yield from step_rules(step.definition, ("steps", index), present)


def _names_given(analysis: Analysis) -> Iterator[Finding]:
    inputs = analysis.definition.get("inputs", {})
    for index, step in enumerate(analysis.steps):
        path: Path = ("steps", index)
        if step.id and analysis.index_of[step.id] != index:
            yield Finding((*path, "id"), f"there is another step {step.id!r}; ids are unique")
        elif step.id in inputs:
            yield Finding((*path, "id"), f"{step.id!r} is the name of an input already; both would be one variable")
        for variable in step.writes:
            if variable in analysis.index_of:
                message = f"{variable!r} is the id of a step, whose output has that name"
                yield Finding((*path, "set", variable), message, at_key=True)
        yield from _loop_variable(analysis, step, path)


def _loop_variable(analysis: Analysis, step: CompiledStep, path: Path) -> Iterator[Finding]:
    if step.loop is None or (variable := step.loop.variable) not in analysis.known:
        return
    what = "an input" if variable in analysis.definition.get("inputs", {}) else "a variable"
    what = "a step" if variable in analysis.index_of else what
    given = "as" in step.definition
    message = f"the loop variable {variable!r} would hide {what} of that name"
    hint = "choose another name" if given else "give it a name with `as`"
    yield Finding((*path, "as" if given else "for_each"), message, at_key=not given, hint=hint)


def _needs_named(analysis: Analysis) -> Iterator[Finding]:
    for index, step in enumerate(analysis.steps):
        for place, name in enumerate(step.definition.get("needs", ())):
            path: Path = ("steps", index, "needs", place)
            if name == step.id:
                yield Finding(path, f"step {name!r} cannot wait for itself")
            elif name not in analysis.index_of and name not in analysis.known:
                yield Finding(path, f"there is no step {name!r}", name=name, known=analysis.index_of)
            elif name not in analysis.index_of:
                hint = "a step that uses it in a ${…} waits by itself" if name in analysis.writers else ""
                yield Finding(path, f"{name!r} is no step, but {_what(analysis, name)}", hint=hint)


def _what(analysis: Analysis, name: str) -> str:
    return "an input" if name in analysis.definition.get("inputs", {}) else "a variable"


def _knots(analysis: Analysis) -> Iterator[Finding]:
    for cycle in cycles(analysis.needs):
        way = " -> ".join(analysis.steps[index].id for index in cycle)
        replaced = any(analysis.steps[index].alternatives for index in cycle)
        hint = "a step waits for what its alternatives need, too" if replaced else ""
        if len(cycle) > 2:
            yield Finding(("steps", cycle[0], "id"), f"these steps wait for each other: {way}", hint=hint)
