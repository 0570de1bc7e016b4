"""Who waits for whom where steps stand inside of steps: against the rule written out naively for each pair of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pipelines.definition import PipelineDef, blocks_of, steps_below
from orchestrator.pipelines.plan import PlannedStep, Recorded, make_plan


@st.composite
def pipelines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps inside of steps, each of which uses outputs of steps that come before it and are known to it."""
    number = iter(range(1000))

    def listed(known: list[str], depth: int) -> list[dict[str, Any]]:
        here: list[str] = []
        steps = []
        for _ in range(draw(st.integers(1, 3))):
            id_, seen = f"s{next(number)}", [*known, *here]
            kind = draw(st.sampled_from(["call", "steps", "switch"])) if depth < 3 else "call"
            step: dict[str, Any] = {"id": id_}
            if kind == "call":
                used = draw(st.lists(st.sampled_from(seen), max_size=2)) if seen else []
                step |= {"call": "m:f", "with": {name: f"${{{name}}}" for name in used}}
            elif kind == "steps":
                step["steps"] = listed(seen, depth + 1)
            else:
                cases = [{"when": "${1}", "steps": listed(seen, depth + 1)}, {"steps": listed(seen, depth + 1)}]
                step["switch"] = cases
            steps.append(step)
            here.append(id_)
        return steps

    return listed([], 0)


def planned(steps: Mapping[str, PlannedStep]) -> Iterator[PlannedStep]:
    for step in steps.values():
        yield step
        for flow in step.blocks:
            yield from planned(flow.steps)


def used_inside(step: Mapping[str, Any]) -> set[str]:
    below = [inner for path, block in blocks_of(step) for _, inner in steps_below(block, path)]
    return {name for one in [step, *below] for name in cast(Mapping[str, Any], one).get("with", {})}


def lists_of(steps: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    yield steps
    for step in steps:
        for _, block in blocks_of(step):
            yield from lists_of(cast(Sequence[Mapping[str, Any]], block))


@given(pipelines())
def test_a_step_waits_for_those_beside_it_that_it_or_a_step_inside_of_it_uses(steps: list[dict[str, Any]]) -> None:
    plan = make_plan(Recorded(cast(PipelineDef, {"pipeline": "p", "steps": steps})))
    needs = {step.id: step.needs for step in planned(plan.steps)}
    for beside in lists_of(steps):
        ids = {step["id"] for step in beside}
        for step in beside:
            assert needs[step["id"]] == used_inside(step) & ids


def needs_of(*steps: dict[str, Any], inputs: Sequence[str] = ()) -> dict[str, frozenset[str]]:
    fields: dict[str, Any] = {"pipeline": "p", "steps": list(steps), "inputs": {name: {} for name in inputs}}
    plan = make_plan(Recorded(cast(PipelineDef, fields)))
    return {step.id: step.needs for step in planned(plan.steps)}


def sets(name: str, value: Any = 0) -> dict[str, Any]:
    return {"id": name, "set": {"v": value}}


def reads(name: str) -> dict[str, Any]:
    return {"id": name, "call": "m:f", "with": {"x": "${v}"}}


def test_a_variable_that_is_set_inside_before_it_is_read_there_is_not_waited_for_outside() -> None:
    found = needs_of(sets("early"), {"id": "b", "steps": [sets("w"), reads("r")]}, sets("late", "${v}"))
    assert (found["b"], found["r"], found["late"]) == (frozenset(), {"w"}, {"early", "b"})


def test_a_variable_that_is_read_inside_before_it_is_set_there_is_that_of_outside() -> None:
    found = needs_of(sets("early"), {"id": "b", "steps": [reads("r"), sets("w")]})
    assert (found["b"], found["r"]) == ({"early"}, frozenset())
    assert needs_of({"id": "b", "steps": [reads("r"), sets("w")]})["r"] == {"w"}
    assert needs_of({"id": "b", "steps": [reads("r"), sets("w")]}, inputs=["v"])["r"] == frozenset()


def test_needs_of_a_step_inside_hold_for_the_whole() -> None:
    found = needs_of(
        {"id": "b", "steps": [{"id": "c", "run": "ls", "needs": ["a", "d"]}, {"id": "d", "run": "ls"}]},
        {"id": "a", "run": "ls"},
    )
    assert (found["b"], found["c"]) == ({"a"}, {"d"})


@pytest.mark.parametrize("kind", ["for_each", "while"])
def test_what_a_step_gives_to_those_inside_is_no_need(kind: str) -> None:
    inside = [{"id": "c", "call": "m:f", "with": {"x": "${n}"}}]
    step = {"id": "b", kind: "${a}" if kind == "for_each" else "${a > n and b is none}", "as": "n", "steps": inside}
    assert needs_of({"id": "a", "run": "ls"}, step)["b"] == {"a"}
