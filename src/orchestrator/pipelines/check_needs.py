"""The steps that `needs` names: are they there, and is it possible to wait for them?"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.analysis import Analysis, Level
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path


def needs_named(analysis: Analysis) -> Iterator[Finding]:
    """Every name in `needs` must be that of a step that can end before."""
    for level in analysis.levels():
        for index, step in enumerate(level.steps):
            for place, name in enumerate(step.definition.get("needs", ())):
                yield from _need(analysis, level, index, name, (*step.path, "needs", place))


def _need(analysis: Analysis, level: Level, index: int, name: str, path: Path) -> Iterator[Finding]:
    me: int | None = index
    for around in level.chain():
        found = around.index_of.get(name)
        if found is None:
            me = around.index
            continue
        if found == me and around is level:
            yield Finding(path, f"step {name!r} cannot wait for itself")
        elif found == me:
            yield Finding(path, f"this stands inside of step {name!r} and cannot wait for it")
        elif around.is_parallel:
            yield Finding(path, f"{name!r} is another branch of this parallel step, and a branch waits for no other")
        elif level.path[0] == "finally" and around.path[0] != "finally":
            yield Finding(path, f"{name!r} has ended when the steps of finally run", hint="nothing is to be waited for")
        return
    yield _unknown(analysis, level, name, path)


def _unknown(analysis: Analysis, level: Level, name: str, path: Path) -> Finding:
    if name in analysis.known:
        hint = "a step that uses it in a ${…} waits by itself" if name in analysis.writers else ""
        what = "an input" if name in analysis.inputs else "a variable"
        return Finding(path, f"{name!r} is no step, but {what}", hint=hint)
    if name in analysis.by_id:
        inside = analysis.by_id[name][0].path[0] == "finally" and level.path[0] != "finally"
        place = "a step of finally" if inside else "a step inside of another"
        return Finding(path, f"{name!r} is {place}, and known only there")
    known = {id for around in level.chain() for id in around.index_of}
    return Finding(path, f"there is no step {name!r}", name=name, known=known)
