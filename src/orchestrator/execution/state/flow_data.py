"""What a step holds or waits for, as plain data and back.

These keys stand in a step's data only where they say something: states that were saved before there were such steps
have none of them, and read as before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

from orchestrator.errors import EncodeError, InputError
from orchestrator.execution.state.checking import Part
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.step_record import Block, StepRecord, Waiting
from orchestrator.types import StepKey

#: Gives the value of a recorded form.
Decode: TypeAlias = Callable[[Encoded], Any]


def native(value: Encoded | None, decode: Decode) -> Any:
    """`{"value": …}`, or None where there is no value; None is a value like any other."""
    return None if value is None else {"value": decode(value)}


def encoded(part: Part, key: str) -> Encoded | None:
    """The recorded form of what `native` gave."""
    if part.value(key) is None:
        return None
    inner = part.part(key)
    value = inner.value("value")
    inner.done()
    return encode(value, inner.where)


def encode(value: Any, where: str) -> Encoded:
    """The recorded form of a value. Raises InputError where it has none."""
    try:
        return Encoded(pack(value))
    except EncodeError as exc:
        raise InputError(f"{where}: {exc}") from exc


def export_flow(step: StepRecord, decode: Decode) -> dict[str, Any]:
    """What is set of it."""
    found: dict[str, Any] = {
        "block": None if step.block is None else _export_block(step.block, decode),
        "collects": step.collects or None,
        "rounds": step.rounds,
        "parts": None if step.parts is None else list(step.parts),
        "waiting_for": None if step.waiting_for is None else _export_waiting(step.waiting_for, decode),
        "in_doubt": step.in_doubt,
        "cause": step.cause,
    }
    return {key: value for key, value in found.items() if value is not None}


def _export_block(block: Block, decode: Decode) -> dict[str, Any]:
    inputs = [[name, decode(value)] for name, value in block.inputs]
    found = {"attempt": block.attempt, "case": block.case, "inputs": inputs, "deadline": block.deadline}
    return {**found, "since": block.since, "late": block.late}


def _export_waiting(awaited: Waiting, decode: Decode) -> dict[str, Any]:
    return {
        "kind": awaited.kind,
        "since": awaited.since,
        "until": awaited.until,
        "subject": awaited.subject,
        "ask": copy.deepcopy(dict(awaited.ask)),
        "over": awaited.over,
        "value": native(awaited.value, decode),
        "decision": awaited.decision,
        "by": awaited.by,
        "over_at": awaited.over_at,
    }


def read_flow(step: StepRecord, part: Part) -> None:
    """Bring a step to what its data say. Raises InputError, which names the part that is wrong."""
    step.block = _block(part.part("block")) if part.has("block") else None
    step.collects = part.has("collects") and part.flag("collects")
    step.rounds = part.whole("rounds") if part.has("rounds") else None
    step.parts = tuple(part.texts("parts")) if part.has("parts") else None
    step.waiting_for = _waiting(part.part("waiting_for")) if part.has("waiting_for") else None
    step.in_doubt = part.text("in_doubt") if part.has("in_doubt") else None
    step.cause = StepKey(part.text("cause")) if part.has("cause") else None


def _block(part: Part) -> Block:
    case = None if part.value("case") is None else part.whole("case")
    since, late = part.number("since"), part.flag("late")
    block = Block(part.whole("attempt"), case, _inputs(part), part.number_or_none("deadline"), since, late)
    part.done()
    return block


def _inputs(part: Part) -> tuple[tuple[str, Encoded], ...]:
    inputs = []
    for i, item in enumerate(part.items("inputs")):
        where = f"{part.where}.inputs[{i}]"
        if not isinstance(item, list | tuple) or len(item) != 2 or not isinstance(item[0], str):
            raise InputError(f"{where}: a name and a value are needed")
        inputs.append((item[0], encode(item[1], where)))
    return tuple(inputs)


def _waiting(part: Part) -> Waiting:
    awaited = Waiting(
        part.text("kind"),
        part.number("since"),
        part.number_or_none("until"),
        part.text("subject"),
        part.names("ask"),
        part.text_or_none("over"),
        encoded(part, "value"),
        part.text_or_none("decision"),
        part.text("by"),
        part.number_or_none("over_at"),
    )
    part.done()
    return awaited
