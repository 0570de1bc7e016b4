"""`orchestrator show --json`: an execution and its steps as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.cli.look import Look
from orchestrator.cli.questions import Question
from orchestrator.cli.waiting import waits_data
from orchestrator.cli.words import iso
from orchestrator.journal.step_record import StepRecord


def execution_data(look: Look) -> Mapping[str, Any]:
    """The execution, every step of it, the items of loops included; outputs of steps are left to `step_data`."""
    record, value = look.record, look.orchestrator.value
    begun = [*record.steps.values()]
    known = dict.fromkeys(look.board.order) | {key: None for step in begun for key in look.board.outline.inside(step)}
    pending = [look.step(key) for key in known if key not in record.steps]
    return {
        "execution_id": record.execution_id,
        "pipeline": record.pipeline_id,
        "status": record.status,
        "abandoned": look.summary.abandoned,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "ended_at": iso(record.ended_at),
        "seconds": round(look.board.seconds(look.now), 3),
        "inputs": {name: value(encoded) for name, encoded in record.inputs.items()},
        "outputs": value(record.outputs) if record.outputs is not None else None,
        "failed_step": record.failed_step,
        "error": record.error,
        "pause_reason": record.pause_reason or None,
        "waiting": {question.key: question.instructions for question in look.board.questions.unanswered()},
        "checkpoints": record.checkpoints,
        "steps_done": record.steps_done,
        "steps_total": look.board.steps_total,
        "waits": waits_data(look.board),
        "asked": list(look.asked),
        "signals": [
            {
                "name": signal.name,
                "at": iso(signal.at),
                "by": signal.by or None,
                "taken_by": signal.taken_by[0] if signal.taken_by is not None else None,
            }
            for signal in record.signals.values()
        ],
        "forked_from": record.forked_from[0] if record.forked_from is not None else None,
        "steps": [step_data(look, step) for step in (*begun, *pending)],
        "store": look.orchestrator.store.location,
    }


def step_data(look: Look, step: StepRecord, *, whole: bool = False) -> Mapping[str, Any]:
    """One step; `whole` adds its output, where it has one."""
    seconds = look.board.step_seconds(step.key, look.now)
    data = {
        "key": step.key,
        "status": step.status,
        "generation": step.generation,
        "attempt": step.attempt,
        "started_at": iso(step.started_at),
        "ended_at": iso(step.ended_at),
        "seconds": None if seconds is None else round(seconds, 3),
        "items": _items(step),
        "rounds": step.rounds,
        "case": step.block.case if step.block is not None else None,
        "cause": step.cause,
        "reason": step.reason or None,
        "checkpoint": step.checkpoint,
        "name": step.name or None,
        "recovery": step.plan,
        "rollbacks": look.record.rollbacks.get(step.key, 0),
        "questions": [_question(question) for question in look.board.questions.about(step.key)],
        "failures": [
            {"attempt": f.attempt, "at": iso(f.at), "error": f.error, "due_at": iso(f.due_at)}
            for f in step.failures or ()
        ],
    }
    found = look.output(step) if whole else None
    return data if found is None else {**data, "output": found[0]}


def _question(question: Question) -> Mapping[str, Any]:
    """What a person was asked, and the answer; its value is the step's output."""
    return {
        "kind": question.kind,
        "attempt": question.attempt,
        "asked_at": iso(question.asked_at),
        "instructions": question.instructions,
        "deadline": iso(question.deadline),
        "decision": question.decision,
        "by": question.by or None,
        "answered_at": iso(question.answered_at),
    }


def _items(step: StepRecord) -> Mapping[str, int] | None:
    if step.items is None:
        return None
    return {"total": len(step.items), "done": step.items_done, "failed": step.items_failed}
