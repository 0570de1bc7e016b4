"""Draws what modifies a step: its loop, its condition, how it fails and what is done about that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.machine.flow.handlers import MODULE
from tests.machine.flow.places import Place, Step

if TYPE_CHECKING:
    from tests.machine.flow.making import Maker

_LOOPS = ("call", "steps", "switch", "parallel", "pipeline", "wait", "signal", "approve")
_COMPOUND = ("steps", "switch", "parallel", "pipeline")
_RETRY = {"max_attempts": 3, "initial_delay": 5.0}
#: For a block: whatever a handler of ours fails with.
_RETRY_ANY = {"max_attempts": 2, "initial_delay": 5.0, "on": ["network", "validation", "execution", "unknown"]}
_KEY_ERROR = {"exception": ["KeyError"]}
#: Attempts that hang are ended in real time.
_TIMEOUT_SECONDS = 0.02


class Modifiers:
    """Draws for a maker."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    # -- loops ---------------------------------------------------------------------------------------------------------

    def loop(self, id_: str, kind: str, place: Place) -> tuple[Step, Place]:
        """A loop or none, and what is known inside of it."""
        maker = self._maker
        if kind not in _LOOPS:
            return {}, place
        if maker.rarely(5):
            return self._for_each(id_, place)
        return self._while(id_, kind, place) if maker.rarely(7) else ({}, place)

    def _for_each(self, id_: str, place: Place) -> tuple[Step, Place]:
        maker, item = self._maker, f"i{id_}"
        literal = [[1, 2, 3], [4], [], [1, 2, 3, 4, 5], {"k": 1, "l": 2}]
        items = f"${{{maker.pick(place.lists)}}}" if place.lists and maker.rarely(3) else maker.pick(literal)
        loop: Step = {"for_each": items, "as": item}
        if maker.rarely(2):
            loop["max_parallel"] = maker.number(1, 3)
        if maker.rarely(3):
            loop["on_item_failure"] = maker.pick(["stop", "collect", "collect", 0.5, 0.25])
        place = place.knowing("others" if isinstance(items, dict) else "numbers", item)
        return loop, replace(place, may_set=False)

    def _while(self, id_: str, kind: str, place: Place) -> tuple[Step, Place]:
        maker, number = self._maker, f"n{id_}"
        rounds = maker.number(0, 3)
        condition = f"{number} < {rounds}"
        if kind == "call":
            if maker.rarely(2):
                condition += f" and ({id_} or 0) % 3 != 1"
            place = place.knowing("numbers", id_)
        loop: Step = {"while": f"${{{condition}}}", "as": number}
        if maker.rarely(6):
            loop["max_iterations"] = 2
        return loop, place.knowing("numbers", number)

    # -- what holds for every kind -------------------------------------------------------------------------------------

    def rest(self, step: Step, kind: str, place: Place, inner: Place) -> list[Step]:
        """Condition, failures, recoveries, checkpoints; gives the steps that stand beside it for its recovery."""
        maker = self._maker
        others: list[Step] = []
        if kind in _LOOPS and "when" not in step and maker.rarely(6):
            step["when"] = maker.condition(inner if "for_each" in step else place)
        if "call" in step:
            others = self._failing_call(step, place)
            if maker.rarely(8):
                step["effect"] = {"in_doubt": maker.pick(["retry", "skip", "ask", "verify"])}
                if step["effect"]["in_doubt"] == "verify":
                    step["effect"]["verify"] = f"{MODULE}:happened"
        elif kind in _COMPOUND:
            others = self._failing_block(step, place)
        elif kind in ("signal", "approve") and "deadline" in step and "default" not in step and maker.rarely(2):
            step["on_error"] = [{"strategy": "skip", "output": maker.pick([None, 1000])}]
        if place.before and maker.rarely(6):
            step["needs"] = [maker.pick(place.before)]
        if maker.rarely(8):
            step["important"] = True
        if maker.rarely(10) and "for_each" not in step:
            step["checkpoint"] = f"at {step['id']}"
        return others

    def _failing_call(self, step: Step, place: Place) -> list[Step]:
        maker = self._maker
        match maker.pick(["well"] * 9 + ["late"] * 4 + ["flaky"] * 3 + ["broken"] * 3 + ["hard", "back", "hang"]):
            case "late":
                step["with"]["do"] = {"delay": maker.pick([1.0, 20.0, 400.0])}
            case "flaky":
                step["with"]["do"] = {"flaky": maker.number(1, 3)}
                step["retry"] = dict(_RETRY)
            case "broken":
                step["with"]["do"] = {"broken": True}
                return self._recovery(step, place, dict(_KEY_ERROR))
            case "hard":
                step["with"]["do"] = {"hard": True}
            case "back" if place.level == place.depth == 0 and "for_each" not in step and "while" not in step:
                step["with"]["do"] = {"until": maker.number(2, 3)}
                step["on_error"] = [{**_KEY_ERROR, "strategy": "rollback"}]
            case "hang" if not step["call"].endswith("thread"):
                step["with"]["do"] = {"hang": True}
                step |= {"timeout": _TIMEOUT_SECONDS, "retry": {**_RETRY, "on": ["timeout"]}}
        return []

    def _failing_block(self, step: Step, place: Place) -> list[Step]:
        maker = self._maker
        match maker.pick(["nothing"] * 4 + ["retry", "recovery", "recovery", "timeout"]):
            case "retry":
                step["retry"] = dict(_RETRY_ANY)
            case "recovery":
                return self._recovery(step, place, {})
            case "timeout":
                step["timeout"] = maker.pick([50.0, 5000.0])
        return []

    def _recovery(self, step: Step, place: Place, condition: dict[str, Any]) -> list[Step]:
        maker = self._maker
        choices = ["skip", "skip", "ask", "again"] + ["alternative"] * (2 if place.may_stand_in else 0)
        match maker.pick(choices):
            case "skip":
                step["on_error"] = [{**condition, "strategy": "skip", "output": maker.pick([None, 1000])}]
            case "ask":
                ask = {"strategy": "manual_intervention", "instructions": "say 500"}
                step["on_error"] = [{**condition, **ask}]
            case "again":
                again = {"strategy": "retry", "max_attempts": 2, "initial_delay": 5.0}
                after = [{"strategy": "skip", "output": 77}] if maker.rarely(2) else []
                step["on_error"] = [{**condition, "category": ["validation", "network"], **again}, *after]
            case "alternative":
                other = f"{step['id']}_other{place.depth or ''}"  # no step of a pipeline that it runs has this id
                given = {"values": maker.values(place), "extra": maker.number(100, 199)}
                step["on_error"] = [{**condition, "strategy": "alternative_path", "steps": [other]}]
                return [{"id": other, "when": False, "call": f"{MODULE}:work", "with": given}]
        return []
