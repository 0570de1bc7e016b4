"""What the rules of `on_error` name: are there such checkpoints and steps, and can these run in the other's place?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.pipelines.analysis import Analysis
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path

#: The checkpoint at the beginning, which every execution has.
INITIAL = "initial"


def ways_out(analysis: Analysis) -> Iterator[Finding]:
    """Every alternative and every checkpoint that a rule names must be one that it can have."""
    guarded = [index for index, step in enumerate(analysis.steps) if "on_error" in step.definition]
    made_by = _checkpoints(analysis) if guarded else {}
    for index in guarded:
        step = analysis.steps[index]
        for place, rule in enumerate(step.definition["on_error"]):
            path: Path = ("steps", index, "on_error", place)
            strategy = rule.get("strategy")
            if strategy == "rollback" and (name := rule.get("checkpoint")) and name != INITIAL:
                yield from _rollback(step, name, made_by, (*path, "checkpoint"))
            if strategy == "alternative_path":
                for position, name in enumerate(rule.get("steps") or ()):
                    yield from _alternative(analysis, step, name, (*path, "steps", position))


def _checkpoints(analysis: Analysis) -> dict[str, set[str]]:
    """Name of a checkpoint -> the steps that make it."""
    made_by: dict[str, set[str]] = {}
    for step in analysis.steps:
        if name := step.definition.get("checkpoint"):
            made_by.setdefault(name, set()).add(step.id)
    return made_by


def _rollback(step: CompiledStep, name: str, made_by: Mapping[str, set[str]], path: Path) -> Iterator[Finding]:
    if name not in made_by:
        yield Finding(path, f"no step makes a checkpoint {name!r}", name=name, known=made_by.keys())
    elif made_by[name] == {step.id}:
        yield Finding(path, f"the checkpoint {name!r} is made when this very step has ended, and by no other")


def _alternative(analysis: Analysis, step: CompiledStep, name: str, path: Path) -> Iterator[Finding]:
    if name == step.id:
        yield Finding(path, f"step {name!r} cannot run in its own place", hint="retry tries it again")
        return
    if name not in analysis.index_of:
        yield Finding(path, f"there is no step {name!r}", name=name, known=analysis.index_of)
        return
    other = analysis.steps[analysis.index_of[name]]
    if other.loop is not None:
        yield Finding(path, f"{name!r} is a for_each step, which cannot run in the place of another")
    elif "set" in other.definition:
        yield Finding(path, f"{name!r} is a set step; only call and run steps can run in the place of another")
    elif step.id in other.names:
        yield Finding(path, f"step {name!r} uses the output of {step.id!r} and cannot run in its place")
