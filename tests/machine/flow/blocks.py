"""What steps that call nothing come to: blocks, sub-pipelines, and the kinds that are made of one word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.machine.flow import waits
from tests.machine.flow.flows import Flow, Scope
from tests.machine.flow.results import Back, Bad, Good, Open, Result, Wrong
from tests.machine.flow.templates import resolve

if TYPE_CHECKING:
    from tests.machine.flow.model import Model, Step


def held(model: Model, step: Step, scope: Scope, key: str) -> Result:
    """What a step that calls nothing comes to in its present attempt."""
    result, late_at = _in_time(model, step, scope, key), model.story.late_at(key)
    if late_at is None or (isinstance(result, Back) and model.story.ended_at(result.key) < late_at):
        return result
    if model.story.own_state(key) != "completed":
        return Bad(key, "StepTimeoutError")
    last = {f"{key}/{step['id']}" for step in _member(model, step).get("finally", ())}  # these take their time
    late = [inner for inner in model.story.ended_well_inside(key, late_at) if inner not in last]
    if late:  # what it came to was not settled when its time was over
        raise Wrong(f"{key} is completed, and it was too late for {late[0]}")
    return result


def _in_time(model: Model, step: Step, scope: Scope, key: str) -> Result:
    if "set" in step:
        scope.assign(found := resolve(step["set"], scope))
        return Good(found)
    if "steps" in step:
        return block(model, step["steps"], step, scope, key)
    if "switch" in step:
        case = next((case for case in step["switch"] if resolve(case.get("when", True), scope)), None)
        return Good(None) if case is None else block(model, case["steps"], case, scope, key)
    if "parallel" in step:
        return parallel(model, step, scope, key)
    if "pipeline" in step:
        return model.pipeline(
            _member(model, step), resolve(step.get("with", {}), scope), f"{key}/", model.story.own_state(key)
        )
    if "return" in step:
        return Back(key, resolve(step["return"], scope))
    if "fail" in step:
        return Bad(key, "fail")
    return waits.ended(model, step, scope, key)


def _member(model: Model, step: Step) -> Step:
    """The pipeline that a step runs; nothing where it runs none."""
    member: Step = model.definition["pipelines"][step["pipeline"]] if "pipeline" in step else {}
    return member


def block(model: Model, steps: Sequence[Step], holder: Step, scope: Scope, key: str) -> Result:
    """The steps of a block, and its output."""
    flow = Flow(model, steps, scope, f"{key}.")
    ended = model.decided(flow.all().values())
    if ended is not None:
        return ended
    if model.story.own_state(key) == "completed":
        flow.must_have_ended()
    return Good(resolve(holder["output"], flow) if "output" in holder else flow.outputs())


def parallel(model: Model, step: Step, scope: Scope, key: str) -> Result:
    """The branches of a `parallel`, of which some may be enough."""
    flow = Flow(model, step["parallel"], scope, f"{key}.")
    results = flow.all()
    join = step.get("join", "all")
    wanted = {"all": len(results), "any": 1}.get(join, join)
    failed = [r for r in results.values() if isinstance(r, Bad) and model.is_recorded(r.key)]
    ended = sorted((id_ for id_ in results if flow.has_ended_well(id_)), key=flow.ended_at)
    back = model.decided([r for r in results.values() if isinstance(r, Back)])
    if back is not None:
        return back
    if len(failed) > len(results) - wanted:
        failed.sort(key=lambda r: model.story.ended_at(r.key))
        return Bad(key, failed[len(results) - wanted].error)  # those before it were borne
    if len(ended) < wanted:
        return Open("its branches have not ended")
    if model.story.own_state(key) == "completed":
        flow.must_be_over(ended[:wanted], model.story.ended_at(key))
    return Good({id_: result.value for id_ in ended[:wanted] if isinstance(result := results[id_], Good)})
