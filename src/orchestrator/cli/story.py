"""The story of an error: every attempt, when and why it failed, what was waited, and where in the handler it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from orchestrator import errors
from orchestrator.cli.paper import Paper
from orchestrator.cli.words import clean, count, duration, time_of_day
from orchestrator.journal.fold import ExecutionRecord, FailedAttempt, StepRecord
from orchestrator.status import StepStatus

#: Of a message, a person is shown this many lines.
_MESSAGE_LINES = 8
#: Keys of further failed steps that are named.
_OTHERS_NAMED = 5
#: Frames of a traceback that tell nothing about a handler: ours, and how a thread comes to a call.
_OURS = re.compile(
    r"[/\\]orchestrator[/\\](runners|execution)[/\\]"
    r"|[/\\]python3[.\d]*[/\\](threading|asyncio[/\\]threads|concurrent[/\\]futures[/\\]thread)\.py\""
)
_BEGIN, _FRAME = "Traceback (most recent call last):", "  File "


def story(record: ExecutionRecord, paper: Paper, *, traceback_lines: int) -> Iterator[str]:
    """What went wrong in an execution that failed, line by line; nothing where nothing did."""
    step = record.steps.get(record.failed_step) if record.failed_step is not None else None
    if step is not None and step.failures:
        yield from step_story(step, paper, traceback_lines=traceback_lines)
        yield from _others(record, step)
    elif record.error is not None:
        yield f"{paper.symbol('failed')} the outputs could not be made"
        yield from _indented(_message(record.error), "    ")


def step_story(step: StepRecord, paper: Paper, *, traceback_lines: int) -> Iterator[str]:
    """The failed attempts of one step, the last one in full."""
    failures = step.failures or []
    if not failures:
        return
    last = failures[-1]
    yield _headline(step, last, max(failure.attempt for failure in failures), paper)
    for failure in failures if len(failures) > 1 else ():
        yield from _attempt(failure, paper, in_full=failure is last)
    if len(failures) == 1:
        yield from _indented(_message(last.error), "    ")
    trace = traceback_tail(last.error, traceback_lines)
    if trace:
        yield ""
        yield from (paper.dim(f"  {line}") for line in trace)


def _headline(step: StepRecord, last: FailedAttempt, number: int, paper: Paper) -> str:
    if step.status is StepStatus.COMPLETED:
        sign, ended, after = "completed", "succeeded", f" after {count(number, 'failed attempt')}"
    else:
        sign, ended = "failed", "failed" if last.due_at is None else "is being tried again"
        after = f" after {count(number, 'attempt')}" if number > 1 else ""
    return f"{paper.symbol(sign)} step {paper.bold(step.key)} {ended}{after}"


def _attempt(failure: FailedAttempt, paper: Paper, *, in_full: bool) -> Iterator[str]:
    message = _message(failure.error)
    first = f"    {failure.attempt}  {time_of_day(failure.at)}  "
    yield first + message[0]
    if in_full:
        yield from _indented(message[1:], " " * len(first))
    if failure.due_at is not None:
        wait = f"then waited {duration(max(0.0, failure.due_at - failure.at))}"
        yield paper.dim(" " * len(first) + wait)


def _others(record: ExecutionRecord, told: StepRecord) -> Iterator[str]:
    others = [s.key for s in record.steps.values() if s is not told and s.failures and not s.failures[-1].due_at]
    if others:
        more = f" and {len(others) - _OTHERS_NAMED:,} more" if len(others) > _OTHERS_NAMED else ""
        yield ""
        yield f"  also failed: {', '.join(others[:_OTHERS_NAMED])}{more}"


def _message(error: Mapping[str, Any]) -> list[str]:
    lines = [line.rstrip() for line in clean(str(error.get("message", ""))).strip().splitlines()] or ["no message"]
    return lines if len(lines) <= _MESSAGE_LINES else [*lines[:_MESSAGE_LINES], "…"]


def traceback_tail(error: Mapping[str, Any], lines: int) -> list[str]:
    """The handler's own frame and the last lines of its traceback, without the frames that lead to the handler.

    None for an error of ours, whose message says it all.
    """
    if hasattr(errors, str(error.get("type"))) or not lines:
        return []
    raw = [line for line in clean(str(error.get("traceback") or "")).rstrip().splitlines() if line.strip(" ^~")]
    trace = list(_without_ours(raw))
    if len(trace) <= lines:
        return trace
    # Of a chain of exceptions the last one has come all the way up to the handler.
    last = list(_without_ours(raw[max((i for i, line in enumerate(raw) if line == _BEGIN), default=0) :]))
    first, start = len(trace) - len(last), len(trace) - lines
    own = _frame(trace[first:])
    if trace[start - 1].startswith(_FRAME):  # half of a frame says little
        start -= 1
    if start <= first + len(own):
        return trace[min(first, start) :]
    return [*own, "  …", *trace[start:]] if own else trace[start:]


def _frame(trace: list[str]) -> list[str]:
    """The lines of the frame that stands first: its place, and its source where that is known."""
    if not trace or not trace[0].startswith(_FRAME):
        return []
    return [trace[0], *takewhile(lambda line: line.startswith("    "), trace[1:])]


def _without_ours(trace: Iterable[str]) -> Iterator[str]:
    ours = False
    for line in trace:
        if line.startswith(_FRAME):
            ours = _OURS.search(line) is not None
        elif not line.startswith("    "):
            ours = False
        if not ours and line != _BEGIN:
            yield line


def _indented(lines: list[str], indent: str) -> Iterator[str]:
    for line in lines:
        yield indent + line
