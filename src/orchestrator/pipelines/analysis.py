"""A definition, compiled and looked up: which names there are, who gives them, who needs whom.

The checks read it, and so does the plan, so that nothing is compiled twice. Steps that stand in one list are a `Level`;
a step with steps inside has levels of its own. A sub-pipeline sees nothing of its parent, so it has an analysis of its
own.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.compiling import CompiledStep, all_steps, compile_outputs, compile_steps
from orchestrator.pipelines.definition import SELF, PipelineDef
from orchestrator.pipelines.needs import Needs, TooManyEdgesError, infer_needs, writers_of
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.step_compiler import Part, Report
from orchestrator.pipelines.wording import Path


@dataclass(slots=True, eq=False)
class Level:
    """Steps that stand together in a list, and may need one another.

    `outer` is the level that sees this one's owner, the step at `index` there; None for the steps of the pipeline. What
    stands in `finally` has the steps of the pipeline around it, without being inside of one of them.
    """

    path: Path
    steps: Sequence[CompiledStep]
    outer: Level | None = None
    index: int | None = None
    needs: Needs = field(default_factory=list)
    #: id -> index of the first step that has it.
    index_of: dict[str, int] = field(default_factory=dict)
    #: index of a step -> the levels inside of it.
    inside: dict[int, tuple[Level, ...]] = field(default_factory=dict)

    @property
    def owner(self) -> CompiledStep | None:
        """The step that this level is inside of."""
        return self.outer.steps[self.index] if self.outer is not None and self.index is not None else None

    @property
    def is_parallel(self) -> bool:
        """Whether its steps are branches, none of which may use another's output."""
        return self.path[-1] == "parallel"

    def chain(self) -> Iterator[Level]:
        """This level and those around it, the innermost first."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.outer

    def all(self) -> Iterator[Level]:
        """This level and those inside of it."""
        yield self
        for levels in self.inside.values():
            for level in levels:
                yield from level.all()

    def runs_in_place_only(self, name: str) -> bool:
        """Whether a step never runs by itself: its `when` is the word false."""
        return name in self.index_of and self.steps[self.index_of[name]].definition.get("when") is False


@dataclass(slots=True, eq=False)
class Analysis:
    """A definition with its templates compiled, and `findings`: what is wrong with it so far.

    `last` are the steps of `finally`; `members` the pipelines that it holds, whose findings are theirs.
    """

    definition: PipelineDef
    main: Level
    last: Level
    outputs: tuple[Part, ...]
    findings: list[Finding] = field(default_factory=list)
    members: dict[str, Analysis] = field(default_factory=dict)
    #: Every pipeline that a `pipeline` step may name, the root included.
    family: dict[str, Analysis] = field(default_factory=dict)
    #: variable -> the steps that set it, at whatever depth.
    writers: dict[str, list[CompiledStep]] = field(default_factory=dict)
    #: name -> the steps that give it to their own templates and to the steps inside, at whatever depth.
    lenders: dict[str, list[CompiledStep]] = field(default_factory=dict)
    #: id -> the steps that have it, at whatever depth.
    by_id: dict[str, list[CompiledStep]] = field(default_factory=dict)
    #: names that are known everywhere: inputs, variables.
    known: set[str] = field(default_factory=set)

    @property
    def inputs(self) -> Collection[str]:
        """The names of its inputs."""
        return self.definition.get("inputs", {})

    def levels(self) -> Iterator[Level]:
        """Every level, outer ones before those inside."""
        yield from self.main.all()
        yield from self.last.all()

    def all_findings(self) -> list[Finding]:
        """Its findings and those of its members, whose paths begin with where they stand in it."""
        found = list(self.findings)
        for ref, member in self.members.items():
            found += [replace(finding, path=("pipelines", ref, *finding.path)) for finding in member.findings]
        return found


def analyse(definition: PipelineDef, names: Collection[str] = ()) -> Analysis:
    """Compile a definition; templates that cannot be read become findings. `names` are taken as known as well."""
    findings: list[Finding] = []

    def note(path: Path, error: TemplateError) -> None:
        findings.append(Finding(path, str(error), placeholder=error.placeholder, offset=error.offset))

    inputs = definition.get("inputs", {})
    main = _level(compile_steps(definition.get("steps", ()), ("steps",), note), ("steps",), inputs, findings)
    last = _last(definition, main, note, findings)
    outputs = compile_outputs(definition.get("outputs", {}), note)
    analysis = Analysis(definition, main, last, outputs, findings)
    for step in all_steps((*main.steps, *last.steps)):
        if id_ := step.id:
            analysis.by_id.setdefault(id_, []).append(step)
        if step.lends:
            for name in step.own_names:
                analysis.lenders.setdefault(name, []).append(step)
        if "set" in step.definition:
            for name in step.writes:
                analysis.writers.setdefault(name, []).append(step)
    analysis.known = {*inputs, *analysis.writers, *names}
    analysis.members = {ref: analyse(member) for ref, member in definition.get("pipelines", {}).items()}
    analysis.family = {SELF: analysis, **analysis.members}
    for member in analysis.members.values():
        member.family = analysis.family
    return analysis


def _last(definition: PipelineDef, main: Level, note: Report, findings: list[Finding]) -> Level:
    steps = compile_steps(definition.get("finally", ()), ("finally",), note)
    if not steps:
        return Level(("finally",), (), main)
    given = {*definition.get("inputs", {}), *writers_of(main.steps)}
    return _level(steps, ("finally",), given, findings, main)


@dataclass(frozen=True, slots=True)
class _Given:
    """The variables that a block finds set: inputs, and those that a step outside of it may write."""

    around: Container[str]
    writers: Mapping[str, Sequence[int]]
    index: int

    def __contains__(self, name: object) -> bool:
        if name in self.around:
            return True
        writers = self.writers.get(str(name), ())
        return len(writers) > 1 or (len(writers) == 1 and writers[0] != self.index)


def _level(
    steps: Sequence[CompiledStep],
    path: Path,
    given: Container[str],
    findings: list[Finding],
    outer: Level | None = None,
    index: int | None = None,
) -> Level:
    level = Level(path, steps, outer, index)
    for place, step in enumerate(steps):
        if id_ := step.id:
            level.index_of.setdefault(id_, place)
    try:
        level.needs = infer_needs(steps, given)
    except TooManyEdgesError as error:
        findings.append(Finding((*path, error.index, "id"), str(error)))
    writers: Mapping[str, Sequence[int]] | None = None
    for place, step in enumerate(steps):
        if step.blocks:
            writers = writers_of(steps) if writers is None else writers
            within = _Given(given, writers, place)
            level.inside[place] = tuple(
                _level(block, block_path, within, findings, level, place)
                for block_path, block in zip(step.block_paths, step.blocks, strict=True)
            )
    return level


def recorded_graph(analysis: Analysis) -> Any:
    """What is recorded of who needs whom: see `plan.Graph`."""
    main = _graph(analysis.main)
    if not analysis.last.steps and not analysis.members:
        return main
    members = {ref: recorded_graph(member) for ref, member in analysis.members.items()}
    return {"steps": main, "finally": _graph(analysis.last), "pipelines": members}


def _graph(level: Level) -> list[Any]:
    return [
        {"needs": sorted(needed), "blocks": [_graph(inner) for inner in level.inside[index]]}
        if index in level.inside
        else sorted(needed)
        for index, needed in enumerate(level.needs)
    ]
