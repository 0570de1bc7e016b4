"""The steps of a definition with their templates compiled: what each is to do, and which names it uses where.

One compilation serves the checks before the run, the inference of needs, and the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.pipelines.definition import StepDef, blocks_of
from orchestrator.pipelines.specs import LoopSpec, SetSpec, Spec, WhileSpec
from orchestrator.pipelines.step_compiler import Part, Report, StepCompiler, under
from orchestrator.pipelines.templates import Compiled, compile_value
from orchestrator.pipelines.wording import Path


@dataclass(slots=True, eq=False)
class CompiledStep:
    """A step with its templates compiled; `parts` are its compiled values that are no constants.

    `blocks` are the steps inside of it, compiled as well: one list of `steps` and `parallel`, one of each case of
    `switch`. They are empty where one step alone was compiled.
    """

    definition: StepDef
    path: Path
    spec: Spec
    when: Compiled | None
    loop: LoopSpec | None
    repeat: WhileSpec | None
    parts: tuple[Part, ...]
    blocks: tuple[tuple[CompiledStep, ...], ...] = ()
    _names: frozenset[str] | None = field(default=None, repr=False)
    _writes: Collection[str] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The step's id; empty where the definition has none."""
        return self.definition.get("id", "")

    @property
    def block_paths(self) -> list[Path]:
        """Where the lists of steps inside of it stand."""
        return [(*self.path, *inner) for inner, _ in blocks_of(self.definition)]

    @property
    def lends(self) -> bool:
        """Whether it gives names to its own templates and to the steps inside."""
        return self.loop is not None or self.repeat is not None

    @property
    def own_names(self) -> frozenset[str]:
        """Names that it gives to its own templates and to the steps inside: the loop variable; of a `while` the number
        of the round, and its own id for what the last round gave."""
        if self.loop is not None:
            return frozenset((self.loop.variable,))
        if self.repeat is not None:
            return frozenset((self.id, self.repeat.variable or self.id))
        return _NO_NAMES

    @property
    def names(self) -> frozenset[str]:
        """Root names that it uses from outside, the steps inside of it included."""
        if self._names is None:
            self._names = frozenset(self._used())
        return self._names

    def _used(self) -> set[str]:
        hidden = self.own_names
        inside = [_given_inside(block) for block in self.blocks]
        names: set[str] = set()
        for part in self.parts:
            own = inside[part.block] if part.block is not None and inside else ()
            names |= part.value.names.difference(hidden if part.in_loop else (), own)
        for block in self.blocks:
            names |= _used_from_outside(block).difference(hidden)
        return names

    @property
    def writes(self) -> Collection[str]:
        """The variables that it sets, or a step inside of it."""
        if isinstance(self.spec, SetSpec):
            return self.spec.variables
        if not self.blocks:
            return ()
        if self._writes is None:
            self._writes = {name: None for block in self.blocks for step in block for name in step.writes}
        return self._writes

    @property
    def alternatives(self) -> list[str]:
        """The ids of the steps that may run in its place when it fails."""
        rules = self.definition.get("on_error")
        return [name for rule in rules for name in rule.get("steps") or ()] if rules else []

    @property
    def when_per_item(self) -> bool:
        """Whether `when` mentions the loop variable, and so is judged once for each item."""
        return self.when is not None and self.loop is not None and self.loop.variable in self.when.names


_NO_NAMES: frozenset[str] = frozenset()
#: The keys of steps that have others inside.
_INSIDE = frozenset({"steps", "parallel", "switch"})


def _given_inside(block: Sequence[CompiledStep]) -> set[str]:
    """The names that are there at the end of a block since its own steps give them."""
    return {step.id for step in block}.union(*(step.writes for step in block))


def _used_from_outside(block: Sequence[CompiledStep]) -> set[str]:
    """The names that the steps of a block use and have not of each other; a variable is had of earlier steps."""
    given = {step.id for step in block}
    names: set[str] = set()
    for step in block:
        names |= step.names.union(step.definition.get("needs", ())).difference(given)
        given.update(step.writes)
    return names


def compile_step(step: StepDef, path: Path, report: Report | None = None) -> CompiledStep:
    """Compile the templates of a step, not of those inside of it.

    Raises TemplateError at the first fault, or hands each to `report`.
    """
    compiler = StepCompiler(step, path, report)
    loop, repeat = compiler.loop(), compiler.repeat()
    spec = compiler.spec()
    when = compiler.value("when", in_loop=repeat is None) if "when" in step else None
    return CompiledStep(step, path, spec, when, loop, repeat, tuple(compiler.parts))


def compile_steps(steps: Sequence[StepDef], path: Path, report: Report | None = None) -> list[CompiledStep]:
    """Compile the steps of a list that stands at `path`, and those inside of them. Faults as with `compile_step`."""
    compiled = []
    for index, step in enumerate(steps):
        one = compile_step(step, (*path, index), report)
        if not _INSIDE.isdisjoint(step):
            one.blocks = tuple(
                tuple(compile_steps(block, (*path, index, *inner), report)) for inner, block in blocks_of(step)
            )
        compiled.append(one)
    return compiled


def all_steps(steps: Iterable[CompiledStep]) -> Iterator[CompiledStep]:
    """The steps and all inside of them, in the order of the file."""
    for step in steps:
        yield step
        for block in step.blocks:
            yield from all_steps(block)


def compile_outputs(outputs: Mapping[str, Any], report: Report | None = None) -> tuple[Part, ...]:
    """Compile the outputs of a pipeline."""
    return tuple(
        Part(("outputs", name), compile_value(value, f"outputs.{name}", under(("outputs", name), report)))
        for name, value in outputs.items()
    )
