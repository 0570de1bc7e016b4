"""Events as sentences of one line each, for whoever watches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.questions import APPROVAL, FAILURE, SIGNAL, Question
from orchestrator.cli.rows import way_out
from orchestrator.cli.words import count, duration, moment, one_line
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.keys import split_item_key
from orchestrator.types import StepKey

#: Of the steps that begin anew, so many are named.
_KEYS_NAMED = 5

#: What is of interest only where there is not too much of it.
OfCourse: TypeAlias = ev.StepStarted | ev.BlockEntered | ev.LoopExpanded | ev.StepSucceeded | ev.StepSkipped
OF_COURSE = (ev.StepStarted, ev.BlockEntered, ev.LoopExpanded, ev.StepSucceeded, ev.StepSkipped)


@dataclass(frozen=True, slots=True)
class Sentences:
    """What events say. The board knows each already; without `hints` nobody can answer a question."""

    board: Board
    hints: Hints | None

    def of(self, entry: Entry) -> Iterator[str]:
        """Nothing for those that are of no interest while they happen: checkpoints, claims, variables."""
        match entry.event:
            case ev.StepStarted() | ev.BlockEntered() | ev.LoopExpanded() | ev.StepSucceeded() | ev.StepSkipped():
                if told := self._of_course(entry.event, entry.at):
                    yield told
            case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
                yield f"{key} failed (attempt {attempt}), again in {duration(due_at - entry.at)}: {_message(error)}"
            case ev.StepFailed(key=key, attempt=attempt, error=error):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
            case ev.StepRecovering(key=key, attempt=attempt, error=error, plan=plan):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
                yield f"{key} recovering: {way_out(plan)}"
            case ev.InterventionRequested(key=key, attempt=attempt, error=error):
                yield f"{key} failed (attempt {attempt}): {_message(error)}"
                yield from self._asked(key)
            case ev.StepWaiting(key=key):
                yield from self._asked(key)
            case ev.InterventionAnswered(key=key, decision=decision, by=by):
                yield f"{key} answered: {decision}{_by(by)}"
            case ev.StepCancelled(key=key, reason=reason, how=how):
                why = f": {one_line(reason)}" if reason else ""
                yield f"{key} cancelled{why}" + (f" ({one_line(how)})" if how else "")
            case ev.StepInDoubt(key=key, attempt=attempt, policy=policy):
                yield f"{key} in doubt: nobody knows what attempt {attempt} came to; {_POLICY.get(policy, policy)}"
            case ev.DeadlinePassed(key=key):
                yield f"{key} its time is over"
            case ev.SignalReceived(name=name, by=by):
                yield f"the signal {one_line(name)!r} came{_by(by)}"
            case ev.SignalTaken(key=key):
                yield f"{key} takes the signal"
            case _:
                if (whole := of_the_whole(self.board, entry.event)) is not None:
                    yield whole

    def _asked(self, key: StepKey) -> Iterator[str]:
        """What a step waits for from now on, and the command that ends it."""
        question = self.board.questions.open_of(key).get(key)
        if question is None:
            return
        yield f"{key} waiting {awaited(question)}"
        if self.hints is not None and question.kind in (FAILURE, APPROVAL, SIGNAL):
            yield f"{key} {how_to_answer(self.hints, self.board, question)}"

    def _of_course(self, event: OfCourse, at: float) -> str:
        match event:
            case ev.StepStarted(key=key, attempt=attempt, name=name):
                again = f" (attempt {attempt})" if attempt > 1 else ""
                return f"{key} started{again}" + (f": {one_line(name)}" if name else "")
            case ev.BlockEntered(key=key, attempt=attempt, case=case):
                if attempt == 1 and case is None and split_item_key(key) is not None:
                    return ""  # its first step tells
                told = [f"attempt {attempt}"] * (attempt > 1) + [f"case {(case or 0) + 1}"] * (case is not None)
                return f"{key} started" + (f" ({', '.join(told)})" if told else "")
            case ev.LoopExpanded(key=key, items=items):
                return f"{key} has {count(len(items), 'item')}"
            case ev.StepSucceeded(key=key):
                return f"{key} completed ({self._took(key, at)})"
            case ev.StepSkipped(key=key, reason=reason):
                return f"{key} skipped: {one_line(reason)}"

    def _took(self, key: StepKey, at: float) -> str:
        step = self.board.record.steps[key]
        items = f"{count(len(step.items), 'item')} in " if step.items is not None else ""
        rounds = f"{count(step.rounds, 'round')} in " if step.rounds is not None else ""
        return items + rounds + duration(self.board.step_seconds(step.key, at) or 0.0)


_POLICY = {
    "retry": "it runs again",
    "verify": "its handler for that looks",
    "skip": "it counts as done",
    "ask": "a person is asked",
}


def of_the_whole(board: Board, event: ev.Event) -> str | None:
    """What an event says that happened to an execution as a whole; None for the others."""
    match event:
        case ev.ExecutionRestored():
            return restored(board, event)
        case ev.ExecutionCancelled(reason=reason):
            return f"cancelled: {one_line(reason)}" if reason else "cancelled"
        case ev.CancelRequested(reason=reason, by=by):
            return f"asked to cancel{_by(by)}" + (f": {one_line(reason)}" if reason else "")
        case ev.ExecutionRetried(keys=keys):
            if not keys:
                return "the function goes on" if board.outline.function else "making the outputs again"
            return f"trying again: {_named(keys)}"
        case ev.ExecutionRerun(keys=keys, by=by):
            return f"running again{_by(by)}: {_named(keys)}"
        case ev.PipelineChanged(changed=changed):
            return "another definition holds from here on" + (f"; changed: {_named(changed)}" if changed else "")
        case ev.ExecutionForked(source=source, position=position):
            return f"forked from {source} at position {position}"
        case _:
            return None


def heading(board: Board, *, kept: bool) -> list[str]:
    """What runs, under which id, and what there is to know at its start."""
    record = board.record
    parts = [one_line(record.pipeline_id), f"execution {record.execution_id}"]
    if board.done_before:
        parts.append(f"{board.counted(board.done_before)} done before")
    return parts if kept else [*parts, "kept in memory only"]


def restored(board: Board, event: ev.ExecutionRestored) -> str:
    """That an execution was set back: to where, for whom, and what runs again."""
    checkpoint = board.checkpoint_at(event.position, event.checkpoint)
    by = f" by step {event.cause}" if event.cause is not None else ""
    again = f"; again from there: {_named(event.keys)}" if event.keys else ""
    return f"set back to checkpoint {checkpoint}{by}{again}"


def awaited(question: Question) -> str:
    """What is awaited, in words: `for a person: make the table`, `for the signal 'paid' until …`."""
    until = f" until {moment(question.deadline)}" if question.deadline is not None else ""
    match question.kind:
        case "failure" | "approval":
            return f"for a person: {one_line(question.instructions)}"
        case "signal":
            return f"for the signal {one_line(question.instructions)!r}{until}"
        case _:
            return until.strip() or "for a time"


def how_to_answer(hints: Hints, board: Board, question: Question) -> str:
    """The command that ends a wait for a person or a signal, in one line that does no harm in a shell."""
    if question.kind == SIGNAL:
        return f"send it with {hints.command('signal', board.execution_id, question.instructions)}"
    first, *others = question.choices
    more = f" (or {', or '.join(others)})" if others else ""
    command = hints.command("answer", board.execution_id, question.key, first, *answer_options(question.ask))
    return f"answer with {command}{more}"


def answer_options(ask: Mapping[str, Any]) -> list[str]:
    """The options that an answer to an approval needs: who says so, and each field of the form without a default."""
    form: Mapping[str, Mapping[str, Any]] = ask.get("form", {})
    required = [(name, spec) for name, spec in form.items() if "default" not in spec]
    fields = [word for name, spec in required for word in ("--field", f"{name}={str(spec.get('type', 'any')).upper()}")]
    return [*fields, "--by", "NAME"] if ask.get("who") else fields


def _named(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - _KEYS_NAMED:,} more" if len(keys) > _KEYS_NAMED else ""
    return ", ".join(keys[:_KEYS_NAMED]) + more


def _by(name: str) -> str:
    return f" (by {one_line(name)})" if name else ""


def _message(error: ev.ErrorData) -> str:
    return one_line(str(error.get("message", "")))
