"""What holds between a pipeline and its parts: sub-pipelines with their inputs, early ends, the key of concurrency."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import TemplateError
from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.flow_specs import PipelineSpec
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.templates import compile_value
from orchestrator.pipelines.wording import Path


def whole(analysis: Analysis) -> Iterator[Finding]:
    """What is wrong with the references to pipelines, with `return`, `returns` and `concurrency`."""
    for level in analysis.levels():
        for step in level.steps:
            if isinstance(step.spec, PipelineSpec):
                yield from _sub_pipeline(analysis, step, step.spec.ref)
            elif "return" in step.definition:
                yield from _return(analysis, step)
    yield from _types(analysis)
    yield from _concurrency(analysis)


def _sub_pipeline(analysis: Analysis, step: CompiledStep, ref: str) -> Iterator[Finding]:
    if ref not in analysis.family:
        known = [name for name in analysis.family if name != "."]
        yield Finding((*step.path, "pipeline"), f"there is no pipeline {ref!r}", name=ref, known=known)
        return
    inputs = analysis.family[ref].definition.get("inputs", {})
    given = step.definition.get("with", {})
    for name, value in given.items():
        path: Path = (*step.path, "with", name)
        if name not in inputs:
            hint = "" if inputs else "it has none"
            yield Finding(
                path, f"pipeline {ref!r} has no input {name!r}", at_key=True, name=name, known=inputs, hint=hint
            )
        elif not _has_templates(value) and (fault := unfit(value, inputs[name].get("type", "any"))):
            yield Finding(path, f"{fault}, as the input {name!r} of pipeline {ref!r}")
    missing = [name for name, spec in inputs.items() if "default" not in spec and name not in given]
    if missing:
        names = ", ".join(map(repr, missing))
        yield Finding((*step.path, "pipeline"), f"pipeline {ref!r} needs {names}, which `with` does not give")


def _has_templates(value: object) -> bool:
    try:
        return not compile_value(value).constant
    except TemplateError:  # reported where the step was compiled
        return True


def _return(analysis: Analysis, step: CompiledStep) -> Iterator[Finding]:
    if step.path[0] == "finally":
        message = "a step of finally cannot end the pipeline: it has ended then"
        yield Finding((*step.path, "return"), message, at_key=True)
    outputs = analysis.definition.get("outputs", {})
    for name in step.definition["return"]:
        if name not in outputs:
            hint = "" if outputs else "name it under `outputs` of the pipeline"
            message = f"the pipeline has no output {name!r}"
            yield Finding((*step.path, "return", name), message, at_key=True, name=name, known=outputs, hint=hint)


def _types(analysis: Analysis) -> Iterator[Finding]:
    outputs = analysis.definition.get("outputs", {})
    for name in analysis.definition.get("returns", {}):
        if name not in outputs:
            hint = "" if outputs else "name it under `outputs`"
            message = f"the pipeline has no output {name!r}"
            yield Finding(("returns", name), message, at_key=True, name=name, known=outputs, hint=hint)


def _concurrency(analysis: Analysis) -> Iterator[Finding]:
    """The key is made before anything runs, so of inputs only."""
    key = analysis.definition.get("concurrency", {}).get("key", "")
    path: Path = ("concurrency", "key")
    try:
        references = compile_value(key, "concurrency.key").references
    except TemplateError as error:
        yield Finding(path, str(error), placeholder=error.placeholder, offset=error.offset)
        return
    for use in references:
        name = str(use.path[0])
        if name not in analysis.inputs:
            known = name in analysis.by_id or name in analysis.known
            message = f"the key is made of inputs before anything runs; {name!r} is none"
            yield Finding(
                path,
                message if known else f"there is no input {name!r}",
                placeholder=use.text,
                offset=use.offset,
                name="" if known else name,
                known=analysis.inputs,
            )
