"""What can be said of a pipeline's handlers before the run: whether they are there, and whether the arguments fit.

This imports the modules of the handlers, as the run would; nothing of them is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.errors import HandlerNotFoundError
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.definition import Definition, StepDef
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.shapes import Shape, shape_of

#: Gives the function behind `module:function`; raises HandlerNotFoundError.
Resolve = Callable[[str], Callable[..., Any]]


def check_with_handlers(pipeline: Definition, resolve: Resolve) -> None:
    """Check a pipeline and its handlers. Raises PipelineFileError with every fault of both."""
    definition = pipeline.canonical()
    handlers: dict[str, Callable[..., Any] | HandlerNotFoundError] = {}
    findings: list[Finding] = []
    shapes: dict[str, Shape] = {}
    for index, step in enumerate(definition["steps"]):
        target = step.get("call")
        if target is None:
            continue
        if target not in handlers:
            handlers[target] = _resolved(target, resolve)
        handler = handlers[target]
        if isinstance(handler, HandlerNotFoundError):
            findings.append(Finding(("steps", index, "call"), str(handler)))
            continue
        findings += _arguments(step, index, handler)
        if (shape := shape_of(handler)) is not None:
            shapes[step["id"]] = shape
    raise_findings([*examine(definition, shapes).findings, *findings], definition, pipeline.positions)


def _resolved(target: str, resolve: Resolve) -> Callable[..., Any] | HandlerNotFoundError:
    try:
        return resolve(target)
    except HandlerNotFoundError as error:
        return error


def _arguments(step: StepDef, index: int, handler: Callable[..., Any]) -> Iterator[Finding]:
    """What is wrong with the keys of `with`, by the handler's signature."""
    try:
        parameters = inspect.signature(handler).parameters
    except (ValueError, TypeError):  # a builtin that does not say
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
