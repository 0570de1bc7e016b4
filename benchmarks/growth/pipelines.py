"""The pipelines that grow."""

from __future__ import annotations

from pathlib import Path

from orchestrator import Pipeline, Step

HERE = Path(__file__).parent


def chain(size: int) -> Pipeline:
    """Each step needs the one before; one more than is asked for, to be left for a resume."""
    steps = [Step(id="s0", call="handlers:count", with_={"value": 0})]
    steps += [Step(id=f"s{i}", call="handlers:count", with_={"value": f"${{s{i - 1}.n}}"}) for i in range(1, size + 1)]
    return _here(Pipeline(pipeline="chain", steps=steps))


def fan(size: int) -> Pipeline:
    """Many items at once, then one step over all of them."""
    many = Step(id="many", for_each=f"${{range({size})}}", as_="i", call="handlers:count", with_={"value": "${i}"})
    join = Step(id="join", call="handlers:total", with_={"parts": "${many}"})
    return _here(Pipeline(pipeline="fan", steps=[many, join]))


def value(size: int) -> Pipeline:
    """One step makes a value, the next has it."""
    make = Step(id="make", call="handlers:make", with_={"size": size})
    take = Step(id="take", call="handlers:take", with_={"value": "${make}"})
    return _here(Pipeline(pipeline="value", steps=[make, take], outputs={"length": "${take}"}))


def _here(pipeline: Pipeline) -> Pipeline:
    """With the handlers of this folder."""
    return Pipeline.from_canonical(pipeline.canonical(), HERE)
