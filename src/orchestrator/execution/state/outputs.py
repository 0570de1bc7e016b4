"""What a step came to, as a cell: recorded whole, or made of what is inside of the step.

The output of a loop, a block or a `while` is not recorded a second time: it is put together of the outputs of the steps
inside, when somebody reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from orchestrator.execution.variables import Cell, GetBlob, ListCell, LiveCell, MappingCell, PackedCell, RecordedCell
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.fold import ENDED_WELL, ExecutionRecord
from orchestrator.journal.keys import block_key, item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

NULL: Cell = LiveCell(None)
_Of: TypeAlias = Callable[[StepKey], Cell]


def output_of(record: ExecutionRecord, key: StepKey, get_blob: GetBlob) -> Cell | None:
    """The output of a step that ended well; None where it has none (yet)."""
    return output_as(record, key, lambda value: RecordedCell(value, get_blob))


def output_as(record: ExecutionRecord, key: StepKey, cell: Callable[[Encoded], Cell]) -> Cell | None:
    """As `output_of`; `cell` says how a recorded value is read."""
    step = record.steps.get(key)
    if step is None or step.status not in ENDED_WELL:
        return None
    if step.output is not None:
        return cell(step.output)
    if step.status is StepStatus.SKIPPED:
        return NULL
    return _made_of(record, step, lambda inside: output_as(record, inside, cell) or NULL)


def _made_of(record: ExecutionRecord, step: StepRecord, inner: _Of) -> Cell | None:
    key = step.key
    if step.parts is not None:
        return MappingCell({name: inner(block_key(key, name)) for name in step.parts})
    if step.items is not None:
        keys = [item_key(key, index) for index in range(len(step.items))]
        return ListCell([_result(record, item, inner) if step.collects else inner(item) for item in keys])
    if step.rounds is not None:
        return inner(item_key(key, step.rounds - 1)) if step.rounds else NULL
    return None


def _result(record: ExecutionRecord, key: StepKey, inner: _Of) -> Cell:
    """Whether an item succeeded, and what came of it."""
    step = record.steps.get(key)
    failed = step is not None and step.status is StepStatus.FAILED
    error = dict(step.error or {}) if failed and step is not None else None
    return MappingCell({"ok": LiveCell(not failed), "value": inner(key), "error": PackedCell(pack(error))})
