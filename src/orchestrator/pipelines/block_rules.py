"""What holds within the kinds that are made of steps: the cases of a switch, the branches of a parallel group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.pipelines.conditions import condition_rules
from orchestrator.pipelines.definition import StepDef
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path


def switch_rules(step: StepDef, path: Path) -> Iterator[Finding]:
    """Every case but the last has a condition."""
    cases: Any = step.get("switch")
    if not isinstance(cases, list):
        return
    for index, case in enumerate(cases):
        where = (*path, "switch", index)
        if not isinstance(case, Mapping):
            continue
        yield from condition_rules(case, "when", where)
        if "steps" in case and "when" not in case and index < len(cases) - 1:
            hint = "it is taken otherwise, and so stands last"
            yield Finding(where, "only the last case may have no `when`", hint=hint)


def join_rules(step: StepDef, path: Path) -> Iterator[Finding]:
    """No more branches can end well than there are."""
    branches, join = step.get("parallel"), step.get("join")
    if isinstance(branches, list) and isinstance(join, int) and join > len(branches):
        there = "there is one" if len(branches) == 1 else f"there are {len(branches)}"
        yield Finding((*path, "join"), f"join waits for {join} branches, and {there}")
