"""The built-in step kinds: each turns a planned step and the names that it sees into work for a runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import TemplateError
from orchestrator.execution.driver import Assign, Prepared, PythonCall, ShellCommand
from orchestrator.pipelines.plan import CallSpec, PlannedStep, RunSpec, SetSpec, ShellText

if TYPE_CHECKING:
    from orchestrator.execution.engine import Kind
    from orchestrator.execution.variables import StepScope


def prepare_call(step: PlannedStep, scope: StepScope, base_dir: str) -> Prepared:
    """`call: module:function` with keyword arguments of the handler's own."""
    spec = step.spec
    assert isinstance(spec, CallSpec)
    return PythonCall(spec.target, scope.own(spec.arguments.resolve(scope)), step.runner == "process")


def prepare_set(step: PlannedStep, scope: StepScope, base_dir: str) -> Prepared:
    """`set: {name: value}`."""
    spec = step.spec
    assert isinstance(spec, SetSpec)
    return Assign({name: value.resolve(scope) for name, value in spec.variables.items()})


def prepare_run(step: PlannedStep, scope: StepScope, base_dir: str) -> Prepared:
    """`run: [program, argument, …]`, or a text for the shell, whose values travel as environment variables."""
    spec = step.spec
    assert isinstance(spec, RunSpec)
    env = {name: as_text(value, f"env.{name}") for name, value in (spec.env.resolve(scope) or {}).items()}
    cwd = str(Path(base_dir or ".") / as_text(spec.cwd.resolve(scope), "cwd")) if spec.cwd else (base_dir or ".")
    if spec.shell is not None:
        values = {f"ORCHESTRATOR_ARG_{i}": as_words(a.resolve(scope)) for i, a in enumerate(spec.shell.arguments)}
        return ShellCommand(("sh", "-c", spec.shell.script), {**env, **values}, cwd, spec.parse, _shown(spec.shell))
    argv = [word for part in spec.argv or () for word in _words(part.resolve(scope))]
    return ShellCommand(tuple(argv), env, cwd, spec.parse, " ".join(argv[:6]) + (" …" if len(argv) > 6 else ""))


def _shown(shell: ShellText) -> str:
    """The first line of a shell text, with the placeholders as they were written."""
    text = next((line.strip() for line in shell.script.splitlines() if line.strip()), "")
    for number, argument in enumerate(shell.arguments):
        if argument.references:
            text = text.replace(f"${{ORCHESTRATOR_ARG_{number}}}", argument.references[0].text)
    return text


def _words(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [as_text(part, "run") for part in value]
    return [as_text(value, "run")]


def as_words(value: Any) -> str:
    """A value for a shell text: a list as words with spaces between."""
    return " ".join(_words(value))


def as_text(value: Any, where: str) -> str:
    """A value as a program sees it: true and false in lower case, nothing for null; mappings are refused."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Mapping() | list() | tuple() | set():
            raise TemplateError(f"{where}: a {type(value).__name__} cannot be an argument; write `| tojson` after it")
    return str(value)


#: Kind -> how it becomes work.
KINDS: Mapping[str, Kind] = {"call": prepare_call, "run": prepare_run, "set": prepare_set}
