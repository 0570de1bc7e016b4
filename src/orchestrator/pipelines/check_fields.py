"""Do outputs have the fields that are read of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestrator.pipelines.analysis import Analysis, Level
from orchestrator.pipelines.check_names import at_reference
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.definition import StepDef, kind_of_step
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.shapes import Shape
from orchestrator.pipelines.step_compiler import Part
from orchestrator.pipelines.templates import Reference

#: What is known from elsewhere of the output of a `call` step (of one item, where it has `for_each`).
Shapes = Callable[[StepDef], Shape | None]

_RUN = Shape(frozenset({"exit_code", "stdout", "stderr"}))
_RUN_JSON = Shape(frozenset({"exit_code", "stdout", "stderr", "json"}))
_ANSWER = frozenset({"choice", "form", "by", "at"})
_COLLECTED = frozenset({"ok", "value", "error"})


def fields_used(analysis: Analysis, shapes: Shapes) -> Iterator[Finding]:
    """Every field of a step's output must be one that the output is known to have."""
    outputs = _Outputs(analysis, shapes)
    for level in analysis.levels():
        for index, step in enumerate(level.steps):
            for part in step.parts:
                seen_from = level if part.block is None else level.inside[index][part.block]
                for reference in part.value.references:
                    if (shape := outputs.read(reference, seen_from)) is not None:
                        yield from _field_used(part, reference, shape)
    for part in analysis.outputs:
        for reference in part.value.references:
            if (shape := outputs.read(reference, analysis.main)) is not None:
                yield from _field_used(part, reference, shape)


class _Outputs:
    """The shapes of the outputs of steps, each made once."""

    def __init__(self, analysis: Analysis, shapes: Shapes) -> None:
        self._analysis, self._given = analysis, shapes
        self._made: dict[int, Shape | None] = {}

    def read(self, reference: Reference, level: Level) -> Shape | None:
        """What is known of the output of which a reference at a level reads a field that must be there."""
        if len(reference.path) < 2 or reference.guarded:
            return None
        name = str(reference.path[0])
        around: Level | None = level
        while around is not None:
            if (index := around.index_of.get(name)) is not None:
                return self._of(around, index)
            around = around.outer
        return None

    def _of(self, level: Level, index: int) -> Shape | None:
        step = level.steps[index]
        if (key := id(step)) in self._made:
            return self._made[key]
        one = self._of_one(level, index, step)
        shape = self._made[key] = _of_loop(step, one) if step.loop is not None else one
        return shape

    def _of_one(self, level: Level, index: int, step: CompiledStep) -> Shape | None:
        """The shape of one item, or of one round."""
        definition = step.definition
        if "call" in definition:
            return Shape(frozenset(definition["returns"])) if "returns" in definition else self._given(definition)
        match kind_of_step(definition):
            case "run":
                return _RUN_JSON if definition.get("parse") == "json" else _RUN
            case "set":
                return Shape(frozenset(definition["set"]))
            case "approve":
                return Shape(_ANSWER, inner={"form": Shape(frozenset(definition.get("form", {})))})
            case "pipeline":
                member = self._analysis.family.get(definition["pipeline"])
                return Shape(frozenset(member.definition.get("outputs", {}))) if member is not None else None
            case "steps" | "parallel":
                return self._of_block(level.inside[index][0], definition)
            case "switch":
                cases = [case for case in definition["switch"] if "steps" in case]
                blocks = level.inside[index]
                return _either([self._of_block(*pair) for pair in zip(blocks, cases, strict=False)])
        return None

    def _of_block(self, level: Level, holder: Mapping[str, object]) -> Shape | None:
        if "output" in holder:
            return _of_template(holder["output"])
        known = {step.id: self._of(level, index) for index, step in enumerate(level.steps)}
        return Shape(frozenset(known), inner={name: shape for name, shape in known.items() if shape is not None})


def _of_loop(step: CompiledStep, one: Shape | None) -> Shape:
    if step.definition.get("on_item_failure") == "collect":
        return Shape(item=Shape(_COLLECTED, inner={} if one is None else {"value": one}))
    return Shape(item=one or Shape())


def _of_template(value: object) -> Shape | None:
    """The shape of what a value with templates gives: its keys are fixed."""
    if isinstance(value, Mapping):
        return Shape(frozenset(map(str, value)))
    return Shape(item=Shape()) if isinstance(value, list) else None


def _either(shapes: list[Shape | None]) -> Shape | None:
    """What is known of a value that has one of some shapes."""
    fields: set[str] = set()
    for shape in shapes:
        if shape is None or shape.fields is None:
            return None
        fields |= shape.fields
    return Shape(frozenset(fields))


def _field_used(part: Part, reference: Reference, shape: Shape) -> Iterator[Finding]:
    """Walk the path as far as the shape is known; a list is entered by an index, fields are read by name."""
    owner = str(reference.path[0])
    for key in reference.path[1:]:
        if isinstance(key, int) and shape.item is not None:
            owner, shape = f"{owner}[{key}]", shape.item
        elif shape.item is not None:
            message = f"the output of {owner!r} is a list and has no {key!r}; one item is {owner}[0]"
            yield at_reference(part, reference, message)
            return
        elif shape.fields is None or isinstance(key, int):
            return
        elif key in shape.fields:
            if key not in shape.inner:
                return
            owner, shape = f"{owner}.{key}", shape.inner[key]
        else:
            has = f"it has {', '.join(sorted(shape.fields)) or 'no fields'}"
            if key == "json" and "stdout" in shape.fields:
                has = "`parse: json` would give it"
            message = f"the output of {owner!r} has no {key!r}; {has}"
            yield at_reference(part, reference, message, key, sorted(shape.fields))
            return
