"""The names that templates use: are they known there, and do outputs have the fields that are read?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.compiling import CompiledStep, Part
from orchestrator.pipelines.definition import StepDef
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.shapes import Shape
from orchestrator.pipelines.templates import Reference

_RUN = Shape(frozenset({"exit_code", "stdout", "stderr"}))
_RUN_JSON = Shape(frozenset({"exit_code", "stdout", "stderr", "json"}))


def names_used(analysis: Analysis) -> Iterator[Finding]:
    """Every name in a template must be known where it is used."""
    lent = _lent(analysis)
    for index, step in enumerate(analysis.steps):
        for part in step.parts:
            visible = {step.loop.variable} if step.loop is not None and part.in_loop else lent.get(step.id, set())
            for reference in part.value.references:
                if reference.path[0] not in visible:
                    yield from _name_used(analysis, part, reference, index, visible)
    for part in analysis.outputs:
        for reference in part.value.references:
            yield from _name_used(analysis, part, reference, None, set())


def _lent(analysis: Analysis) -> dict[str, set[str]]:
    """Step -> the loop variables that it may use, since it only ever runs in the place of items of such loops."""
    lent: dict[str, set[str]] = {}
    for step in analysis.steps:
        for name in step.alternatives:
            own = {step.loop.variable} if step.loop is not None else set()
            lent[name] = lent.get(name, own) & own
    return {name: variables for name, variables in lent.items() if analysis.runs_in_place_only(name)}


def _name_used(
    analysis: Analysis, part: Part, reference: Reference, reader: int | None, visible: set[str]
) -> Iterator[Finding]:
    name = str(reference.path[0])
    if name in analysis.loop_variables and name not in analysis.known:
        owner = analysis.loop_variables[name][0]
        here = reader is not None and analysis.steps[reader].id == owner
        place = "not known in its for_each" if here else "known only there"
        hint = _how_to_borrow(analysis, name, reader)
        yield _at(part, reference, f"{name!r} is the loop variable of step {owner!r} and {place}", hint=hint)
    elif name not in analysis.known:
        known = analysis.known | visible if visible else analysis.known
        yield _at(part, reference, f"nothing is named {name!r}", name, known)
    elif reader is not None and analysis.index_of.get(name) == reader:
        yield _at(part, reference, f"step {name!r} uses its own output")
    elif analysis.writers.get(name) == [reader] and not analysis.given(name):
        yield _at(part, reference, f"{name!r} is set by this very step and by no other")


def _how_to_borrow(analysis: Analysis, variable: str, reader: int | None) -> str:
    """What makes a loop variable known to a step that may run in the place of an item, if it is one."""
    name = analysis.steps[reader].id if reader is not None else ""
    lenders = (step for step in analysis.steps if step.loop is not None and step.loop.variable == variable)
    if analysis.runs_in_place_only(name) or not any(name in step.alternatives for step in lenders):
        return ""
    return f"with `when: false` step {name!r} would run as an alternative only, and know it"


def _at(
    part: Part, reference: Reference, message: str, name: str = "", known: Collection[object] = (), hint: str = ""
) -> Finding:
    path = (*part.path, *reference.location)
    return Finding(
        path, message, placeholder=reference.text, offset=reference.offset, name=name, known=known, hint=hint
    )


def fields_used(analysis: Analysis, shapes: Mapping[str, Shape]) -> Iterator[Finding]:
    """Every field of a step's output must be one that the output is known to have."""
    outputs = {step.id: _output_shape(step, shapes.get(step.id)) for step in analysis.steps}
    for part in (part for parts in (*(step.parts for step in analysis.steps), analysis.outputs) for part in parts):
        for reference in part.value.references:
            shape = outputs.get(str(reference.path[0]))
            if shape is not None and len(reference.path) > 1 and not reference.guarded:
                yield from _field_used(part, reference, shape)


def _output_shape(step: CompiledStep, given: Shape | None) -> Shape | None:
    one = _item_shape(step.definition, given)
    return Shape(item=one or Shape()) if step.loop is not None else one


def _item_shape(step: StepDef, given: Shape | None) -> Shape | None:
    if "run" in step:
        return _RUN_JSON if step.get("parse") == "json" else _RUN
    if "set" in step:
        return Shape(frozenset(step["set"]))
    return Shape(frozenset(step["returns"])) if "returns" in step else given


def _field_used(part: Part, reference: Reference, shape: Shape) -> Iterator[Finding]:
    """Walk the path as far as the shape is known; a list is entered by an index, fields are read by name."""
    owner = str(reference.path[0])
    for key in reference.path[1:]:
        if isinstance(key, int) and shape.item is not None:
            owner, shape = f"{owner}[{key}]", shape.item
        elif shape.item is not None:
            message = f"the output of {owner!r} is a list and has no {key!r}; one item is {owner}[0]"
            yield _at(part, reference, message)
            return
        elif shape.fields is None or isinstance(key, int) or key in shape.fields:
            return
        else:
            has = f"it has {', '.join(sorted(shape.fields)) or 'no fields'}"
            if key == "json" and "stdout" in shape.fields:
                has = "`parse: json` would give it"
            message = f"the output of {owner!r} has no {key!r}; {has}"
            yield _at(part, reference, message, key, sorted(shape.fields))
            return
