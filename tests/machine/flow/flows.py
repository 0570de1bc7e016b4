"""Flows and scopes as the model reads them: a step is looked at when somebody asks for its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.machine.flow.results import Good, Open, Result, Wrong
from tests.machine.flow.story import ENDED_WELL
from tests.machine.flow.templates import names_in

if TYPE_CHECKING:
    from tests.machine.flow.model import Model, Step

#: What the journal says of a step that never began.
_NOT_BEGUN = ("", "pending", "cancelled")


class Scope:
    """Some names around which there may be others."""

    def __init__(self, found: Mapping[str, Any], outer: Scope | None = None) -> None:
        self._found, self._outer = found, outer

    def __getitem__(self, name: str) -> Any:
        if name in self._found:
            return self._found[name]
        if self._outer is None:
            raise KeyError(name)
        return self._outer[name]

    def assign(self, variables: Mapping[str, Any]) -> None:
        """Set variables of the pipeline that this is part of."""
        assert self._outer is not None
        self._outer.assign(variables)

    def definition_of(self, id_: str) -> Step:
        """The step of this name in the nearest flow around that has one."""
        assert self._outer is not None
        return self._outer.definition_of(id_)


class Variables(Scope):
    """The variables of one pipeline, over its inputs."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__({}, Scope(inputs))
        self._found: dict[str, Any] = {}

    def assign(self, variables: Mapping[str, Any]) -> None:
        self._found |= variables


class Flow(Scope):
    """Steps side by side. Each is a name for those that come to need it."""

    def __init__(self, model: Model, steps: Sequence[Step], outer: Scope, prefix: str) -> None:
        super().__init__({}, outer)
        self._model, self._prefix = model, prefix
        self._steps = {step["id"]: step for step in steps}
        self._results: dict[str, Result] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._steps:
            return super().__getitem__(name)
        result = self.result(name)
        if not isinstance(result, Good):
            raise Wrong(f"{self._prefix}{name} is used, and is {result}")
        return result.value

    def definition_of(self, id_: str) -> Step:
        return self._steps[id_] if id_ in self._steps else super().definition_of(id_)

    def all(self) -> dict[str, Result]:
        """What each step comes to, in the order of the file."""
        return {id_: self.result(id_) for id_ in self._steps}

    def outputs(self) -> dict[str, Any]:
        """The outputs of all steps, which have ended well."""
        return {id_: self[id_] for id_ in self._steps}

    def result(self, id_: str) -> Result:
        """What a step comes to."""
        if id_ not in self._results:
            step, key = self._steps[id_], self._prefix + id_
            unmet = [need for need in self._needs(step) if not isinstance(self.result(need), Good)]
            early = [need for need in self._needs(step) if not self.has_ended_well(need)]
            begun = self._model.story.state(key) not in _NOT_BEGUN
            if begun and (unmet or early):
                raise Wrong(f"{key} began, and {self._prefix}{(unmet or early)[0]} has not ended well")
            self._model.visited.add(key)
            self._results[id_] = Open("its needs are not met") if unmet else self._model.step(step, self, key)
        return self._results[id_]

    def _needs(self, step: Step) -> list[str]:
        mentioned = {*names_in(step), *step.get("needs", ())}
        for rule in step.get("on_error", ()):
            for other in rule.get("steps", ()):
                mentioned |= {*names_in(self.definition_of(other))}
        before = [*self._steps][: [*self._steps].index(step["id"])]
        writers = [id_ for id_ in before if mentioned & {*_variables_set_in(self._steps[id_])}]
        return [id_ for id_ in self._steps if id_ != step["id"] and (id_ in mentioned or id_ in writers)]

    # -- against the journal -------------------------------------------------------------------------------------------

    def state(self, id_: str) -> str:
        """What the journal says of a step."""
        return self._model.story.state(self._prefix + id_)

    def has_ended_well(self, id_: str) -> bool:
        """Whether the journal says so."""
        return self.state(id_) in ENDED_WELL

    def ended_at(self, id_: str) -> int:
        """Where its end stands in the journal."""
        return self._model.story.ended_at(self._prefix + id_)

    def must_have_ended(self, *but_may_be: str) -> None:
        """Whatever holds these steps has ended well: so have they."""
        for id_ in self._steps:
            if self.state(id_) not in (*ENDED_WELL, *but_may_be):
                raise Wrong(f"what holds {self._prefix}{id_} has ended, and it is {self.state(id_) or 'not begun'}")

    def must_be_over(self, winners: Sequence[str], decided_at: int) -> None:
        """These branches were enough, and that was decided: the others failed, or were cancelled then.

        One that ended well in the same moment did so before the decision was taken in.
        """
        for id_ in self._steps:
            late = not (self.has_ended_well(id_) and self.ended_at(id_) < decided_at)
            if id_ not in winners and late and self.state(id_) not in ("cancelled", "failed"):
                raise Wrong(f"{self._prefix}{id_} is {self.state(id_) or 'not begun'}, and {winners} were enough")


def _variables_set_in(step: Step) -> Iterator[str]:
    """The variables that a step and what is inside of it sets; those of a sub-pipeline are its own."""
    yield from step.get("set", ())
    for block in (step.get("steps"), step.get("parallel"), *(case["steps"] for case in step.get("switch", ()))):
        for inner in block or ():
            yield from _variables_set_in(inner)
