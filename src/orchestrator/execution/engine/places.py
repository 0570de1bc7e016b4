"""Where a step stands: which planned step a key is, in which pipeline, and which names it sees.

The names of a step are those of everything around it, the nearest first: the item of its loop, the other steps of its
block, the item of the loop around that, and so on up to its pipeline. A sub-pipeline sees nothing beyond itself. At the
top of the pipeline itself names are variables, which the variable manager has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.flow import Asked
from orchestrator.execution.state.outputs import NULL, output_of
from orchestrator.execution.variables import Cell, GetBlob, LiveCell, RecordedCell, Root, StepScope, VariableManager
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.keys import block_key, item_key, part_key, place_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.plan import Plan, PlannedStep
from orchestrator.types import StepKey

_NOTHING: Mapping[str, Cell] = {}
_NOBODY = StepKey("")
#: Gives the cell behind a name; None where it has none of that name.
_Level: TypeAlias = Callable[[str], Cell | None]
#: How a pipeline stands when its `finally` steps run, by the key of the step that runs it (`""`: the pipeline itself).
Outcome: TypeAlias = Callable[[StepKey], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """A planned step, the flow and the plan that it belongs to, and the step that runs that plan (`""`: nobody)."""

    step: PlannedStep
    flow: Mapping[str, PlannedStep]
    plan: Plan
    runs: StepKey = _NOBODY
    #: The call of a durable function that it is.
    asked: Asked | None = None

    @property
    def prefix(self) -> str:
        """What the names of its pipeline's variables begin with in the variable manager."""
        return f"{self.runs}/" if self.runs else ""

    @property
    def is_last(self) -> bool:
        """Whether it is a `finally` step of its pipeline."""
        return self.flow is self.plan.finally_


