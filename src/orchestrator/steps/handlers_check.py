"""What can be said of a pipeline's handlers before the run: whether they are there, and whether the arguments fit.

This imports the modules of the handlers, as the run would; nothing of them is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import HandlerNotFoundError
from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.definition import Definition, StepDef
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.shapes import Shape, shape_of

#: Gives the function behind `module:function`; raises HandlerNotFoundError.
Resolve = Callable[[str], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class _Handler:
    """What a handler says of itself; `parameters` is None where it does not say (a builtin)."""

    shape: Shape | None
    parameters: Mapping[str, inspect.Parameter] | None


def check_with_handlers(pipeline: Definition, resolve: Resolve) -> Analysis:
    """Check a pipeline and its handlers; gives what a plan is made of.

    Raises PipelineFileError with every fault of both.
    """
    definition = pipeline.canonical()
    handlers: dict[str, _Handler | HandlerNotFoundError] = {}
    findings: list[Finding] = []
    shapes: dict[str, Shape] = {}
    for index, step in enumerate(definition["steps"]):
        target = step.get("call")
        if target is None:
            continue
        handler = handlers.get(target) or handlers.setdefault(target, _look_at(target, resolve))
        if isinstance(handler, HandlerNotFoundError):
            findings.append(Finding(("steps", index, "call"), str(handler)))
            continue
        if target.startswith("__main__:") and step.get("runner") == "process":
            message = f"{target} cannot run in a process of its own; move it to a module beside the script"
            findings.append(Finding(("steps", index, "call"), message))
        findings += _arguments(step, index, handler.parameters)
        if handler.shape is not None:
            shapes[step["id"]] = handler.shape
    analysis = examine(definition, shapes)
    raise_findings([*analysis.findings, *findings], definition, pipeline.positions)
    return analysis


def _look_at(target: str, resolve: Resolve) -> _Handler | HandlerNotFoundError:
    try:
        handler = resolve(target)
    except HandlerNotFoundError as error:
        return error
    try:
        return _Handler(shape_of(handler), inspect.signature(handler).parameters)
    except (ValueError, TypeError):
        return _Handler(shape_of(handler), None)


def _arguments(step: StepDef, index: int, parameters: Mapping[str, inspect.Parameter] | None) -> Iterator[Finding]:
    """What is wrong with the keys of `with`, by the handler's signature."""
    if parameters is None:
        return
    given = step.get("with", {})
    by_name = _by_name(parameters)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in given:
            if name not in by_name:
                message = f"{step['call']} takes no argument {name!r}"
                yield Finding(("steps", index, "with", name), message, at_key=True, name=name, known=list(by_name))
    missing = [name for name, p in by_name.items() if p.default is p.empty and name not in given]
    if missing:
        names = ", ".join(map(repr, missing))
        yield Finding(("steps", index, "call"), f"{step['call']} needs {names}, which `with` does not give")


def _by_name(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """The parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}
