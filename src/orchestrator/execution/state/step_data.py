"""Steps as plain data with native values, and back."""

from __future__ import annotations

import copy
from typing import Any

from orchestrator.execution.state.checking import Part
from orchestrator.execution.state.flow_data import Decode, encode, encoded, export_flow, native, read_flow
from orchestrator.journal.codec import Encoded
from orchestrator.journal.step_record import FailedAttempt, Intervention, StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


def export_step(step: StepRecord | None, decode: Decode) -> dict[str, Any] | None:
    """A step; None where it was unknown."""
    if step is None:
        return None
    return {
        "status": str(step.status),
        "generation": step.generation,
        "attempt": step.attempt,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "output": native(step.output, decode),
        "items": None if step.items is None else [decode(item) for item in step.items],
        "items_done": step.items_done,
        "items_failed": step.items_failed,
        "reason": step.reason,
        "checkpoint": step.checkpoint,
        "name": step.name,
        "plan": copy.deepcopy(step.plan),
        "intervention": _export_intervention(step.intervention, decode),
        "spent": step.spent,
        "failures": None if step.failures is None else [_export_failure(failure) for failure in step.failures],
        **export_flow(step, decode),
    }


def _export_intervention(asked: Intervention | None, decode: Decode) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {
        "instructions": asked.instructions,
        "asked_at": asked.asked_at,
        "deadline": asked.deadline,
        "decision": asked.decision,
        "value": native(asked.value, decode),
        "by": asked.by,
    }


def _export_failure(failure: FailedAttempt) -> dict[str, Any]:
    error = copy.deepcopy(dict(failure.error))
    found = {"attempt": failure.attempt, "at": failure.at, "error": error, "due_at": failure.due_at}
    return found if failure.deadline is None else {**found, "deadline": failure.deadline}


def read_step(key: str, part: Part) -> StepRecord:
    """A step of `export_step`'s data. Raises InputError, which names the part that is wrong."""
    step = StepRecord(
        StepKey(key),
        part.word("status", StepStatus),
        part.whole("generation"),
        part.whole("attempt"),
        part.number_or_none("started_at"),
        part.number_or_none("ended_at"),
        encoded(part, "output"),
        _items(part),
        part.whole("items_done"),
        part.whole("items_failed"),
        part.text("reason"),
        part.text_or_none("checkpoint"),
        part.text("name"),
        None if part.value("plan") is None else part.names("plan"),
        None if part.value("intervention") is None else _intervention(part.part("intervention")),
        part.whole("spent"),
        None if part.value("failures") is None else [_failure(item) for item in part.parts("failures")],
    )
    read_flow(step, part)
    part.done()
    return step


def _items(part: Part) -> tuple[Encoded, ...] | None:
    if part.value("items") is None:
        return None
    return tuple(encode(item, f"{part.where}.items[{i}]") for i, item in enumerate(part.items("items")))


def _intervention(part: Part) -> Intervention:
    asked = Intervention(
        part.text("instructions"),
        part.number("asked_at"),
        part.number_or_none("deadline"),
        part.text_or_none("decision"),
        encoded(part, "value"),
        part.text("by"),
    )
    part.done()
    return asked


def _failure(part: Part) -> FailedAttempt:
    failure = FailedAttempt(
        part.whole("attempt"),
        part.number("at"),
        part.names("error"),
        part.number_or_none("due_at"),
        part.number("deadline") if part.has("deadline") else None,
    )
    part.done()
    return failure
