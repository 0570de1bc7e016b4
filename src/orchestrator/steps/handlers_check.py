"""What can be said of a pipeline's handlers before the run: whether they are there, and whether the arguments fit.

This imports the modules of the handlers, as the run would; nothing of them is called. A sub-pipeline finds its handlers
beside its own file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import HandlerNotFoundError
from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.checks import examine, raise_findings
from orchestrator.pipelines.definition import SELF, Definition, PipelineDef, StepDef, members_of, steps_of
from orchestrator.pipelines.plan import member_folder
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.shapes import Shape, shape_of
from orchestrator.pipelines.wording import Path as Place

#: Gives the function behind `module:function`, seen from a folder; raises HandlerNotFoundError.
Resolve = Callable[[str, Path | None], Callable[..., Any]]


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
    findings: list[Finding] = []
    known: dict[str, _Handlers] = {}
    for place, member in members_of(definition):
        handlers = _Handlers(resolve, member_folder(member, pipeline.base_dir))
        known[str(place[-1]) if place else SELF] = handlers
        findings += _findings(member, place, handlers)
    analysis = examine(definition, lambda ref: known[ref].shape)
    raise_findings([*analysis.all_findings(), *findings], definition, pipeline.positions)
    return analysis


class _Handlers:
    """The handlers of one pipeline, each looked at once."""

    def __init__(self, resolve: Resolve, folder: Path | None) -> None:
        self._resolve, self._folder = resolve, folder
        self._seen: dict[str, _Handler | HandlerNotFoundError] = {}

    def get(self, target: str) -> _Handler | HandlerNotFoundError:
        """What a handler says of itself, or why it cannot be had."""
        return self._seen.get(target) or self._seen.setdefault(target, self._look_at(target))

    def shape(self, step: StepDef) -> Shape | None:
        """What is known of the output of a step."""
        handler = self.get(step["call"]) if "call" in step else None
        return handler.shape if isinstance(handler, _Handler) else None

    def _look_at(self, target: str) -> _Handler | HandlerNotFoundError:
        try:
            handler = self._resolve(target, self._folder)
        except HandlerNotFoundError as error:
            return error
        try:
            return _Handler(shape_of(handler), inspect.signature(handler).parameters)
        except (ValueError, TypeError):
            return _Handler(shape_of(handler), None)


def _findings(pipeline: PipelineDef, root: Place, handlers: _Handlers) -> Iterator[Finding]:
    for place, step in steps_of(pipeline):
        path = (*root, *place)
        if "call" in step:
            yield from _call(step, step["call"], path, handlers)
        verify = step.get("effect", {}).get("verify")
        if verify and isinstance(error := handlers.get(verify), HandlerNotFoundError):
            yield Finding((*path, "effect", "verify"), str(error))


def _call(step: StepDef, target: str, path: Place, handlers: _Handlers) -> Iterator[Finding]:
    handler = handlers.get(target)
    if isinstance(handler, HandlerNotFoundError):
        yield Finding((*path, "call"), str(handler))
        return
    if target.startswith("__main__:") and step.get("runner") == "process":
        message = f"{target} cannot run in a process of its own; move it to a module beside the script"
        yield Finding((*path, "call"), message)
    yield from _arguments(step, path, handler.parameters)


def _arguments(step: StepDef, path: Place, parameters: Mapping[str, inspect.Parameter] | None) -> Iterator[Finding]:
    """What is wrong with the keys of `with`, by the handler's signature."""
    if parameters is None:
        return
    given = step.get("with", {})
    by_name = _by_name(parameters)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in given:
            if name not in by_name:
                message = f"{step['call']} takes no argument {name!r}"
                yield Finding((*path, "with", name), message, at_key=True, name=name, known=list(by_name))
    missing = [name for name, p in by_name.items() if p.default is p.empty and name not in given]
    if missing:
        names = ", ".join(map(repr, missing))
        yield Finding((*path, "call"), f"{step['call']} needs {names}, which `with` does not give")


def _by_name(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """The parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}
