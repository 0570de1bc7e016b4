"""Changes of a pipeline under a live execution: which steps that have ended are written otherwise now.

An execution goes on with a changed pipeline where what has ended is untouched by the change. Where it is not, the
results that are there came of another definition; somebody has to say that they hold all the same. A change of the
handlers' code is shown by `plan`, and never stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.journal.codec import Encoded
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.keys import block_key, part_key
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.plan import Plan, Recorded
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

#: What of a step does not change its result.
_HARMLESS = frozenset({"retry", "on_error", "timeout", "max_parallel", "checkpoint", "important", "needs"})
#: What makes a step a loop.
_HAS_ITEMS = frozenset({"for_each", "while"})


@dataclass(frozen=True, slots=True)
class Change:
    """A step that has ended or is half done, and is written otherwise now; `how` says in which keys."""

    key: StepKey
    how: str


def changed_steps(before: Mapping[str, Any], after: Mapping[str, Any], record: ExecutionRecord) -> list[Change]:
    """The changes between two canonical forms that touch what an execution has done already."""
    begun = {key for key, step in record.steps.items() if step.status in ENDED_WELL or step.holds_others}
    return [*_between(before, after, "", begun, record)]


def new_inputs(plan: Plan, record: ExecutionRecord, read: Callable[[Encoded], Any]) -> dict[str, Any]:
    """The inputs of a changed pipeline that an execution was not given: their defaults.

    Raises InputError for one without a default, and for a given one that does not fit any more.
    """
    known = {name: value for name, (value, _) in record.variables.items()} | dict(record.inputs)
    inputs = plan.canonical.get("inputs", {})
    given = {name: read(value) for name, value in known.items() if name in inputs}
    try:
        bound = bind_inputs(
            Recorded(plan.canonical, plan.base_dir), given, base_dir=plan.base_dir, working_dir=Path.cwd()
        )
    except InputError as exc:
        raise InputError(f"the changed pipeline does not fit what this execution was given: {exc}") from None
    return {name: value for name, value in bound.items() if name not in given}


def _between(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str, begun: set[StepKey], record: ExecutionRecord
) -> Iterator[Change]:
    now = {step["id"]: step for flow in ("steps", "finally") for step in after.get(flow, ())}
    for flow in ("steps", "finally"):
        for step in before.get(flow, ()):
            key = StepKey(prefix + step["id"])
            if key in begun:
                yield from _of_step(step, now.get(step["id"]), key, before, after, begun, record)


def _of_step(
    old: Mapping[str, Any],
    new: Mapping[str, Any] | None,
    key: StepKey,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    begun: set[StepKey],
    record: ExecutionRecord,
) -> Iterator[Change]:
    if new is None:
        yield Change(key, "it is gone")
        return
    different = [k for k in dict.fromkeys([*old, *new]) if old.get(k) != new.get(k) and k not in _HARMLESS]
    half_done = record.steps[key].status is StepStatus.RUNNING
    if half_done and different == ["steps"] and "steps" in old and not _HAS_ITEMS & old.keys():
        yield from _of_block(old["steps"], new["steps"], key, before, after, begun, record)
    elif half_done and not different and "pipeline" in old and not _HAS_ITEMS & old.keys():
        members = (before.get("pipelines", {}), after.get("pipelines", {}))
        inner = [found.get(old["pipeline"], {}) for found in members]
        yield from _between(inner[0], inner[1], part_key(key, ""), begun, record)
    elif different:
        yield Change(key, f"other in {', '.join(different)}")
    elif _members_of(old, before) != _members_of(old, after):
        yield Change(key, "the pipeline that it runs is another")


def _members_of(step: Mapping[str, Any], pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The pipelines that a step runs, those that they run included; by their references."""
    found: dict[str, Any] = {}
    left = [*_references(step)]
    while left:
        ref = left.pop()
        if ref not in found:
            found[ref] = member = pipeline.get("pipelines", {}).get(ref, {})
            left += [name for flow in ("steps", "finally") for s in member.get(flow, ()) for name in _references(s)]
    return found


def _references(step: Mapping[str, Any]) -> Iterator[str]:
    if "pipeline" in step:
        yield step["pipeline"]
    blocks = [step.get("steps", ()), step.get("parallel", ()), *(case["steps"] for case in step.get("switch", ()))]
    for block in blocks:
        for inner in block:
            yield from _references(inner)


def _of_block(
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    key: StepKey,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    begun: set[StepKey],
    record: ExecutionRecord,
) -> Iterator[Change]:
    now = {step["id"]: step for step in new}
    for step in old:
        inner = block_key(key, step["id"])
        if inner in begun:
            yield from _of_step(step, now.get(step["id"]), inner, before, after, begun, record)


def told_changes(execution_id: str, changes: Sequence[Change]) -> str:
    """What to say of changes that nobody has accepted."""
    lines = [f"  {change.key}: {change.how}" for change in changes[:20]]
    more = [f"  and {len(changes) - 20} more"] if len(changes) > 20 else []
    return "\n".join(
        [
            "the pipeline changes what this execution has done already:",
            *lines,
            *more,
            f"`orchestrator resume {execution_id} --file FILE --accept-changes` keeps these results and goes on; "
            f"`orchestrator rerun {execution_id} --from STEP` runs a step afresh",
        ]
    )
