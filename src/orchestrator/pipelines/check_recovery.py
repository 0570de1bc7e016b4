"""What the rules of `on_error` name: are there such checkpoints and steps, and can these run in the other's place?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.pipelines.analysis import Analysis, Level
from orchestrator.pipelines.compiling import CompiledStep, all_steps
from orchestrator.pipelines.definition import ErrorRuleDef, kind_of_step
from orchestrator.pipelines.flow_specs import PipelineSpec
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path

#: The checkpoint at the beginning, which every execution has.
INITIAL = "initial"


def ways_out(analysis: Analysis) -> Iterator[Finding]:
    """Every alternative and every checkpoint that a rule names must be one that it can have."""
    defaults = analysis.definition.get("defaults", {}).get("on_error", ())
    guarded = [(level, step) for level in analysis.levels() for step in level.steps if "on_error" in step.definition]
    made_by = _checkpoints(analysis) if guarded or defaults else {}
    for place, rule in enumerate(defaults):
        yield from _default(rule, made_by, ("defaults", "on_error", place))
    for level, step in guarded:
        for place, rule in enumerate(step.definition["on_error"]):
            path: Path = (*step.path, "on_error", place)
            strategy = rule.get("strategy")
            if strategy == "rollback" and (name := rule.get("checkpoint")) and name != INITIAL:
                yield from _rollback(step, name, made_by, (*path, "checkpoint"))
            if strategy == "alternative_path":
                for position, name in enumerate(rule.get("steps") or ()):
                    yield from _alternative(analysis, level, step, name, (*path, "steps", position))


def _checkpoints(analysis: Analysis) -> dict[str, list[CompiledStep]]:
    """Name of a checkpoint -> the steps that make it."""
    made_by: dict[str, list[CompiledStep]] = {}
    for step in all_steps((*analysis.main.steps, *analysis.last.steps)):
        if name := step.definition.get("checkpoint"):
            made_by.setdefault(name, []).append(step)
    return made_by


def _default(rule: ErrorRuleDef, made_by: Mapping[str, object], path: Path) -> Iterator[Finding]:
    """What is wrong with a rule for many steps."""
    if rule.get("strategy") == "alternative_path":
        message = "no step can stand in for every other"
        yield Finding((*path, "strategy"), message, hint="alternative_path belongs to `on_error` of a step")
    name = rule.get("checkpoint")
    if rule.get("strategy") == "rollback" and name and name != INITIAL and name not in made_by:
        yield _no_checkpoint(name, made_by, (*path, "checkpoint"))


def _no_checkpoint(name: str, made_by: Mapping[str, object], path: Path) -> Finding:
    return Finding(path, f"no step makes a checkpoint {name!r}", name=name, known=made_by.keys())


def _rollback(
    step: CompiledStep, name: str, made_by: Mapping[str, list[CompiledStep]], path: Path
) -> Iterator[Finding]:
    if name not in made_by:
        yield _no_checkpoint(name, made_by, path)
    elif all(maker is step for maker in made_by[name]):
        yield Finding(path, f"the checkpoint {name!r} is made when this very step has ended, and by no other")


def _alternative(analysis: Analysis, level: Level, step: CompiledStep, name: str, path: Path) -> Iterator[Finding]:
    if name == step.id:
        yield Finding(path, f"step {name!r} cannot run in its own place", hint="retry tries it again")
        return
    if name not in level.index_of:
        if name in analysis.by_id:
            hint = "an alternative stands in the same list as the step"
            yield Finding(path, f"step {name!r} does not stand beside {step.id!r}", hint=hint)
        else:
            yield Finding(path, f"there is no step {name!r}", name=name, known=level.index_of)
        return
    other = level.steps[level.index_of[name]]
    if other.loop is not None:
        yield Finding(path, f"{name!r} is a for_each step, which cannot run in the place of another")
    elif other.repeat is not None:
        yield Finding(path, f"{name!r} is a while step, which cannot run in the place of another")
    elif not ("call" in other.definition or "run" in other.definition):
        kind = kind_of_step(other.definition)
        message = f"{name!r} is a {kind} step; only call and run steps can run in the place of another"
        yield Finding(path, message)
    elif step.id in other.names:
        yield Finding(path, f"step {name!r} uses the output of {step.id!r} and cannot run in its place")
    elif isinstance(step.spec, PipelineSpec) and _has_step(analysis, step.spec.ref, name):
        message = f"the pipeline that {step.id!r} runs has a step {name!r} itself; both would be {step.id}/{name}"
        yield Finding(path, message)


def _has_step(analysis: Analysis, ref: str, name: str) -> bool:
    member = analysis.family.get(ref)
    return member is not None and (name in member.main.index_of or name in member.last.index_of)
