"""Handlers are looked for wherever a step may stand: inside of others, in finally, in pipelines of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, cast

import pytest

from orchestrator.errors import HandlerNotFoundError, PipelineFileError
from orchestrator.pipelines.definition import PipelineDef
from orchestrator.pipelines.plan import Recorded
from orchestrator.steps.handlers_check import check_with_handlers


class Row(TypedDict):
    """What `load` gives."""

    mean: float


def load(n: int = 0) -> Row:
    """A handler."""
    return {"mean": float(n)}


def resolve(target: str, folder: Path | None) -> Callable[..., Any]:
    """`load` is in every folder, `other` in the folder `lib` only."""
    if target == "m:load" or (target == "m:other" and folder == Path("/lib")):
        return load
    raise HandlerNotFoundError(f"no {target} in {folder}")


def faults(**fields: Any) -> list[str]:
    definition = cast(PipelineDef, {"pipeline": "p", **fields})
    try:
        check_with_handlers(Recorded(definition, Path("/home")), resolve)
    except PipelineFileError as error:
        return [f"{fault.path}: {fault.message}" for fault in error.faults]
    return []


def step(name: str, target: str = "m:load", **fields: Any) -> dict[str, Any]:
    return {"id": name, "call": target, **fields}


MISSING = step("b", "m:none")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"steps": [{"id": "a", "steps": [MISSING]}]}, "steps.a.steps.b.call"),
        ({"steps": [{"id": "a", "parallel": [step("c"), MISSING]}]}, "steps.a.parallel.b.call"),
        ({"steps": [{"id": "a", "switch": [{"steps": [MISSING]}]}]}, "steps.a.switch[0].steps.b.call"),
        ({"steps": [step("a")], "finally": [MISSING]}, "finally.b.call"),
        (
            {"steps": [{"id": "a", "pipeline": "c"}], "pipelines": {"c": {"pipeline": "c", "steps": [MISSING]}}},
            "pipelines.c.steps.b.call",
        ),
        (
            {"steps": [step("a", effect={"in_doubt": "verify", "verify": "m:none"})]},
            "steps.a.effect.verify",
        ),
    ],
)
def test_one_that_is_not_there(fields: dict[str, Any], path: str) -> None:
    assert faults(**fields) == [f"{path}: no m:none in /home"]


def test_arguments_inside() -> None:
    assert faults(steps=[{"id": "a", "steps": [step("b", **{"with": {"m": 1}})]}]) == [
        "steps.a.steps.b.with.m: m:load takes no argument 'm'"
    ]


def test_fields_of_what_a_handler_inside_gives() -> None:
    use = {"id": "z", "run": "echo ${a.b.mean} ${a.b.meen}"}
    assert faults(steps=[{"id": "a", "steps": [step("b")]}, use]) == [
        "steps.z.run: the output of 'a.b' has no 'meen'; it has mean"
    ]


def test_a_member_has_its_handlers_beside_its_own_file() -> None:
    child: dict[str, Any] = {"pipeline": "c", "folder": "../lib", "steps": [step("b", "m:other"), step("d", "m:load")]}
    whole: dict[str, Any] = {"steps": [{"id": "a", "pipeline": "c"}], "pipelines": {"c": child}}
    assert faults(**whole) == []
    use = {"id": "z", "run": "echo ${b.meen}"}
    assert faults(**{**whole, "pipelines": {"c": {**child, "steps": [*child["steps"], use]}}}) == [
        "pipelines.c.steps.z.run: the output of 'b' has no 'meen'; it has mean"
    ]
    assert faults(**{**whole, "pipelines": {"c": {**child, "folder": "sub"}}}) == [
        "pipelines.c.steps.b.call: no m:other in /home/sub"
    ]
