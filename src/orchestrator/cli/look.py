"""One execution as it stands in the store: what the commands that show it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.cli.board import Board
from orchestrator.cli.keys import meant
from orchestrator.cli.outline import Outline
from orchestrator.cli.questions import SIGNAL, Question
from orchestrator.errors import InputError
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import block_key, item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.journal.store import Message, Query, Summary
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey


@dataclass(frozen=True, slots=True)
class Look:
    """An execution, read at `now` (seconds since the epoch)."""

    orchestrator: Orchestrator
    board: Board
    summary: Summary
    now: float
    #: What somebody asked of it that nobody has taken up yet: `cancel (by Ada)`.
    asked: Sequence[str] = ()

    @classmethod
    def at(cls, orchestrator: Orchestrator, execution_id: str) -> Look:
        """Read it. Raises UnknownExecutionError."""
        entries = orchestrator.history(execution_id)
        (summary,) = orchestrator.list(Query(execution_id=execution_id))
        board = Board(ExecutionId(execution_id))
        board.show(outline_of(orchestrator, entries))
        for entry in entries:
            board.apply(entry)
        if summary.abandoned:
            board.abandon()
        inbox = orchestrator.store.inbox(ExecutionId(execution_id))
        board.questions.posted = posted(inbox, [*board.questions.waits()])
        return cls(orchestrator, board, summary, orchestrator.clock.time(), asked(inbox))

    @property
    def record(self) -> ExecutionRecord:
        """The fold of its journal."""
        return self.board.record

    @property
    def state(self) -> str:
        """The status, or `abandoned`."""
        return state_of(self.summary)

    def step(self, key: str) -> StepRecord:
        """The record of a step that there is, begun or not. Raises InputError."""
        if key in self.record.steps or self.board.outline.step(StepKey(key)) is not None:
            return self.record.steps.get(StepKey(key)) or StepRecord(StepKey(key))
        hint = meant(key, [*self.board.order, *self.record.steps])
        raise InputError(f"execution {self.record.execution_id} has no step {key!r}" + (f"; {hint}" if hint else ""))

    def output(self, step: StepRecord) -> tuple[Any] | None:
        """The output of a step in a tuple of one; None where it has none yet. Of a loop: the items that have one."""
        if step.items is not None:
            items = [self.record.steps.get(item_key(step.key, i)) for i in range(len(step.items))]
            if step.collects:
                return ([self._collected(item) for item in items],)
            return ([found[0] if item and (found := self.output(item)) else None for item in items],)
        if step.output is None and step.parts is not None:
            parts = ((name, self.record.steps.get(block_key(step.key, name))) for name in step.parts)
            return ({name: found[0] if part and (found := self.output(part)) else None for name, part in parts},)
        if step.output is None and step.rounds:
            latest = self.record.steps.get(item_key(step.key, step.rounds - 1))
            return self.output(latest) if latest is not None else None
        if step.output is not None:
            return (self.orchestrator.value(step.output),)
        return (None,) if step.status is StepStatus.SKIPPED else None

    def _collected(self, item: StepRecord | None) -> Any:
        """What a loop that collects says of an item; null where it has not ended."""
        if item is None or item.status not in (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED):
            return None
        found = self.output(item)
        return {
            "ok": item.status is not StepStatus.FAILED,
            "value": found[0] if found else None,
            "error": item.error,
        }


def posted(inbox: Sequence[Message], waits: Sequence[Question]) -> Mapping[StepKey, str]:
    """What came for steps that wait, since anybody went on: step key -> `retry`, `skip (by Ada)`, `sent (by Ada)`."""
    found: dict[StepKey, str] = {}
    for message in inbox:
        if message.kind == "answer":
            found[StepKey(message.payload["step"])] = f"{message.payload['decision']}{_by(message)}"
        elif message.kind == "signal":
            name = message.payload.get("name")
            takers = (q.key for q in waits if q.kind == SIGNAL and q.instructions == name and q.key not in found)
            if (taker := next(takers, None)) is not None:
                found[taker] = f"sent{_by(message)}"
    return found


def asked(inbox: Sequence[Message]) -> Sequence[str]:
    """The requests to pause or to cancel that nobody has taken up."""
    return [f"{message.kind}{_by(message)}" for message in inbox if message.kind in ("pause", "cancel")]


def _by(message: Message) -> str:
    by = message.payload.get("by")
    return f" (by {by})" if by else ""


def outline_of(orchestrator: Orchestrator, entries: Sequence[Entry]) -> Outline:
    """The outline of a recorded pipeline, as it holds at the end of a journal."""
    holding = [e.event for e in entries if isinstance(e.event, ev.ExecutionCreated | ev.PipelineChanged)][-1]
    return Outline(orchestrator.value(holding.model))


def abandoned(orchestrator: Orchestrator, execution_id: str) -> bool:
    """Whether the process that ran an execution died and nobody went on."""
    return any(state_of(summary) == "abandoned" for summary in orchestrator.list(Query(execution_id=execution_id)))


def state_of(summary: Summary) -> str:
    """The status, or `abandoned` where the process that ran it died and nobody went on."""
    return "abandoned" if summary.abandoned and summary.status is ExecutionStatus.RUNNING else str(summary.status)