@dataclass(frozen=True, slots=True)
class Places:
    """Finds the steps of one execution. `outcome` tells how a pipeline stands for its `finally` steps."""

    plan: Plan
    record: ExecutionRecord
    variables: VariableManager
    get_blob: GetBlob
    outcome: Outcome
    #: What durable functions have asked for.
    called: dict[StepKey, Place] = field(default_factory=dict)
    #: The steps of the pipeline itself that were found: they are asked for with each of their items.
    _tops: dict[StepKey, Place] = field(default_factory=dict)

    def find(self, key: StepKey) -> Place:
        """The place of a step. Raises IllegalMoveError where the pipeline has no such step."""
        found = self._find(key)
        if found is None:
            raise IllegalMoveError(f"step {key}", "not in the pipeline", "carried on")
        return found

    def _find(self, key: StepKey) -> Place | None:
        if self.called and (called := self.called.get(key)) is not None:
            return called
        place = place_of(key)
        if place is None:
            if (top := self._tops.get(key)) is None and (top := _in(self.plan, key, StepKey(""))) is not None:
                self._tops[key] = top
            return top
        owner = self._find(place.owner)
        if owner is None:
            return None
        known = self.record.steps.get(place.owner)
        if place.mark == "[":
            return owner
        if place.mark == ".":
            block = owner.step.blocks[_case(known)].steps
            return Place(block[place.name], block, owner.plan, owner.runs) if place.name in block else None
        if owner.step.kind == "pipeline" and known is not None and known.block is not None:
            sub = self.sub_plan(owner.step)
            if (inside := _in(sub, place.name, place.owner)) is not None:
                return inside
        # What a recovery runs stands in the same flow as the step that it runs for.
        found = owner.flow.get(place.name)
        return None if found is None else Place(found, owner.flow, owner.plan, owner.runs)

    def sub_plan(self, step: PlannedStep) -> Plan:
        """The plan of the pipeline that a step runs."""
        return self.plan.pipelines[step.definition["pipeline"]]

    def scope(self, key: StepKey, at: Place) -> StepScope:
        """The names that a step sees, which stands there."""
        step = at.step
        if at.flow is self.plan.steps and not step.is_repeated:  # by far the most often, and therefore short
            if key == step.id:
                return StepScope(self.variables, _NOTHING)
            place = place_of(key)
            if step.loop is not None and place is not None and place.mark == "[" and place.owner == step.id:
                items = self.record.step(place.owner).items or ()
                item = RecordedCell(items[int(place.name)], self.get_blob)
                return StepScope(self.variables, {step.loop.variable: item})
        return self._scope(list(self._levels(key)))

    def inside(self, key: StepKey) -> StepScope:
        """The names as they are inside of a step that holds others."""
        place, known = self.find(key), self.record.step(key)
        if place.step.kind == "pipeline":
            return self._scope([*self._pipeline(self.sub_plan(place.step), key, known, last=False), _closed])
        block = place.step.blocks[_case(known)].steps
        return self._scope([self._block(key, block), *self._levels(key)])

    def _scope(self, levels: list[_Level]) -> StepScope:
        closed = bool(levels) and levels[-1] is _closed
        return StepScope(self.variables, _Names(levels[:-1] if closed else levels), closed)

    # -- levels ------------------------------------------------------------------------------------------------------

    def _levels(self, key: StepKey) -> Iterator[_Level]:
        """What a step sees beside the variables of the pipeline, the nearest first."""
        found = self.find(key)
        if found.step.is_repeated and key[-1:] != "]":
            known = self.record.steps.get(key)
            yield self._round(found.step, key, (known.rounds or 0) if known is not None else 0)
        while (place := place_of(key)) is not None:
            owner, known = self.find(place.owner), self.record.step(place.owner)
            if place.mark == "[":
                yield self._item(owner.step, place.owner, known, int(place.name))
            elif place.mark == ".":
                yield self._block(place.owner, owner.step.blocks[_case(known)].steps)
            elif (inside := self.find(key)).runs == place.owner:
                yield from self._pipeline(inside.plan, place.owner, known, inside.is_last)
                yield _closed
                return
            key = place.owner
        if (top := self.find(key)).is_last:
            yield self._finally(top.plan, StepKey(""))

    def _item(self, step: PlannedStep, loop: StepKey, known: StepRecord, index: int) -> _Level:
        if step.is_repeated:
            return self._round(step, loop, index)
        assert step.loop is not None
        variable, items = step.loop.variable, known.items or ()
        return lambda name: RecordedCell(items[index], self.get_blob) if name == variable else None

    def _round(self, step: PlannedStep, key: StepKey, index: int) -> _Level:
        """The step's own id is the output of the round before."""
        variable = step.repeat.variable if step.repeat is not None else None

        def level(name: str) -> Cell | None:
            if name == step.id:
                return (self._output(item_key(key, index - 1)) if index else None) or NULL
            return LiveCell(index) if name == variable else None

        return level

    def _block(self, owner: StepKey, block: Mapping[str, PlannedStep]) -> _Level:
        return lambda name: self._output(block_key(owner, name)) if name in block else None

    def _pipeline(self, plan: Plan, owner: StepKey, known: StepRecord, last: bool) -> Iterator[_Level]:
        """The variables of a sub-pipeline, its steps, its inputs."""
        variables = Root(self.variables)
        inputs = dict(known.block.inputs) if known.block is not None else {}

        def level(name: str) -> Cell | None:
            if (binding := variables.get(f"{owner}/{name}")) is not None:
                return binding.cell
            if name in plan.steps or name in plan.finally_:
                return self._output(part_key(owner, name))
            return RecordedCell(inputs[name], self.get_blob) if name in inputs else None

        yield level
        if last:
            yield self._finally(plan, owner)

    def _finally(self, plan: Plan, owner: StepKey) -> _Level:
        """What `finally` steps see besides: how the pipeline stands, and null for what did not end."""

        def level(name: str) -> Cell | None:
            if name == "outcome":
                return LiveCell(self.outcome(owner))
            step = self.record.steps.get(StepKey(name)) if not owner else None
            known = step is not None and step.status in ENDED_WELL  # its variable may be of an earlier generation
            return NULL if name in plan.steps and not known else None

        return level

    def _output(self, key: StepKey) -> Cell | None:
        return output_of(self.record, key, self.get_blob)


def _in(plan: Plan, name: str, runs: StepKey) -> Place | None:
    for flow in (plan.steps, plan.finally_):
        if name in flow:
            return Place(flow[name], flow, plan, runs)
    return None


def _case(known: StepRecord | None) -> int:
    return known.block.case or 0 if known is not None and known.block is not None else 0


def _closed(name: str) -> Cell | None:
    """The end of what a sub-pipeline sees."""
    return None


class _Names:
    """The names of some levels."""

    __slots__ = ("_levels",)

    def __init__(self, levels: list[_Level]) -> None:
        self._levels = levels

    def get(self, name: str) -> Cell | None:
        """The cell behind a name, from the nearest level that has it."""
        for level in self._levels:
            if (cell := level(name)) is not None:
                return cell
        return None
