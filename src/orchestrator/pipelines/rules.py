"""What holds between the fields of one step, at every depth, and within an input.

In a file with faults a step is a `PartialStep`, which knows the keys whose values were at fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orchestrator.pipelines.block_rules import join_rules, switch_rules
from orchestrator.pipelines.conditions import condition_rules, is_faulty, is_lone, lone_hint
from orchestrator.pipelines.definition import (
    COMPOUND,
    KINDS,
    InputDef,
    StepDef,
    blocks_of,
    steps_below,
)
from orchestrator.pipelines.error_rules import error_rules, retry_rules
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.modifier_rules import answer_rules, effect_rules
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.scanner import has_placeholder
from orchestrator.pipelines.wording import Path, all_of, kind_of, nearest, one_of

#: Blocks inside of each other; a file holds no more than this at its deepest.
MAX_DEPTH = 20

_TRIED = ("call", "run", *COMPOUND)
#: A field -> the kinds that it belongs to.
_ONLY_WITH: Mapping[str, tuple[str, ...]] = {
    "with": ("call", "pipeline"),
    "runner": ("call",),
    "returns": ("call",),
    "env": ("run",),
    "cwd": ("run",),
    "parse": ("run",),
    "effect": ("call", "run"),
    "join": ("parallel",),
    "output": ("steps", "parallel"),
    "who": ("approve",),
    "choices": ("approve",),
    "form": ("approve",),
    "deadline": ("signal", "approve"),
    "default": ("signal", "approve"),
    "timeout": _TRIED,
    "retry": _TRIED,
    "on_error": (*_TRIED, "wait", "signal", "approve"),
}
#: A field -> the modifiers one of which it goes with.
_ONLY_BESIDE: Mapping[str, tuple[str, ...]] = {
    "as": ("for_each", "while"),
    "max_parallel": ("for_each",),
    "on_item_failure": ("for_each",),
    "max_iterations": ("while",),
}


#: The fields about which more is to be said than which steps may have them.
_RULED = frozenset(
    {"set", "when", "while", "for_each", "switch", "join", "default", "form", "retry", "on_error", "effect"}
)


class PartialStep(dict[str, Any]):
    """A step of a file with faults, without what is at fault; `present` are the keys that it has in the file."""

    present: frozenset[str] = frozenset()


def step_rules(step: StepDef, path: Path, keys: Collection[str] = ()) -> Iterator[Finding]:
    """What is wrong with a step that stands at `path`, and with the steps inside of it.

    `keys` are those that it has where it is no `PartialStep`.
    """
    yield from _one_step(step, path, keys or step.keys())
    for inner, block in blocks_of(step):
        for place, below in steps_below(block, (*path, *inner)):
            if _depth(place[len(path) :]) > MAX_DEPTH:
                yield Finding(place, f"blocks are nested more than {MAX_DEPTH} deep", hint="make a part a pipeline")
                return
            yield from _one_step(below, place, below.keys())


def _depth(path: Path) -> int:
    return sum(part in ("steps", "parallel") for part in path)


def _one_step(step: StepDef, path: Path, keys: Collection[str]) -> Iterator[Finding]:
    present = step.present if isinstance(step, PartialStep) else keys
    if not present:  # what is no mapping has been reported for itself
        return
    yield from _kind_rules(path, present)
    if _RULED.isdisjoint(present):  # as for most
        return
    if step.get("set", ...) == {}:
        yield Finding((*path, "set"), "this step sets nothing")
    for field in ("when", "while"):
        yield from condition_rules(step, field, path)
    yield from _loop(step, path, present)
    yield from switch_rules(step, path)
    yield from join_rules(step, path)
    yield from answer_rules(step, path, present)
    yield from retry_rules(step.get("retry", {}), (*path, "retry"))
    if "on_error" in step:
        yield from error_rules(step["on_error"], (*path, "on_error"))
    if isinstance(effect := step.get("effect"), Mapping):
        yield from effect_rules(effect, (*path, "effect"))


def _kind_rules(path: Path, keys: Collection[str]) -> Iterator[Finding]:
    """A step is of one kind, and has the fields of that only."""
    kinds = [kind for kind in KINDS if kind in keys]
    if len(kinds) > 1:
        message = f"a step is one of {all_of(KINDS)}; this one has {all_of(kinds)}"
        yield Finding((*path, kinds[1]), message, at_key=True)
    elif not kinds and not _misspelt(keys):
        yield Finding(path, f"a step is one of {all_of(KINDS)}; this one has none of them")
    for field, allowed in _ONLY_WITH.items():
        if field in keys and kinds and not set(kinds) & set(allowed):
            message = f"{field!r} belongs to {one_of(allowed)}, this step is {kinds[0]!r}"
            if len(allowed) > 3:
                message = f"{field!r} does not go with {kinds[0]!r}"
            hint = "each case has its own" if field == "output" and "switch" in kinds else ""
            yield Finding((*path, field), message, at_key=True, hint=hint)
    for field, owners in _ONLY_BESIDE.items():
        if field in keys and not any(owner in keys for owner in owners):
            lacks = "which this step has not" if len(owners) == 1 else "neither of which this step has"
            yield Finding((*path, field), f"{field!r} belongs to {one_of(owners)}, {lacks}", at_key=True)


def _misspelt(keys: Collection[str]) -> bool:
    """Whether an unknown key, which is reported for itself, is likely to be meant as the kind."""
    return any(nearest(key, KINDS) for key in keys if key not in StepDef.__annotations__)


def _loop(step: StepDef, path: Path, keys: Collection[str]) -> Iterator[Finding]:
    items = step.get("for_each")
    where = (*path, "for_each")
    if isinstance(items, str) and not is_faulty(items) and not is_lone(items):
        yield Finding(where, "for_each takes a list, this is text", hint=lone_hint(items))
    elif items is not None and not isinstance(items, (str, list, Mapping)):
        yield Finding(where, f"for_each takes a list, a mapping or one ${{…}}, got {kind_of(items)}")
    if "for_each" in keys and "while" in keys:
        message = "'while' and 'for_each' cannot stand in one step"
        yield Finding(
            (*path, "while"), message, at_key=True, hint="put the step with the one into the `steps` of the other"
        )


def input_rules(spec: InputDef, path: Path) -> Iterator[Finding]:
    """A default must be of its type, and is no template."""
    if "default" not in spec or (default := spec["default"]) is None:
        return
    if is_faulty(default) or has_placeholder(default):
        message = "an input is a plain value: a ${…} in it is not filled in"
        yield Finding((*path, "default"), message, hint="compute it in a `set` step")
    elif fault := unfit(default, spec.get("type", "any")):
        yield Finding((*path, "default"), f"{fault} as default", hint="or change the type")
