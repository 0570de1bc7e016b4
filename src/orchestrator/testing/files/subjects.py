"""What is tested: a pipeline's file, or a durable function; and what is known of its names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.app import plan_checked
from orchestrator.pipelines.model import Pipeline
from orchestrator.pipelines.plan import Plan, PlannedStep
from orchestrator.testing.crash.forgetting import Forgetful, namespaces_of


@dataclass(frozen=True)
class Subject:
    """`runs` is what `Orchestrator.run` takes, `modules` what its handlers keep in their modules.

    The names are None where they are not known before it runs.
    """

    runs: Any
    modules: Forgetful
    inputs: frozenset[str] | None = None
    steps: frozenset[str] | None = None
    signals: frozenset[str] | None = None


def subject_of_file(path: str | Path) -> Subject:
    """The pipeline of a file. Raises PipelineError where it has faults."""
    pipeline = Pipeline.load(path)
    plan = plan_checked(pipeline)
    steps = dict(_steps(plan, "", ()))
    signals = [step.definition["signal"] for step in steps.values() if "signal" in step.definition]
    fixed = not any("${" in name for name in signals)
    modules = Forgetful(namespaces_of(pipeline))
    return Subject(
        pipeline, modules, frozenset(pipeline.inputs), frozenset(steps), frozenset(signals) if fixed else None
    )


def subject_of_function(function: Any) -> Subject:
    """A durable function: its arguments are its inputs; which steps it has is known when it has run."""
    parameters = inspect.signature(function).parameters.values()
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = None if is_open else frozenset(parameter.name for parameter in parameters)
    return Subject(function, Forgetful(namespaces_of(function)), names)


def _steps(plan: Plan, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, PlannedStep]]:
    """Every step under the name that a person calls it by, without the numbers of loops."""
    for flow in (plan.steps, plan.finally_):
        for step in flow.values():
            yield from _step(plan, step, f"{prefix}{step.id}", above)


def _step(plan: Plan, step: PlannedStep, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, PlannedStep]]:
    yield name, step
    for rule in step.on_error:
        for other in rule.steps or ():
            yield f"{name}/{other}", step
    for block in step.blocks:
        for inner in block.steps.values():
            yield from _step(plan, inner, f"{name}.{inner.id}", above)
    ref = step.definition.get("pipeline")
    if ref is not None and ref not in above:
        yield from _steps(plan.pipelines[ref], f"{name}/", (*above, ref))
