"""The names that a pipeline gives: to steps, loop variables and variables. Each stands for one thing where it is known.

Steps inside of different steps may have the same ids, since neither knows the other's. A variable is known everywhere,
so its name is nobody's id.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.analysis import Analysis, Level
from orchestrator.pipelines.check_names import OUTCOME
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path


def names_given(analysis: Analysis) -> Iterator[Finding]:
    """Every name must differ from the others that are known where it is."""
    yield from _level(analysis, analysis.main, {})
    yield from _level(analysis, analysis.last, {})
    yield from _outcome(analysis)


def _level(analysis: Analysis, level: Level, lent: dict[str, CompiledStep]) -> Iterator[Finding]:
    """`lent` are the names that the steps around give to those inside, their own ids excepted."""
    alone = level.outer is None  # nothing is around it but the inputs
    for index, step in enumerate(level.steps):
        if not alone or step.id in analysis.inputs or level.index_of.get(step.id) != index:
            yield from _id(analysis, level, index, lent)
        if "set" in step.definition:
            yield from _variables(analysis, step)
        if not step.lends and not step.blocks:
            continue
        own = {name: step for name in step.own_names if name != step.id or step.loop is not None}
        for variable in own:
            yield from _loop_variable(analysis, level, step, variable, lent)
        for inner in level.inside.get(index, ()):
            yield from _level(analysis, inner, {**lent, **own})


def _variables(analysis: Analysis, step: CompiledStep) -> Iterator[Finding]:
    for variable in step.writes:
        if variable in analysis.by_id:
            message = f"{variable!r} is the id of a step, whose output has that name"
            yield Finding((*step.path, "set", variable), message, at_key=True)


def _id(analysis: Analysis, level: Level, index: int, lent: dict[str, CompiledStep]) -> Iterator[Finding]:
    step = level.steps[index]
    path: Path = (*step.path, "id")
    if not step.id:
        return
    if level.index_of[step.id] != index:
        yield Finding(path, f"there is another step {step.id!r}; ids are unique")
    elif step.id in analysis.inputs:
        yield Finding(path, f"{step.id!r} is the name of an input already; both would be one variable")
    elif step.id in lent:
        message = f"{step.id!r} is the loop variable of step {lent[step.id].id!r} already, which is known here"
        yield Finding(path, message)
    elif any(step.id in around.index_of for around in level.chain() if around is not level):
        yield Finding(path, f"there is a step {step.id!r} around this one already, which is known here")


def _loop_variable(
    analysis: Analysis, level: Level, step: CompiledStep, variable: str, lent: dict[str, CompiledStep]
) -> Iterator[Finding]:
    what = _hidden(analysis, level, variable, lent)
    if what:
        given = "as" in step.definition
        message = f"the loop variable {variable!r} would hide {what}"
        hint = "choose another name" if given else "give it a name with `as`"
        yield Finding((*step.path, "as" if given else "for_each"), message, at_key=not given, hint=hint)


def _hidden(analysis: Analysis, level: Level, variable: str, lent: dict[str, CompiledStep]) -> str:
    """What a loop variable of that name would hide."""
    if variable in analysis.inputs:
        return "an input of that name"
    if any(variable in around.index_of for around in level.chain()):
        return "a step of that name"
    if variable in lent:
        return f"that of step {lent[variable].id!r}, which is known here"
    return "a variable of that name" if variable in analysis.known else ""


def _outcome(analysis: Analysis) -> Iterator[Finding]:
    """In a pipeline with `finally` one name is taken."""
    if not analysis.last.steps:
        return
    message = f"{OUTCOME!r} is how the pipeline has ended, for the steps of finally; choose another name"
    if OUTCOME in analysis.inputs:
        yield Finding(("inputs", OUTCOME), message, at_key=True)
    for step in analysis.by_id.get(OUTCOME, ()):
        yield Finding((*step.path, "id"), message)
    for step in analysis.writers.get(OUTCOME, ()):
        yield Finding((*step.path, "set", OUTCOME), message, at_key=True)
    for step in analysis.lenders.get(OUTCOME, ()):
        if step.id != OUTCOME:
            yield Finding((*step.path, "as"), message)
