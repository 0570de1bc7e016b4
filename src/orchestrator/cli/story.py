"""The story of an error: every attempt, when and why it failed, what followed, and where in the handler it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.cli.board import Board
from orchestrator.cli.keys import home_of
from orchestrator.cli.paper import Paper
from orchestrator.cli.questions import Question
from orchestrator.cli.rows import way_out
from orchestrator.cli.tracebacks import raised_at, traceback_tail
from orchestrator.cli.words import clean, count, duration, moment, one_line, time_of_day
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import place_of
from orchestrator.journal.step_record import FailedAttempt, StepRecord
from orchestrator.status import StepStatus

#: Of a message, a person is shown this many lines.
_MESSAGE_LINES = 8
#: Keys of further failed steps that are named.
_OTHERS_NAMED = 5


def story(board: Board, paper: Paper, *, traceback_lines: int) -> Iterator[str]:
    """What went wrong in an execution that failed, line by line; nothing where nothing did."""
    record = board.record
    step = _at_fault(record)
    if step is not None and step.failures:
        yield from step_story(step, paper, board.questions.about(step.key), traceback_lines=traceback_lines)
        if board.outline.function:
            yield from _of_function(record, step, paper)
        yield from _others(record, step, paper)
    elif record.error is not None:
        function = board.outline.function
        what = f"pipeline {paper.bold(record.pipeline_id)} failed" if function else "the outputs could not be made"
        yield f"{paper.symbol('failed')} {what}"
        yield from _indented(_message(record.error), "    ", paper)
        yield from _trace(record.error, traceback_lines if function else 0, paper)


def _at_fault(record: ExecutionRecord) -> StepRecord | None:
    """The step that an execution failed by; of steps inside of each other the innermost."""
    step = record.steps.get(record.failed_step) if record.failed_step is not None else None
    while step is not None and step.cause is not None and (inner := record.steps.get(step.cause)) is not None:
        step = inner
    return step


def _of_function(record: ExecutionRecord, step: StepRecord, paper: Paper) -> Iterator[str]:
    """Where the durable function called the step that failed, or what it raised because of that."""
    error = _of_caller(record, step)
    place, message = raised_at(error), error.get("message")
    if not place:
        return
    same = message == (step.error or {}).get("message")
    told = f"called at {place}" if same else f"after which the function raised {one_line(str(message))} at {place}"
    yield from _dim(told, "  ", paper)


def _of_caller(record: ExecutionRecord, step: StepRecord) -> Mapping[str, Any]:
    """The failure of the durable function that called a step, or called it for each of some items."""
    place = place_of(step.key)
    while place is not None and place.mark == "[":
        place = place_of(place.owner)
    owner = record.steps.get(place.owner) if place is not None else None
    return (record.error if place is None else owner.error if owner is not None else None) or {}


def step_story(
    step: StepRecord, paper: Paper, questions: Sequence[Question] = (), *, traceback_lines: int
) -> Iterator[str]:
    """The failed attempts of one step, the last one in full, and what a person was asked and said about each."""
    failures = _distinct(step.failures or ())
    if not failures:
        return
    last = failures[-1]
    yield from paper.prose(_headline(step, max(failure.attempt for failure in failures), paper), hanging="  ")
    asked = {question.attempt: question for question in questions}
    for failure in failures:
        alone = len(failures) == 1
        start = "    " if alone else f"    {failure.attempt}  {time_of_day(failure.at)}  "
        yield from _attempt(failure, start, paper, in_full=alone or failure is last)
        if failure.attempt in asked:
            yield from _dialogue(step, asked[failure.attempt], " " * len(start), paper)
    yield from _trace(last.error, traceback_lines, paper)


def _trace(error: Mapping[str, Any], lines: int, paper: Paper) -> Iterator[str]:
    """Where in the person's own code it went wrong."""
    trace = traceback_tail(error, lines)
    if trace:
        yield ""
        for line in trace:  # a frame stands as it is; the message below it is a sentence
            yield from _dim(line, "  ", paper) if not line.startswith("  ") else [paper.dim(f"  {line}")]


