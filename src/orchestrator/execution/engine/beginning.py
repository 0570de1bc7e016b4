"""How an execution begins: its plan, its inputs, its id, its concurrency key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.execution.recovery import RecoveryStrategy
from orchestrator.journal.store import Store
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.plan import Plan, PlannedStep, Recorded, make_plan
from orchestrator.pipelines.templates import compile_value

#: What a caller may choose as an execution's id.
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,119}", re.ASCII)
_ASK = RecoveryStrategy.MANUAL_INTERVENTION


def planned(pipeline: Definition | Plan) -> Plan:
    """The plan of a pipeline. Raises InputError for what is none, PipelineError for one with faults."""
    if isinstance(pipeline, Plan):
        return pipeline
    if not hasattr(pipeline, "canonical"):
        raise InputError(f"a pipeline is a Pipeline (`Pipeline.load(path)` reads a file), not {pipeline!r}")
    return make_plan(pipeline)


def bound_inputs(plan: Plan, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value of every input. Raises InputError with every fault."""
    if plan.function is not None:  # bound by the function's own signature
        return inputs
    definition = Recorded(plan.canonical, plan.base_dir)
    return bind_inputs(definition, inputs, base_dir=plan.base_dir, working_dir=Path.cwd())


def checked_id(execution_id: str) -> str:
    """An id that a caller chose. Raises InputError."""
    if not _ID.fullmatch(execution_id):
        raise InputError(
            f"{execution_id[:80]!r} cannot be the id of an execution; "
            "use up to 120 letters, digits and any of _ - . : and begin with a letter or a digit"
        )
    return execution_id


def concurrency_key(plan: Plan, bound: Mapping[str, Any]) -> str | None:
    """The key of which one execution at a time is under way; None where the pipeline has none."""
    concurrency = plan.canonical.get("concurrency")
    if concurrency is None:
        return None
    return str(compile_value(concurrency["key"], "concurrency.key").resolve(bound))


def when_busy(plan: Plan) -> str:
    """What the pipeline says of an execution whose key is taken: queue, cancel_older or refuse."""
    concurrency = plan.canonical.get("concurrency")
    return concurrency.get("when_busy", "queue") if concurrency is not None else "queue"


def refuse_forgotten_waits(plan: Plan, store: Store) -> None:
    """A store in memory would forget, with this process, who waits for a person or a signal. Raises InputError."""
    if store.survives_process:
        return
    for step in every_step(plan):
        asks = step.kind in ("approve", "signal") or any(rule.strategy == _ASK for rule in step.on_error)
        doubts = step.effect is not None and step.effect.in_doubt == "ask"
        if asks or doubts:
            what = "a signal" if step.kind == "signal" else "a person"
            raise InputError(
                f"step {step.id!r} may wait for {what}, and what is kept in memory ends with this process; "
                "use durability disk or process"
            )


def every_step(plan: Plan) -> Iterator[PlannedStep]:
    """All steps of a plan, those of its sub-pipelines included."""
    plans = {id(plan): plan} | {id(member): member for member in plan.pipelines.values()}
    for member in plans.values():
        yield from steps_of(member)


def steps_of(plan: Plan) -> Iterator[PlannedStep]:
    """All steps of one pipeline, those in blocks included."""
    yield from _inside(plan.steps)
    yield from _inside(plan.finally_)


def _inside(steps: Mapping[str, PlannedStep]) -> Iterator[PlannedStep]:
    for step in steps.values():
        yield step
        for block in step.blocks:
            yield from _inside(block.steps)
