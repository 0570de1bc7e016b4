"""Steps that hold others: blocks, cases of a switch, branches, sub-pipelines.

An attempt of such a step is what happens inside of it. The deed begins it (`BlockEntered`) and leaves: nothing of it is
in memory while the steps inside run. When they are over the machine asks for the step again, and the deed says what it
came to, or makes the next attempt. So the one retry loop, the rules and the ways out hold for these steps as well.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.errors import InnerStepError, InputError, StepError, StepTimeoutError
from orchestrator.execution.driver import Deed, Keep, Over, Record, Request
from orchestrator.execution.recovery import attempts
from orchestrator.execution.step.leaving import Left, cancelled, leftovers, nothing_to_begin
from orchestrator.execution.step.task import StepTask, attempt_plan
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.plan import BlockSpec, ParallelSpec, PipelineSpec, Plan, Recorded, SwitchSpec
from orchestrator.pipelines.templates import Compiled
from orchestrator.status import Closing

#: Sub-pipelines inside of each other.
MAX_NESTING = 50

#: The output of a step that holds others, where it is recorded, and the steps that it is a mapping of.
_Ended: TypeAlias = tuple[Encoded | None, tuple[str, ...] | None]


def run_block(task: StepTask) -> Deed[None]:
    """Carry a step on that holds others. Raises recovery.GaveUp when its attempts are over."""
    over = task.over
    if over is not None and over.closing is Closing.CANCELLED:
        yield Record(cancelled(task, over))
        return
    case = _case(task)
    if case is None:
        yield Record((ev.StepSkipped(task.key, task.generation, "none of its cases held"),))
        return

    def make(number: int, remaining: float | None) -> Generator[Request, Any, _Ended]:
        if over is None or not _is_of(task, number):
            yield from _enter(task, number, case, remaining)
            raise Left
        return (yield from _outcome(task, case, over))

    attempt, (output, parts) = yield from attempts(attempt_plan(task, make, nothing_to_begin))
    ended = ev.StepSucceeded(task.key, task.generation, attempt, output, (), task.checkpoint, parts)
    yield Record((*leftovers(task, over), ended))


def _is_of(task: StepTask, number: int) -> bool:
    """Whether what is over is this attempt, and not one that failed before."""
    block = task.known.block if task.known is not None else None
    return block is not None and block.attempt == number


# -- entering ----------------------------------------------------------------------------------------------------------


def _case(task: StepTask) -> int | None:
    """Which block of the step is taken: the case of a switch is judged once, and recorded. None where none is."""
    block = task.known.block if task.known is not None else None
    spec = task.step.spec
    if not isinstance(spec, SwitchSpec):
        return 0
    if block is not None and (block.case or 0) < len(spec.cases):  # else of an earlier definition
        return block.case
    return next((n for n, case in enumerate(spec.cases) if case.when is None or case.when.resolve(task.scope)), None)


def _enter(task: StepTask, number: int, case: int, remaining: float | None) -> Deed[None]:
    spec = task.step.spec
    inputs: list[tuple[str, Encoded]] = []
    if isinstance(spec, PipelineSpec):
        for name, value in _bound(task, spec).items():
            inputs.append((name, (yield Keep(value))))
    limits = [limit for limit in (task.step.timeout_seconds, remaining) if limit is not None]
    deadline = task.now() + min(limits) if limits else None
    chosen = case if isinstance(spec, SwitchSpec) else None
    entered = ev.BlockEntered(task.key, task.generation, number, chosen, tuple(inputs), deadline, *task.brings)
    yield Record((entered,))


def _bound(task: StepTask, spec: PipelineSpec) -> Mapping[str, Any]:
    """The inputs of a sub-pipeline. Raises InputError, and StepError where too many are inside of each other."""
    plan = _sub_plan(task)
    if task.key.count("/") >= MAX_NESTING:
        raise StepError(
            f"step {task.step.id!r} would run a pipeline inside of {MAX_NESTING} others; does {plan.pipeline_id!r} run "
            "itself without an end?"
        )
    given = spec.arguments.resolve(task.scope) or {}
    definition = Recorded(plan.canonical, plan.base_dir)
    try:
        return bind_inputs(definition, given, base_dir=plan.base_dir, working_dir=Path.cwd())
    except InputError as exc:
        raise InputError(f"pipeline {plan.pipeline_id!r}: {exc}") from None


def _sub_plan(task: StepTask) -> Plan:
    assert task.sub_plan is not None
    return task.sub_plan


# -- ending ------------------------------------------------------------------------------------------------------------


def _outcome(task: StepTask, case: int, over: Over) -> Generator[Request, Any, _Ended]:
    """What an attempt came to whose steps are over. Raises why it failed."""
    if over.closing is Closing.FAILED:
        assert over.failed is not None
        raise InnerStepError(*task.failure(over.failed))
    if over.closing is Closing.TIMED_OUT:
        raise StepTimeoutError(task.key, _seconds_allowed(task))
    spec = task.step.spec
    if isinstance(spec, PipelineSpec):
        returned = task.output_of(over.returned) if over.returned is not None else None
        return (yield Keep(pipeline_outputs(_sub_plan(task), task.inside(), returned))), None
    output = _output(spec, case)
    if output is not None:
        return (yield Keep(output.resolve(task.inside()))), None
    return None, _parts(task, case, over)


def _seconds_allowed(task: StepTask) -> float:
    block = task.known.block if task.known is not None else None
    if block is None or block.deadline is None:
        return task.step.timeout_seconds or 0.0
    return task.step.timeout_seconds or block.deadline - block.since


def _output(spec: object, case: int) -> Compiled | None:
    if isinstance(spec, SwitchSpec):
        return spec.cases[case].output
    return spec.output if isinstance(spec, BlockSpec | ParallelSpec) else None


def _parts(task: StepTask, case: int, over: Over) -> tuple[str, ...]:
    """The steps that the output is a mapping of: the branches that the join counted, or all in the file's order."""
    definition = task.step.definition
    if "parallel" in definition:
        return over.order[: task.step.join]
    block = definition["switch"][case]["steps"] if "switch" in definition else definition["steps"]
    return tuple(step["id"] for step in block)


def pipeline_outputs(plan: Plan, inside: Mapping[str, Any], returned: Mapping[str, Any] | None) -> dict[str, Any]:
    """The outputs of a pipeline that came to its end, or `returned` early. Raises StepError for a wrong type."""
    if returned is not None:
        outputs = {name: returned.get(name) for name in (*plan.outputs, *returned)}
    else:
        outputs = {name: value.resolve(inside) for name, value in plan.outputs.items()}
    for name, word in plan.returns.items():
        if outputs.get(name) is not None and (fault := unfit(outputs[name], word)):
            raise StepError(f"output {name!r} of pipeline {plan.pipeline_id!r}: {fault}")
    return outputs
