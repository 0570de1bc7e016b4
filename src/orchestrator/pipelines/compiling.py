"""The steps of a definition with their templates compiled: what each is to do, and which names it uses where.

One compilation serves the checks before the run, the inference of needs, and the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.definition import StepDef
from orchestrator.pipelines.shell import split_shell
from orchestrator.pipelines.specs import DEFAULT_VARIABLE, CallSpec, LoopSpec, RunSpec, SetSpec, ShellText, Spec
from orchestrator.pipelines.templates import Compiled, OnFault, compile_placeholder, compile_value
from orchestrator.pipelines.wording import Path


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled value and where it stands in the definition; `in_loop` says that it may see the loop variable."""

    path: Path
    value: Compiled
    in_loop: bool = False


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step with its templates compiled; `parts` are its compiled values that are no constants."""

    definition: StepDef
    spec: Spec
    when: Compiled | None
    loop: LoopSpec | None
    parts: tuple[Part, ...]

    @property
    def id(self) -> str:
        """The step's id; empty where the definition has none."""
        return self.definition.get("id", "")

    @property
    def names(self) -> set[str]:
        """Root names that it uses, its own loop variable excepted."""
        names: set[str] = set()
        for part in self.parts:
            hidden = {self.loop.variable} if self.loop is not None and part.in_loop else ()
            names |= part.value.names.difference(hidden)
        return names

    @property
    def writes(self) -> Mapping[str, Any]:
        """The variables that it sets."""
        return self.spec.variables if isinstance(self.spec, SetSpec) else {}

    @property
    def alternatives(self) -> list[str]:
        """The ids of the steps that may run in its place when it fails."""
        rules = self.definition.get("on_error")
        return [name for rule in rules for name in rule.get("steps") or ()] if rules else []

    @property
    def when_per_item(self) -> bool:
        """Whether `when` mentions the loop variable, and so is judged once for each item."""
        return self.when is not None and self.loop is not None and self.loop.variable in self.when.names


#: Takes the place of a faulty text in the whole definition, and what is wrong.
Report = Callable[[Path, TemplateError], None]


def compile_step(step: StepDef, path: Path, report: Report | None = None) -> CompiledStep:
    """Compile the templates of a step. Raises TemplateError at the first fault, or hands each to `report`."""
    compiler = _StepCompiler(step, path, report)
    loop = compiler.loop()
    spec = compiler.spec()
    when = compiler.value("when") if "when" in step else None
    return CompiledStep(step, spec, when, loop, tuple(compiler.parts))


def compile_outputs(outputs: Mapping[str, Any], report: Report | None = None) -> tuple[Part, ...]:
    """Compile the outputs of a pipeline."""
    return tuple(
        Part(("outputs", name), compile_value(value, f"outputs.{name}", _under(("outputs", name), report)))
        for name, value in outputs.items()
    )


class _StepCompiler:
    """Compiles the fields of one step, and notes which names each uses."""

    def __init__(self, step: StepDef, path: Path, report: Report | None) -> None:
        self.parts: list[Part] = []
        self._fields: Mapping[str, Any] = step
        self._path = path
        self._where = f"steps.{step.get('id') or path[-1]}"
        self._report = report

    def value(self, field: str, fallback: Any = None, *, in_loop: bool = True) -> Compiled:
        """Compile a field."""
        path = (*self._path, field)
        value = self._fields.get(field, fallback)
        return self._keep(path, compile_value(value, f"{self._where}.{field}", _under(path, self._report)), in_loop)

    def loop(self) -> LoopSpec | None:
        """The loop, for a step that has one."""
        if "for_each" not in self._fields:
            return None
        items = self.value("for_each", in_loop=False)
        return LoopSpec(items, self._fields.get("as", DEFAULT_VARIABLE), self._fields.get("max_parallel"))

    def spec(self) -> Spec:
        """What the step does."""
        if "run" in self._fields:
            return self._run()
        if "set" in self._fields:
            return SetSpec({name: self._part("set", name, value) for name, value in self._fields["set"].items()})
        return CallSpec(self._fields.get("call", ""), self.value("with", {}))

    def _run(self) -> RunSpec:
        command = self._fields["run"]
        return RunSpec(
            argv=None if isinstance(command, str) else self._argv(command),
            shell=self._shell(command) if isinstance(command, str) else None,
            env=self.value("env", {}),
            cwd=self.value("cwd") if "cwd" in self._fields else None,
            parse=self._fields.get("parse", "text"),
        )

    def _argv(self, command: Sequence[Any]) -> tuple[Compiled, ...]:
        return tuple(self._part("run", index, argument) for index, argument in enumerate(command))

    def _part(self, field: str, key: str | int, value: Any) -> Compiled:
        """Compile one element of a field."""
        path = (*self._path, field, key)
        where = f"{self._where}.{field}[{key}]" if isinstance(key, int) else f"{self._where}.{field}.{key}"
        return self._keep(path, compile_value(value, where, _under(path, self._report)))

    def _shell(self, command: str) -> ShellText:
        path = (*self._path, "run")
        try:
            text = split_shell(command)
            arguments = tuple(compile_placeholder(part, f"{self._where}.run") for part in text.placeholders)
        except TemplateError as error:
            if self._report is None:
                raise
            self._report(path, error)
            return ShellText("", ())
        return ShellText(text.script, tuple(self._keep(path, argument) for argument in arguments))

    def _keep(self, path: Path, value: Compiled, in_loop: bool = True) -> Compiled:
        if not value.constant:
            self.parts.append(Part(path, value, in_loop))
        return value


def _under(path: Path, report: Report | None) -> OnFault | None:
    """A fault handler for a value that stands at `path` of the definition."""
    if report is None:
        return None
    return lambda location, error: report((*path, *location), error)
