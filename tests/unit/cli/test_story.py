"""The story of a step that failed, also where it came to a good end."""

import io
from dataclasses import replace
from typing import Any

from orchestrator.cli.board import Board
from orchestrator.cli.paper import Paper
from orchestrator.cli.questions import Question
from orchestrator.cli.story import step_story, story
from orchestrator.cli.tracebacks import traceback_tail
from orchestrator.cli.words import moment
from orchestrator.journal.step_record import FailedAttempt, Intervention, StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import ExecutionId, StepKey


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


def told(step: StepRecord, *questions: Question) -> list[str]:
    return [*step_story(step, Paper(io.StringIO()), questions, traceback_lines=0)]


def step_of(status: StepStatus, *attempts: int, message: str = "no", **rest: Any) -> StepRecord:
    failures = [FailedAttempt(n, 100.0 * n, {"message": message}, None) for n in attempts]
    return StepRecord(StepKey("fetch"), status, failures=failures, **rest)


PLAN = {"strategy": "alternative_path", "alternative_steps": ["mirror"]}
ASKED = Question(StepKey("fetch"), 1, 100.0, "make\nit")
ANSWERED = replace(ASKED, decision="retry", by="Ada", answered_at=160.0)


def test_the_headline_says_which_way_out_was_taken() -> None:
    completed, skipped, running = StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.RUNNING
    waits = Intervention("make it", 100.0)
    assert told(step_of(completed, 1, plan=PLAN))[0] == (
        "+ step fetch succeeded by alternative mirror after 1 failed attempt"
    )
    assert told(step_of(skipped, 1, 2))[0] == "- step fetch was skipped after 2 failed attempts"
    assert told(step_of(running, 1, plan=PLAN))[0] == (
        "x step fetch is recovering (alternative mirror) after 1 attempt"
    )
    assert told(step_of(running, 1, intervention=waits))[0] == "? step fetch waits for a person after 1 failed attempt"
    assert told(step_of(StepStatus.CANCELLED, 1))[0] == "x step fetch was cancelled after 1 failed attempt"


def test_what_a_person_was_asked_and_said() -> None:
    lines = told(step_of(StepStatus.RUNNING, 1, 2), ANSWERED, replace(ASKED, attempt=2))
    told_so = [line.strip() for line in lines[2:4]]
    assert told_so[0] == "then asked: make it"
    assert told_so[1] == f"Ada answered retry at {moment(160.0)}, 1m 00s later"
    assert lines[5].strip() == "then asked: make it" and len(lines) == 6
    (*_, last) = told(step_of(StepStatus.FAILED, 1), replace(ANSWERED, by=""))
    assert last.startswith("    somebody answered retry")


def test_a_question_that_nobody_answered() -> None:
    late = replace(ASKED, deadline=150.0, decision="abort", by="the deadline", answered_at=151.0)
    assert told(step_of(StepStatus.FAILED, 1), late)[-1] == f"    nobody answered until {moment(150.0)}"
    assert told(step_of(StepStatus.FAILED, 1), ASKED)[-1] == "    nobody answered"


def test_an_attempt_is_told_once_where_its_recovery_did_not_help() -> None:
    assert told(step_of(StepStatus.FAILED, 1, 1)) == ["x step fetch failed", "    no"]
    other = FailedAttempt(1, 9.0, {"message": "other"}, None)
    step = step_of(StepStatus.FAILED, 1)
    step.failures = [*(step.failures or ()), other]
    assert len(told(step)) == 3 and "other" in told(step)[-1]


def test_what_else_failed() -> None:
    board = Board(ExecutionId("x"))
    failed, completed = StepStatus.FAILED, StepStatus.COMPLETED
    for key, status in (("a", failed), ("b", failed), ("c", completed), ("a/mirror", failed)):
        board.record.steps[StepKey(key)] = replace(step_of(status, 1), key=StepKey(key))
    board.record.failed_step = StepKey("a")
    lines = [*story(board, Paper(io.StringIO()), traceback_lines=0)]
    assert lines == ["x step a failed", "    no", "", "  also failed: b"]


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
