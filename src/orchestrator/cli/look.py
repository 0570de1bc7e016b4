"""One execution as it stands in the store: what the commands that show it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.cli.board import Board
from orchestrator.errors import InputError
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord, StepRecord, item_key
from orchestrator.journal.store import Query, Store, Summary
from orchestrator.pipelines.wording import did_you_mean
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey


@dataclass(frozen=True, slots=True)
class Look:
    """An execution, read at `now` (seconds since the epoch)."""

    orchestrator: Orchestrator
    board: Board
    summary: Summary
    now: float

    @classmethod
    def at(cls, orchestrator: Orchestrator, execution_id: str) -> Look:
        """Read it. Raises UnknownExecutionError."""
        entries = orchestrator.history(execution_id)
        (summary,) = orchestrator.list(Query(execution_id=execution_id))
        board = Board(ExecutionId(execution_id), step_ids(orchestrator, entries))
        for entry in entries:
            board.apply(entry)
        if summary.abandoned:
            board.abandon()
        board.questions.posted = posted_answers(orchestrator.store, ExecutionId(execution_id))
        return cls(orchestrator, board, summary, orchestrator.clock.time())

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
        if key in self.board.order or key in self.record.steps:
            return self.record.steps.get(StepKey(key)) or StepRecord(StepKey(key))
        hint = did_you_mean(key, [*self.board.order, *self.record.steps])
        raise InputError(f"execution {self.record.execution_id} has no step {key!r}" + (f"; {hint}" if hint else ""))

    def output(self, step: StepRecord) -> tuple[Any] | None:
        """The output of a step in a tuple of one; None where it has none yet. Of a loop: the items that have one."""
        if step.items is not None:
            items = (self.record.steps.get(item_key(step.key, i)) for i in range(len(step.items)))
            return ([found[0] if item and (found := self.output(item)) else None for item in items],)
        if step.output is not None:
            return (self.orchestrator.value(step.output),)
        return (None,) if step.status is StepStatus.SKIPPED else None


def posted_answers(store: Store, execution_id: ExecutionId) -> Mapping[StepKey, str]:
    """What people answered since anybody went on with an execution: step key -> `retry`, `skip (by Ada)`."""
    posted = {}
    for message in store.inbox(execution_id):
        if message.kind == "answer":
            by = message.payload.get("by")
            posted[StepKey(message.payload["step"])] = f"{message.payload['decision']}{f' (by {by})' if by else ''}"
    return posted


def step_ids(orchestrator: Orchestrator, entries: Sequence[Entry]) -> Sequence[str]:
    """The steps of a recorded pipeline, in its order."""
    created = entries[0].event
    assert isinstance(created, ev.ExecutionCreated)  # a journal begins with it
    return [step["id"] for step in orchestrator.value(created.model)["steps"]]


def abandoned(orchestrator: Orchestrator, execution_id: str) -> bool:
    """Whether the process that ran an execution died and nobody went on."""
    return any(state_of(summary) == "abandoned" for summary in orchestrator.list(Query(execution_id=execution_id)))


def state_of(summary: Summary) -> str:
    """The status, or `abandoned` where the process that ran it died and nobody went on."""
    return "abandoned" if summary.abandoned and summary.status is ExecutionStatus.RUNNING else str(summary.status)
