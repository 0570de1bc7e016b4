"""The story of a step that failed, also where it came to a good end."""

import io
from typing import Any

from orchestrator.cli.paper import Paper
from orchestrator.cli.story import step_story, traceback_tail
from orchestrator.journal.fold import FailedAttempt, StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


def frame(file: str, function: str) -> list[str]:
    return [f'  File "{file}", line 7, in {function}', f"    {function}()"]


OURS = frame("/x/orchestrator/runners/threads.py", "perform")
THREADS = frame("/usr/lib/python3.11/concurrent/futures/thread.py", "run") + frame(
    "/usr/lib/python3.11/threading.py", "run"
)
HANDLER = frame("/home/me/tasks.py", "load")
DEEP = [line for n in range(5) for line in frame("/lib/client.py", f"call{n}")]
BEGIN, END = "Traceback (most recent call last):", "ValueError: bad"


def tail(*lines: str) -> list[str]:
    return traceback_tail({"type": "ValueError", "traceback": "\n".join(lines)}, 4)


def headline(status: StepStatus, *due_at: float | None) -> str:
    error: dict[str, Any] = {"message": "no"}
    failures = [FailedAttempt(n, float(n), error, due) for n, due in enumerate(due_at, 1)]
    step = StepRecord(StepKey("vals[0]"), status, failures=failures)
    return next(step_story(step, Paper(io.StringIO()), traceback_lines=0))


def test_the_headline_says_how_the_step_stands_now() -> None:
    completed, running, failed = StepStatus.COMPLETED, StepStatus.RUNNING, StepStatus.FAILED
    assert headline(completed, 2.0, 3.0) == "+ step vals[0] succeeded after 2 failed attempts"
    assert headline(completed, 2.0) == "+ step vals[0] succeeded after 1 failed attempt"
    assert headline(running, 2.0, 3.0) == "x step vals[0] is being tried again after 2 attempts"
    assert headline(failed, 2.0, None) == "x step vals[0] failed after 2 attempts"


def test_the_handlers_own_frame_is_kept_with_the_tail() -> None:
    assert tail(BEGIN, *OURS, *THREADS, *HANDLER, *DEEP, END) == [*HANDLER, "  …", *DEEP[-4:], END]


def test_frames_are_shown_whole_and_once() -> None:
    assert tail(BEGIN, *OURS, *HANDLER, END) == [*HANDLER, END]
    assert tail(BEGIN, *OURS, *HANDLER, *DEEP[:2], END) == [*HANDLER, *DEEP[:2], END]
    assert tail(BEGIN, *OURS, *HANDLER, *DEEP[:4], END) == [*HANDLER, *DEEP[:4], END]


def test_of_a_chain_of_exceptions_the_last_one_leads_to_the_handler() -> None:
    cause = [BEGIN, *DEEP, "KeyError: 1", "The above exception was the direct cause of the following exception:"]
    assert tail(*cause, BEGIN, *OURS, *HANDLER, *DEEP, END) == [*HANDLER, "  …", *DEEP[-4:], END]
    assert tail(*cause, BEGIN, *OURS, *HANDLER, END)[-3:] == [*HANDLER, END]


def test_a_traceback_without_frames_has_its_last_lines() -> None:
    assert tail(*(f"line {n}" for n in range(9))) == [f"line {n}" for n in range(5, 9)]
