"""Draws what a step does, for each kind.

Each method fills in a step and says what its name stands for behind it: one of the fields of a `Place`, or `nothing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.machine.flow.handlers import MODULE
from tests.machine.flow.places import Definition, Place, Step

if TYPE_CHECKING:
    from tests.machine.flow.making import Maker

SIGNALS = ("sig0", "sig1")
_DEEPEST = 3


class Kinds:
    """Draws for a maker."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._variables = 0

    def fits(self, kind: str, place: Place) -> bool:
        """Whether a step of this kind may stand there."""
        match kind:
            case "set":
                return place.may_set
            case "steps" | "switch" | "parallel":
                return place.level < _DEEPEST
            case "pipeline":
                return place.depth < _DEEPEST
            case _:
                return True

    def fill(self, kind: str, step: Step, place: Place) -> str:
        """Make a step one of this kind."""
        return str(getattr(self, f"_{kind}")(step, place))

    def _call(self, step: Step, place: Place) -> str:
        if "while" not in step and self._maker.rarely(60):  # a program takes its time
            step["run"] = ["echo", str(self._maker.number(0, 99))]
            return "others"
        give = "number" if "while" in step else self._maker.pick(["number"] * 4 + ["list", "record"])
        given: dict[str, Any] = {"values": self._maker.values(place), "extra": self._maker.number(0, 99)}
        if give != "number":
            given["give"] = give
        step |= {"call": f"{MODULE}:{'work_in_thread' if self._maker.rarely(8) else 'work'}", "with": given}
        return {"number": "numbers", "list": "lists", "record": "others"}[give]

    def _set(self, step: Step, place: Place) -> str:
        self._variables += 1
        step["set"] = {f"v{self._variables}": self._maker.pick([self._maker.values(place), self._maker.number(0, 9)])}
        return "others"

    def _steps(self, step: Step, place: Place) -> str:
        step["steps"], inside = self._maker.block(place)
        return self._output(step, step["steps"], inside)

    def _switch(self, step: Step, place: Place) -> str:
        cases: list[dict[str, Any]] = []
        for n in range(self._maker.number(1, 3)):
            steps, inside = self._maker.block(place)
            case: dict[str, Any] = {"steps": steps}
            if n == 0 or self._maker.rarely(2):
                case = {"when": self._maker.condition(place), **case}
            self._output(case, steps, inside)
            cases.append(case)
            if "when" not in case:
                break
        step["switch"] = cases
        return "others"

    def _parallel(self, step: Step, place: Place) -> str:
        inner = place.inside(may_stand_in=False)
        names = [inner.id_of(n) for n in range(self._maker.number(2, 3))]
        step["parallel"] = [one for name in names for one in self._maker.step(name, inner)[0]]  # none sees another
        join = self._maker.pick(["all", "all", "any", "any", 1, 2])
        if join != "all":
            step["join"] = min(join, len(step["parallel"])) if isinstance(join, int) else join
        return "others"

    def _pipeline(self, step: Step, place: Place) -> str:
        known = [ref for ref, member in self._maker.members.items() if "x" in member.get("inputs", {})]
        if self._maker.rarely(4):
            self._maker.members["down"] = _DOWN
            step |= {"pipeline": "down", "with": {"n": self._maker.number(0, 2)}}
            return "others"
        if known and self._maker.rarely(3):
            ref = self._maker.pick(known)
        else:
            ref = f"p{len(self._maker.members)}"
            self._maker.members[ref] = {}  # the name is taken while it is made
            self._maker.members[ref] = self._maker.pipeline(ref, place.depth + 1)
        step["pipeline"] = ref
        if place.names and self._maker.rarely(2):
            step["with"] = {"x": f"${{{self._maker.pick(place.numbers)}}}" if place.numbers else 3}
        return "others"

    def _wait(self, step: Step, place: Place) -> str:
        step["wait"] = self._maker.pick([5.0, 60.0, 3600.0])
        if place.numbers and self._maker.rarely(4):
            step["wait"] = f"${{({self._maker.pick(place.numbers)} or 0) + 7}}"
        return "nothing"

    def _signal(self, step: Step, place: Place) -> str:
        step["signal"] = self._maker.pick(SIGNALS)
        if place.numbers and self._maker.rarely(4):
            step["signal"] = f"sig${{({self._maker.pick(place.numbers)} or 0) % 2}}"
        if self._maker.rarely(2):
            step["deadline"] = self._maker.pick([30.0, 600.0])
            if not self._maker.rarely(3):
                step["default"] = self._maker.pick([None, 7])
        return "others"

    def _approve(self, step: Step, place: Place) -> str:
        step["approve"] = f"Go on with {step['id']}?"
        if self._maker.rarely(3):
            step["who"] = ["ann", "bob"]
        if self._maker.rarely(3):
            step["choices"] = ["yes", "no", "later"]
        if self._maker.rarely(3):
            step["form"] = {"amount": {"type": "integer", "default": 5}, "why": {"type": "string"}}
        if self._maker.rarely(2):
            step["deadline"] = self._maker.pick([30.0, 600.0])
            if not self._maker.rarely(3):
                step["default"] = step.get("choices", ["approve", "reject"])[1]
        return "others"

    def _return(self, step: Step, place: Place) -> str:
        values = self._maker.values(place, 1) or [self._maker.number(0, 9)]
        step["return"] = {name: values[0] for name in place.outputs if self._maker.rarely(2)}
        if not step["return"]:
            step["return"] = {place.outputs[0]: 1}
        if not self._maker.rarely(3):
            step["when"] = self._maker.condition(place)
        return "nothing"

    def _fail(self, step: Step, place: Place) -> str:
        step["fail"] = f"{step['id']} is not to be"
        if not self._maker.rarely(3):
            step["when"] = self._maker.condition(place)
        return "nothing"

    def _output(self, holder: dict[str, Any], steps: Sequence[Step], inside: Place) -> str:
        numbers = [step["id"] for step in steps if step["id"] in inside.numbers]
        if numbers and self._maker.rarely(2):
            holder["output"] = f"${{({self._maker.pick(numbers)} or 0) + {self._maker.number(0, 5)}}}"
            return "numbers"
        return "others"


#: A pipeline that calls itself, `n` times.
_DOWN: Definition = {
    "pipeline": "down",
    "inputs": {"n": {"default": 1}},
    "steps": [
        {"id": "s0", "call": f"{MODULE}:work", "with": {"values": ["${n}"]}},
        {"id": "s1", "when": "${n > 0}", "pipeline": "down", "with": {"n": "${n - 1}"}},
    ],
    "outputs": {"last": ["${s0}", "${s1}"]},
}