def _distinct(failures: Sequence[FailedAttempt]) -> Sequence[FailedAttempt]:
    """Without the end of a step that only repeats why its last attempt failed, after a recovery that did not help."""
    if len(failures) > 1 and failures[-1].attempt == failures[-2].attempt:
        before, last = failures[-2:]
        return failures[:-1] if before.error.get("message") == last.error.get("message") else failures
    return failures


def _headline(step: StepRecord, number: int, paper: Paper) -> str:
    attempts, failed = count(number, "attempt"), count(number, "failed attempt")
    after = f" after {attempts}" if number > 1 else ""
    match step.status:
        case StepStatus.COMPLETED:
            sign, text = "completed", f"succeeded{_by_recovery(step)} after {failed}"
        case StepStatus.SKIPPED:
            sign, text = "skipped", f"was skipped after {failed}"
        case StepStatus.FAILED:
            because = f", because step {step.cause} did" if step.cause is not None else ""
            sign, text = "failed", f"failed{after}{because}"
        case StepStatus.CANCELLED:
            sign, text = "cancelled", f"was cancelled after {failed}"
        case _ if step.waiting:
            sign, text = "waiting", f"waits for a person after {failed}"
        case _ if step.plan is not None:
            sign, text = "failed", f"is recovering ({way_out(step.plan)}) after {attempts}"
        case _:
            sign, text = "failed", f"is being tried again{after}"
    return f"{paper.symbol(sign)} step {paper.bold(step.key)} {text}"


def _by_recovery(step: StepRecord) -> str:
    return f" by {way_out(step.plan)}" if step.plan is not None else ""


def _attempt(failure: FailedAttempt, start: str, paper: Paper, *, in_full: bool) -> Iterator[str]:
    message, under = _message(failure.error), " " * len(start)
    yield from paper.prose(message[0], start, under)
    if in_full:
        yield from _indented(message[1:], under, paper)
    if failure.due_at is not None:
        wait = f"then waited {duration(max(0.0, failure.due_at - failure.at))}"
        yield paper.dim(under + wait)


def _dialogue(step: StepRecord, question: Question, indent: str, paper: Paper) -> Iterator[str]:
    """The question that followed an attempt, and the answer."""
    yield from _dim(f"then asked: {one_line(question.instructions)}", indent, paper)
    if question.expired or (question.decision is None and step.status is StepStatus.FAILED):
        until = f" until {moment(question.deadline)}" if question.deadline is not None else ""
        yield from _dim(f"nobody answered{until}", indent, paper)
    elif question.decision is not None:
        at = question.answered_at or question.asked_at
        told = f"{one_line(question.by) or 'somebody'} answered {question.decision} at {moment(at)}"
        yield from _dim(f"{told}, {duration(max(0.0, at - question.asked_at))} later", indent, paper)


def _dim(text: str, indent: str, paper: Paper) -> Iterator[str]:
    return (paper.dim(line) for line in paper.prose(text, indent))


def _others(record: ExecutionRecord, told: StepRecord, paper: Paper) -> Iterator[str]:
    failed = (s for s in record.steps.values() if s.status is StepStatus.FAILED and s.failures and s.cause is None)
    others = [step.key for step in failed if step is not told and home_of(step.key, record) == step.key]
    if others:
        more = f" and {len(others) - _OTHERS_NAMED:,} more" if len(others) > _OTHERS_NAMED else ""
        yield ""
        yield from paper.prose(f"also failed: {', '.join(others[:_OTHERS_NAMED])}{more}", "  ")


def _message(error: Mapping[str, Any]) -> list[str]:
    lines = [line.rstrip() for line in clean(str(error.get("message", ""))).strip().splitlines()] or ["no message"]
    return lines if len(lines) <= _MESSAGE_LINES else [*lines[:_MESSAGE_LINES], "…"]


def _indented(lines: Sequence[str], indent: str, paper: Paper) -> Iterator[str]:
    for line in lines:
        yield from paper.prose(line, indent)
