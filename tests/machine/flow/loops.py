"""Loops as the model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.machine.flow.flows import Scope
from tests.machine.flow.results import ANY, Bad, Good, Result, Wrong
from tests.machine.flow.story import ENDED_WELL
from tests.machine.flow.templates import resolve

if TYPE_CHECKING:
    from tests.machine.flow.model import Model, Step


def for_each(model: Model, step: Step, scope: Scope, key: str, asks_each: bool) -> Result:
    """A `for_each` step; `asks_each`: its condition is judged for each item."""
    items = resolve(step["for_each"], scope)
    if isinstance(items, Mapping):
        items = [{"key": name, "value": item} for name, item in items.items()]
    recorded = model.story.items(key)
    if recorded is not None and recorded != items:
        raise Wrong(f"{key} has the items {recorded}, and not {items}")
    results: list[Result] = []
    for index, item in enumerate(items):
        here, inner = f"{key}[{index}]", Scope({step.get("as", "item"): item}, scope)
        is_left_out = asks_each and not resolve(step["when"], inner)
        results.append(Good(None) if is_left_out else model.one(step, inner, here))
        model.compare(here, results[-1])
    return _tolerated(model, step.get("on_item_failure", "stop"), key, results)


def _tolerated(model: Model, policy: Any, key: str, results: Sequence[Result]) -> Result:
    failed = [r for r in results if isinstance(r, Bad) and model.is_recorded(r.key)]
    borne = {"stop": 0.0, "collect": 1.0}.get(policy, policy) * len(results)
    rest = [r for r in results if r not in failed]
    if len(failed) > borne:
        failed.sort(key=lambda r: model.story.ended_at(r.key))
        return Bad(key, failed[int(borne + 1e-9)].error)  # those before it were borne
    if (ended := model.decided(rest)) is not None:
        return ended
    if model.story.state(key) == "completed":
        for index in range(len(results)):
            if model.story.state(f"{key}[{index}]") not in (*ENDED_WELL, "failed"):
                raise Wrong(f"{key} is completed and {key}[{index}] has not ended")
    if policy == "collect":
        return Good([_collected(result) for result in results])
    return Good([result.value if isinstance(result, Good) else None for result in results])


def rounds(model: Model, step: Step, scope: Scope, key: str) -> Result:
    """A `while` step."""
    last: Any = None
    for index in range(step.get("max_iterations", 1000)):
        inner = Scope({step["id"]: last, step.get("as", ""): index}, scope)
        if not resolve(step["while"], inner):
            return Good(last)
        here = f"{key}[{index}]"
        result = model.one(step, inner, here)
        model.compare(here, result)
        if (ended := model.decided([result])) is not None:
            return Bad(key, ended.error) if isinstance(ended, Bad) else ended
        if model.story.state(key) == "completed" and model.story.state(here) not in ENDED_WELL:
            raise Wrong(f"{key} is completed and {here} has not ended")
        assert isinstance(result, Good)
        last = result.value
    holds = resolve(step["while"], Scope({step["id"]: last, step.get("as", ""): step.get("max_iterations")}, scope))
    return Bad(key, "LoopError") if holds else Good(last)


def _collected(result: Result) -> dict[str, Any]:
    if isinstance(result, Good):
        return {"ok": True, "value": result.value, "error": None}
    return {"ok": False, "value": None, "error": ANY}
