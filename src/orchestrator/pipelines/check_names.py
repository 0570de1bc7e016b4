"""The names that templates use: are they known where they are used?

A name is looked up from the inside out: what the step and those around it give to their own templates (a loop variable;
the last round of a `while`), the steps of the same list, the lists around that, the inputs and variables of the
pipeline.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Set

from orchestrator.pipelines.analysis import Analysis, Level
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.step_compiler import Part
from orchestrator.pipelines.templates import Reference

#: What steps of `finally` know of how the others ended.
OUTCOME = "outcome"

_NOTHING: frozenset[str] = frozenset()


def names_used(analysis: Analysis) -> Iterator[Finding]:
    """Every name in a template must be known where it is used."""
    lookup = _Lookup(analysis)
    yield from lookup.level(analysis.main, _NOTHING)
    yield from lookup.level(analysis.last, _NOTHING)
    for part in analysis.outputs:
        for reference in part.value.references:
            yield from lookup.reference(part, reference, analysis.main, None, _NOTHING)


class _Lookup:
    """Looks up every name of a pipeline."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._known: dict[Level, frozenset[str]] = {}

    def level(self, level: Level, around: Set[str]) -> Iterator[Finding]:
        """What is wrong with the names at a level and inside of it; `around` are lent by the steps that it is inside
        of."""
        lent = _lent(level)
        here: Container[object] = (
            _NOTHING if level.is_parallel else level.index_of
        )  # names that any step but the one itself may use
        for index, step in enumerate(level.steps):
            own = step.own_names if step.lends else _NOTHING
            for part in step.parts:
                visible = own if own and part.in_loop else lent.get(step.id, _NOTHING) if lent else _NOTHING
                for reference in part.value.references:
                    name = reference.path[0]
                    if name in visible or name in around or (name in here and level.index_of[str(name)] != index):
                        continue
                    yield from self.reference(part, reference, level, index, visible | around)
            for inner in level.inside.get(index, ()):
                yield from self.level(inner, around | own)

    def reference(
        self, part: Part, reference: Reference, level: Level, index: int | None, visible: Set[str]
    ) -> Iterator[Finding]:
        """What is wrong with one use of a name by the step at `index`, or by the outputs."""
        name = str(reference.path[0])
        if part.block is not None and index is not None:
            inside = level.inside[index][part.block]
            if name in inside.index_of:
                return
        place = index
        for around in level.chain():
            if (found := around.index_of.get(name)) is not None:
                if message := _of_step(name, around, found, place, level):
                    yield at_reference(part, reference, message)
                return
            if message := _of_branch(name, around, place):
                yield at_reference(part, reference, message)
                return
            place = around.index
        reader = level.steps[index] if index is not None else None
        if name in self._analysis.known:
            if message := self._of_variable(name, level, reader):
                yield at_reference(part, reference, message)
        elif not self._is_outcome(name, level):
            yield self._unknown(part, reference, level, reader, visible)

    def _of_variable(self, name: str, level: Level, reader: CompiledStep | None) -> str:
        writers = self._analysis.writers.get(name, ())
        if not writers or name in self._analysis.inputs:
            return ""
        if len(writers) == 1 and writers[0] is reader:
            return f"{name!r} is set by this very step and by no other"
        if not _is_last(level) and all(writer.path[0] == "finally" for writer in writers):
            return f"{name!r} is set in finally only, whose steps run when all others have ended"
        return ""

    def _is_outcome(self, name: str, level: Level) -> bool:
        return name == OUTCOME and _is_last(level)

    def _unknown(
        self, part: Part, reference: Reference, level: Level, reader: CompiledStep | None, visible: Set[str]
    ) -> Finding:
        name = str(reference.path[0])
        elsewhere = self._analysis.by_id.get(name)
        if elsewhere:
            message, hint = _inside_of(name, elsewhere[0], self._analysis)
            return at_reference(part, reference, message, hint=hint)
        if lenders := self._analysis.lenders.get(name):
            hint = _how_to_borrow(level, name, reader)
            return at_reference(part, reference, _of_lender(name, lenders[0], reader), hint=hint)
        if name == OUTCOME and self._analysis.last.steps:
            return at_reference(part, reference, f"{name!r} is known in the steps of finally only")
        return at_reference(part, reference, f"nothing is named {name!r}", name, self._names_at(level, visible))

    def _names_at(self, level: Level, visible: Set[str]) -> Collection[str]:
        if (known := self._known.get(level)) is None:
            steps = [around.index_of for around in level.chain()]
            outcome = (OUTCOME,) if _is_last(level) else ()
            known = self._known[level] = frozenset(self._analysis.known).union(outcome, *steps)
        return known | visible if visible else known


