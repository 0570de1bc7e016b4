"""The fields of one step, compiled kind by kind; each template is noted with its place and what it may see there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.definition import CHOICES, StepDef, kind_of_step
from orchestrator.pipelines.flow_specs import (
    ApproveSpec,
    BlockSpec,
    CaseSpec,
    FailSpec,
    ParallelSpec,
    PipelineSpec,
    ReturnSpec,
    SignalSpec,
    SwitchSpec,
    WaitSpec,
)
from orchestrator.pipelines.shell import split_shell
from orchestrator.pipelines.specs import (
    DEFAULT_VARIABLE,
    MAX_ITERATIONS,
    CallSpec,
    LoopSpec,
    RunSpec,
    SetSpec,
    ShellText,
    Spec,
    WhileSpec,
)
from orchestrator.pipelines.templates import Compiled, OnFault, compile_placeholder, compile_value
from orchestrator.pipelines.wording import Path, path_text


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled value and where it stands in the definition.

    `in_loop` says that it may see what the step gives to its own templates (the loop variable); `block` is the index of
    the block inside of which it is resolved, None where that is outside.
    """

    path: Path
    value: Compiled
    in_loop: bool = False
    block: int | None = None


#: Takes the place of a faulty text in the whole definition, and what is wrong.
Report = Callable[[Path, TemplateError], None]


class StepCompiler:
    """Compiles the fields of one step; `parts` are the values that are no constants."""

    def __init__(self, step: StepDef, path: Path, report: Report | None) -> None:
        self.parts: list[Part] = []
        self._step = step
        self._fields: Mapping[str, Any] = step
        self._path = path
        self._where = f"steps.{step.get('id') or path[-1]}"
        self._report = report

    def value(
        self, field: str, fallback: Any = None, *, in_loop: bool = True, at: Path = (), block: int | None = None
    ) -> Compiled:
        """Compile a field, of the step or of what stands at `at` in it."""
        holder: Any = self._fields
        where = f"{self._where}.{field}"
        if at:
            where = f"{self._where}.{path_text((*at, field))}"
            for key in at:
                holder = holder[key]
        path = (*self._path, *at, field)
        compiled = compile_value(holder.get(field, fallback), where, under(path, self._report))
        return self._keep(path, compiled, in_loop, block)

    def loop(self) -> LoopSpec | None:
        """The loop, for a step that has one."""
        if "for_each" not in self._fields:
            return None
        items = self.value("for_each", in_loop=False)
        return LoopSpec(items, self._fields.get("as", DEFAULT_VARIABLE), self._fields.get("max_parallel"))

    def repeat(self) -> WhileSpec | None:
        """The rounds, for a step that has them."""
        if "while" not in self._fields or "for_each" in self._fields:
            return None
        most = self._fields.get("max_iterations", MAX_ITERATIONS)
        return WhileSpec(self.value("while"), most, self._fields.get("as"))

    def spec(self) -> Spec:
        """What the step does."""
        return _SPECS[kind_of_step(self._step)](self)

    def _call(self) -> CallSpec:
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

    def _set(self) -> SetSpec:
        return SetSpec({name: self._part("set", name, value) for name, value in self._fields["set"].items()})

    def _block(self) -> BlockSpec:
        return BlockSpec(self._output(0))

    def _parallel(self) -> ParallelSpec:
        return ParallelSpec(self._output(0))

    def _switch(self) -> SwitchSpec:
        cases: list[CaseSpec] = []
        for index, case in enumerate(self._fields["switch"]):
            if isinstance(case, Mapping) and isinstance(case.get("steps"), list):  # as `blocks_of` counts them
                at = ("switch", index)
                when = self.value("when", at=at) if "when" in case else None
                cases.append(CaseSpec(when, self._output(len(cases), at)))
        return SwitchSpec(tuple(cases))

    def _output(self, block: int, at: Path = ()) -> Compiled | None:
        holder = self._fields["switch"][at[1]] if at else self._fields
        return self.value("output", at=at, block=block) if "output" in holder else None

    def _pipeline(self) -> PipelineSpec:
        return PipelineSpec(self._fields["pipeline"], self.value("with", {}))

    def _wait(self) -> WaitSpec:
        return WaitSpec(self.value("wait"))

    def _signal(self) -> SignalSpec:
        fields = self._fields
        return SignalSpec(self.value("signal"), fields.get("deadline"), "default" in fields, fields.get("default"))

    def _approve(self) -> ApproveSpec:
        fields = self._fields
        return ApproveSpec(
            prompt=self.value("approve"),
            who=self.value("who", []),
            choices=tuple(fields.get("choices", CHOICES)),
            form=fields.get("form", {}),
            deadline=fields.get("deadline"),
            default=fields.get("default"),
        )

    def _return(self) -> ReturnSpec:
        given = self._fields["return"]
        return ReturnSpec({name: self._part("return", name, value) for name, value in given.items()})

    def _fail(self) -> FailSpec:
        return FailSpec(self.value("fail"))

    def _part(self, field: str, key: str | int, value: Any) -> Compiled:
        """Compile one element of a field."""
        path = (*self._path, field, key)
        where = f"{self._where}.{field}[{key}]" if isinstance(key, int) else f"{self._where}.{field}.{key}"
        return self._keep(path, compile_value(value, where, under(path, self._report)))

    def _keep(self, path: Path, value: Compiled, in_loop: bool = True, block: int | None = None) -> Compiled:
        if not value.constant:
            self.parts.append(Part(path, value, in_loop, block))
        return value


_SPECS: Mapping[str, Callable[[StepCompiler], Spec]] = {
    "call": StepCompiler._call,
    "run": StepCompiler._run,
    "set": StepCompiler._set,
    "steps": StepCompiler._block,
    "switch": StepCompiler._switch,
    "parallel": StepCompiler._parallel,
    "pipeline": StepCompiler._pipeline,
    "wait": StepCompiler._wait,
    "signal": StepCompiler._signal,
    "approve": StepCompiler._approve,
    "return": StepCompiler._return,
    "fail": StepCompiler._fail,
}


def under(path: Path, report: Report | None) -> OnFault | None:
    """A fault handler for a value that stands at `path` of the definition."""
    if report is None:
        return None
    return lambda location, error: report((*path, *location), error)
