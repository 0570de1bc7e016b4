"""Who waits for whom: against the rule written out naively, and cycles against a naive search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pipelines.compiling import compile_step
from orchestrator.pipelines.definition import StepDef
from orchestrator.pipelines.needs import MAX_EDGES, Needs, TooManyEdgesError, cycles, in_order, infer_needs


def needs_of(*steps: StepDef, inputs: Sequence[str] = ()) -> dict[str, set[str]]:
    compiled = [compile_step(step, ("steps", index)) for index, step in enumerate(steps)]
    found = infer_needs(compiled, inputs)
    return {step["id"]: {steps[need]["id"] for need in needed} for step, needed in zip(steps, found, strict=True)}


def call(name: str, uses: str = "", **fields: object) -> StepDef:
    step: StepDef = {"id": name, "call": "m:f", "with": {"x": f"${{{uses}}}" if uses else 0}}
    step.update(fields)  # type: ignore[typeddict-item]
    return step


def sets(name: str, variable: str, value: object = 0) -> StepDef:
    return {"id": name, "set": {variable: value}}


def test_outputs_and_explicit_needs() -> None:
    assert needs_of(call("a"), call("b", "a.rows"), call("c", "d + b", needs=["a"]), call("d")) == {
        "a": set(),
        "b": {"a"},
        "c": {"a", "b", "d"},
        "d": set(),
    }


def test_every_field_counts() -> None:
    step: StepDef = {
        "id": "z",
        "run": "echo ${a}",
        "env": {"E": "${b}"},
        "cwd": "${c}",
        "when": "${d}",
        "for_each": "${e}",
    }
    others = [call(name) for name in "abcde"]
    assert needs_of(*others, step)["z"] == set("abcde")
    assert needs_of(*others, {"id": "z", "run": ["x", "${a}", "${b}"]})["z"] == {"a", "b"}


def test_a_step_needs_what_its_alternatives_need_but_not_these() -> None:
    one: StepDef = call("z", on_error=[{"strategy": "alternative_path", "steps": ["m", "n"]}])
    others = (call("m", "a", when=False), call("n", "b", needs=["z"]), call("a"), call("b"))
    assert needs_of(*others, one)["z"] == needs_of(one, *others)["z"] == {"a", "b"}
    assert needs_of(*others, one)["n"] == {"b", "z"}


def test_the_needs_of_alternatives_count_as_edges() -> None:
    way: list[Any] = [{"strategy": "alternative_path", "steps": ["m"]}]
    firsts = [call(f"s{n}") for n in range(1001)]
    alternative = call("m", needs=[step["id"] for step in firsts], when=False)
    with pytest.raises(TooManyEdgesError):
        needs_of(*firsts, alternative, *(call(f"z{n}", on_error=way) for n in range(1000)))


def test_the_loop_variable_is_no_need() -> None:
    assert needs_of(call("a"), call("z", "item", for_each="${a}"))["z"] == {"a"}
    assert needs_of(call("a"), call("z", "row", for_each="${a}", **{"as": "row"}))["z"] == {"a"}


def test_a_variable_stands_for_the_writers_before_it() -> None:
    steps = [sets("w1", "x"), call("r1", "x"), sets("w2", "x"), call("r2", "x"), sets("w3", "x")]
    needs = needs_of(*steps)
    assert needs["r1"] == {"w1"}
    assert needs["r2"] == {"w1", "w2"}


def test_a_variable_that_is_set_later_stands_for_all_its_writers() -> None:
    assert needs_of(call("r", "x"), sets("w1", "x"), sets("w2", "x"))["r"] == {"w1", "w2"}
    assert needs_of(call("r", "x"), sets("w1", "x"), sets("w2", "x"), inputs=["x"])["r"] == set()
    assert needs_of(sets("w", "x"), call("r", "x"), inputs=["x"])["r"] == {"w"}


def test_a_counter_costs_an_edge_for_each_step() -> None:
    counter = [sets(f"w{index}", "n", "${n + 1}") for index in range(2000)]
    compiled = [compile_step(step, ("steps", index)) for index, step in enumerate([*counter, call("r", "n")])]
    needs = infer_needs(compiled, ["n"])
    assert needs == [set(), *({index} for index in range(2000))]


def test_a_million_edges_are_too_many() -> None:
    steps = [sets(f"w{index}", "x") for index in range(1100)] + [call(f"r{index}", "x") for index in range(1100)]
    with pytest.raises(TooManyEdgesError, match=f"more than {MAX_EDGES:,}"):
        infer_needs([compile_step(step, ("steps", index)) for index, step in enumerate(steps)], ())


GRAPHS = st.integers(1, 9).flatmap(
    lambda size: st.lists(st.sets(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size)
)


def reachable(start: int, needs: Needs) -> set[int]:
    found: set[int] = set()
    todo = set(needs[start])
    while todo:
        step = todo.pop()
        found.add(step)
        todo |= needs[step] - found
    return found


@given(GRAPHS)
def test_the_order_puts_needs_first_and_leaves_out_what_is_stuck(needs: Needs) -> None:
    order = in_order(needs)
    for place, step in enumerate(order):
        assert needs[step] <= set(order[:place])
    stuck = {
        step for step in range(len(needs)) if any(s in reachable(s, needs) for s in {step} | reachable(step, needs))
    }
    assert set(order) == set(range(len(needs))) - stuck


@given(GRAPHS)
def test_the_order_is_that_of_the_file_where_it_is_free(needs: Needs) -> None:
    order = in_order(needs)
    for step, following in pairwise(order):
        assert step < following or step in needs[following]


@given(GRAPHS)
def test_each_knot_is_shown_as_one_way_back_to_its_first_step(graph: Needs) -> None:
    needs = [needed - {step} for step, needed in enumerate(graph)]
    knots = {
        frozenset(other for other in reachable(step, needs) if step in reachable(other, needs))
        for step in range(len(needs))
        if step in reachable(step, needs)
    }
    found = cycles(needs)
    assert [cycle[0] for cycle in found] == sorted(min(knot) for knot in knots)
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert all(need in needs[step] for step, need in pairwise(cycle))
        assert len(set(cycle)) == len(cycle) - 1


def test_a_long_chain_and_a_long_cycle_are_no_matter() -> None:
    size = 50_000
    started = time.process_time()
    assert len(in_order([set(), *({index} for index in range(size - 1))])) == size
    (cycle,) = cycles([{(index + 1) % size} for index in range(size)])
    assert len(cycle) == size + 1
    assert time.process_time() - started < 5
