"""Draws a pipeline: any kinds, any modifiers, nested three deep, with as few steps as shrinking can leave.

What is drawn is valid and says what it means: a name is used only where it stands for something whatever happens
(a variable that is written under a condition is not read outside of it), so that each failure is one that was asked
for. Ids repeat among blocks and among sub-pipelines, as they may: `a0` in one has nothing to do with `a0` in another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.machine.flow.handlers import MODULE
from tests.machine.flow.kinds import Kinds
from tests.machine.flow.modifiers import Modifiers
from tests.machine.flow.places import Definition, Made, Place, Step

#: Every kind that can be drawn, the simplest first.
KINDS = ("call", "set", "steps", "switch", "parallel", "pipeline", "wait", "signal", "approve", "return", "fail")
#: How often each is drawn, in shares of these numbers: in the pipeline itself, and in blocks.
_WEIGHTS = {"call": 9, "set": 2, "steps": 2, "switch": 2, "parallel": 4, "pipeline": 3, "wait": 2, "signal": 3}
_WEIGHTS |= {"approve": 2, "return": 1, "fail": 1}
_MOST_STEPS = 14


class Maker:
    """Draws one pipeline."""

    def __init__(self, draw: Callable[[Any], Any], kinds: Sequence[str] = KINDS) -> None:
        self._draw, self._left = draw, _MOST_STEPS
        self._kinds = [kind for kind in kinds for _ in range(_WEIGHTS[kind])]
        self.members: dict[str, Definition] = {}
        self._what, self._modify = Kinds(self), Modifiers(self)

    # -- choices -----------------------------------------------------------------------------------------------------

    def pick(self, options: Sequence[Any]) -> Any:
        """One of these; shrinks to the first."""
        return self._draw(st.sampled_from(options))

    def number(self, least: int, most: int) -> int:
        """A number; shrinks to the least."""
        return int(self._draw(st.integers(least, most)))

    def rarely(self, one_in: int) -> bool:
        """True once in so many; shrinks to false."""
        return self.number(1, one_in) == one_in

    def values(self, place: Place, most: int = 2) -> list[str]:
        """Some of the names that are there, as templates."""
        names = place.names
        return [f"${{{self.pick(names)}}}" for _ in range(self.number(0, most))] if names else []

    def condition(self, place: Place) -> Any:
        """Something to judge, which never fails."""
        if not place.numbers or self.rarely(6):
            return self.pick([True, False])
        number = self.pick(place.numbers)
        if self.rarely(5):
            return f"${{{number} is none}}"
        return f"${{({number} or 0) % {self.number(2, 3)} != {self.number(0, 2)}}}"

    # -- pipelines and blocks ------------------------------------------------------------------------------------------

    def pipeline(self, name: str, depth: int = 0) -> Definition:
        """A pipeline, its members aside."""
        inputs: Definition = {"x": {"default": self.number(0, 9)}, "rows": {"default": [1, 2]}}
        place = Place(("x",), ("rows",), depth=depth, outputs=("early", "last"))
        steps, inside = self.flow(place, 4 if depth == 0 else 3)
        last = [step["id"] for step in steps if step["id"] in inside.names]
        made = {"pipeline": name, "inputs": inputs, "steps": steps}
        made["outputs"] = {"early": f"${{{last[0]}}}" if last else 0, "last": [f"${{{id_}}}" for id_ in last]}
        if self.rarely(4):
            made["finally"] = self._finally(last)
        return made

    def _finally(self, names: Sequence[str]) -> list[Step]:
        made: list[Step] = []
        for n in range(self.number(1, 2)):
            values = [f"${{{self.pick(names)}}}"] if names and self.rarely(2) else []
            given = {"values": values, "extra": n, "status": "${outcome.status}"}
            step: Step = {"id": f"last{n}", "call": f"{MODULE}:work", "with": given}
            if self.rarely(4):
                given["do"] = {"flaky": 1}
                step["retry"] = {"max_attempts": 2, "initial_delay": 5.0}
            made.append(step)
        return made

    def flow(self, place: Place, most: int) -> tuple[list[Step], Place]:
        """Steps of a block, and what is known behind them."""
        steps: list[Step] = []
        for n in range(self.number(1, most)):
            if steps and self._left <= 0:
                break
            made, place = self.step(place.id_of(n), place)
            steps += made
            place = replace(place, before=(*place.before, place.id_of(n)))
        return steps, place

    def block(self, place: Place) -> tuple[list[Step], Place]:
        """The steps of a block inside of a step."""
        return self.flow(place.inside(), 3)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self, id_: str, place: Place) -> tuple[list[Step], Place]:
        """One step (and the one that may run instead of it), and what is known behind it."""
        self._left -= 1
        kind = self.pick(self._kinds)
        if self._left <= 0 or not self._what.fits(kind, place):
            kind = "call"
        if kind == "steps" and self.rarely(3):
            return self._plain_block(id_, place)
        loop, inner = self._modify.loop(id_, kind, place)
        step: Step = {"id": id_, **loop}
        what = self._what.fill(kind, step, inner)
        others = self._modify.rest(step, kind, place, inner)
        if "for_each" in step or (what == "lists" and ("when" in step or "on_error" in step)):
            what = "others"
        if kind == "set" and "when" not in step:
            for name in step["set"]:
                place = place.knowing("others", name)
        return [*others, step], place.knowing(what, id_)

    def _plain_block(self, id_: str, place: Place) -> tuple[list[Step], Place]:
        """A block that always runs, once: the variables that it sets can be read behind it."""
        steps, inside = self.block(place)
        for name in inside.others:
            if name.startswith("v") and name not in place.others:
                place = place.knowing("others", name)
        return [{"id": id_, "steps": steps}], place.knowing("others", id_)


@st.composite
def pipelines(draw: Callable[[Any], Any], kinds: Sequence[str] = KINDS) -> Made:
    """Any pipeline made of these kinds."""
    maker = Maker(draw, kinds)
    definition = maker.pipeline("p")
    if maker.members:
        definition["pipelines"] = maker.members
    return made_of(definition)


def made_of(definition: Definition) -> Made:
    """A pipeline with what is to be watched over in it; what is inside of one that calls itself is left out.

    Two cases may hold steps of one key: the larger window counts, and an effect that both declare.
    """
    windows: dict[str, int] = {}
    effects: dict[str, str] = {}

    def look(steps: Sequence[Step], prefix: str) -> None:
        for step in steps:
            key = f"{prefix}{step['id']}"
            inner = f"{key}[]" if "for_each" in step or "while" in step else key
            if "max_parallel" in step:
                windows[key] = max(step["max_parallel"], windows.get(key, 0))
            effect = step.get("effect", {}).get("in_doubt", "")
            effects[inner] = effect if effects.get(inner, effect) == effect else ""
            for block in (step.get("steps"), step.get("parallel"), *(c["steps"] for c in step.get("switch", ()))):
                look(block or (), f"{inner}.")
            if (ref := step.get("pipeline", "down")) != "down":
                look(definition["pipelines"][ref]["steps"], f"{inner}/")

    look(definition["steps"], "")
    return Made(definition, windows, effects)