def _is_last(level: Level) -> bool:
    return level.path[0] == "finally"


def _of_step(name: str, around: Level, found: int, place: int | None, level: Level) -> str:
    """What is wrong with the use of the step at `found` by the one at `place`, or by what stands inside of that."""
    if found == place:
        if around is level:
            return f"step {name!r} uses its own output"
        return f"this stands inside of step {name!r}, whose output is there when all of it has ended"
    if around.is_parallel and place is not None:
        return f"{name!r} is another branch of this parallel step, and a branch does not wait for another"
    return ""


def _of_branch(name: str, around: Level, place: int | None) -> str:
    """What is wrong with the use of a variable that another branch sets."""
    if not around.is_parallel or place is None:
        return ""
    for need in sorted(around.needs[place]) if place < len(around.needs) else ():
        if name in around.steps[need].writes:
            branch = around.steps[need].id
            return f"{name!r} is set by the branch {branch!r}, and a branch does not wait for another"
    return ""


def _inside_of(name: str, step: CompiledStep, analysis: Analysis) -> tuple[str, str]:
    """Where a step is known that is not known here, and what to write instead."""
    owner = _owner(step, analysis)
    if owner is None:  # it stands in finally, and a step that runs before uses it
        return f"{name!r} is a step of finally, which runs when all others have ended", ""
    place = "a step" if "parallel" not in owner.definition else "a branch"
    message = f"{name!r} is {place} inside of {owner.id!r}, and known only there"
    whole = owner.loop is None and "output" not in owner.definition
    if whole and ("steps" in owner.definition or "parallel" in owner.definition):
        return message, f"outside it is {owner.id}.{name}"
    return message, f"use the output of {owner.id!r}"


def _owner(step: CompiledStep, analysis: Analysis) -> CompiledStep | None:
    level = next((level for level in analysis.levels() if level.path == step.path[:-1]), None)
    return level.owner if level is not None else None


def _of_lender(name: str, lender: CompiledStep, reader: CompiledStep | None) -> str:
    what = "the loop variable" if lender.loop is not None else "the number of the round"
    if reader is lender:
        place = "not known in its for_each" if lender.loop is not None else "not known in its `when`"
    else:
        place = "known only there"
    return f"{name!r} is {what} of step {lender.id!r} and {place}"


def _lent(level: Level) -> dict[str, frozenset[str]]:
    """Step -> the loop variables that it may use, since it only ever runs in the place of items of such loops."""
    lent: dict[str, frozenset[str]] = {}
    for step in level.steps:
        for name in step.alternatives:
            own = step.own_names - {step.id}
            lent[name] = lent.get(name, own) & own
    return {name: variables for name, variables in lent.items() if level.runs_in_place_only(name)}


def _how_to_borrow(level: Level, variable: str, reader: CompiledStep | None) -> str:
    """What makes a loop variable known to a step that may run in the place of an item, if it is one."""
    name = reader.id if reader is not None else ""
    lenders = (step for step in level.steps if variable in step.own_names)
    if level.runs_in_place_only(name) or not any(name in step.alternatives for step in lenders):
        return ""
    return f"with `when: false` step {name!r} would run as an alternative only, and know it"


def at_reference(
    part: Part, reference: Reference, message: str, name: str = "", known: Collection[object] = (), hint: str = ""
) -> Finding:
    """A finding at one use of a name."""
    path = (*part.path, *reference.location)
    return Finding(
        path, message, placeholder=reference.text, offset=reference.offset, name=name, known=known, hint=hint
    )
