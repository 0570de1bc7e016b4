"""Events as sentences of one line each, for whoever watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.rows import way_out
from orchestrator.cli.words import count, duration, one_line
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.types import StepKey

#: Of the steps that begin anew, so many are named.
_KEYS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Sentences:
    """What events say. The board knows each already; without `hints` nobody can answer a question."""

    board: Board
    hints: Hints | None

    def of(self, entry: Entry) -> Iterator[str]:
        """Nothing for those that are of no interest while they happen: checkpoints, claims, variables."""
        match entry.event:
            case ev.StepStarted() | ev.LoopExpanded() | ev.StepSucceeded() | ev.StepSkipped():
                yield self._of_course(entry.event, entry.at)
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
                yield f"{key} failed (attempt {attempt}), again in {duration(due_at - entry.at)}: {_message(error)}"
            case ev.StepFailed(key=key, attempt=attempt, error=error):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
            case ev.StepRecovering(key=key, attempt=attempt, error=error, plan=plan):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
                yield f"{key} recovering: {way_out(plan)}"
            case ev.InterventionRequested(key=key, attempt=attempt, error=error, instructions=instructions):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
                yield f"{key} waiting for a person: {one_line(instructions)}"
                if self.hints is not None:
                    yield f"{key} {how_to_answer(self.hints, self.board, key)}"
            case ev.InterventionAnswered(key=key, decision=decision, by=by):
                yield f"{key} answered: {decision}" + (f" (by {one_line(by)})" if by else "")
            case ev.ExecutionRestored():
                yield restored(self.board, entry.event)
            case ev.ExecutionCancelled(reason=reason):
                yield f"cancelled: {one_line(reason)}" if reason else "cancelled"
            case ev.ExecutionRetried(keys=keys):
                yield f"trying again: {', '.join(keys)}" if keys else "making the outputs again"

    def _of_course(self, event: ev.StepStarted | ev.LoopExpanded | ev.StepSucceeded | ev.StepSkipped, at: float) -> str:
        match event:
            case ev.StepStarted(key=key, attempt=attempt, name=name):
                again = f" (attempt {attempt})" if attempt > 1 else ""
                return f"{key} started{again}" + (f": {one_line(name)}" if name else "")
            case ev.LoopExpanded(key=key, items=items):
                return f"{key} has {count(len(items), 'item')}"
            case ev.StepSucceeded(key=key):
                return f"{key} completed ({self._took(key, at)})"
            case ev.StepSkipped(key=key, reason=reason):
                return f"{key} skipped: {one_line(reason)}"

    def _took(self, key: StepKey, at: float) -> str:
        step = self.board.record.steps[key]
        items = f"{count(len(step.items), 'item')} in " if step.items is not None else ""
        return items + duration(self.board.step_seconds(step.key, at) or 0.0)


def heading(board: Board, *, kept: bool) -> list[str]:
    """What runs, under which id, and what there is to know at its start."""
    record = board.record
    parts = [one_line(record.pipeline_id), f"execution {record.execution_id}"]
    if board.done_before:
        parts.append(f"{board.done_before} of {count(record.steps_total, 'step')} done before")
    return parts if kept else [*parts, "kept in memory only"]


def restored(board: Board, event: ev.ExecutionRestored) -> str:
    """That an execution was set back: to where, for whom, and what runs again."""
    checkpoint = board.checkpoint_at(event.position, event.checkpoint)
    by = f" by step {event.cause}" if event.cause is not None else ""
    again = f"; again from there: {', '.join(event.keys[:_KEYS_NAMED])}" if event.keys else ""
    more = f" and {len(event.keys) - _KEYS_NAMED:,} more" if len(event.keys) > _KEYS_NAMED else ""
    return f"set back to checkpoint {checkpoint}{by}{again}{more}"


def how_to_answer(hints: Hints, board: Board, key: StepKey) -> str:
    """The commands that answer a question about a step, in one line that does no harm in a shell."""
    return f"answer with {hints.command('answer', board.execution_id, key, 'retry')} (or skip, or abort)"


def _message(error: ev.ErrorData) -> str:
    return one_line(str(error.get("message", "")))
