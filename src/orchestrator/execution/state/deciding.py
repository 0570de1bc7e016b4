"""What each verb of a context comes to: the events, from what has happened so far. Pure.

Raises IllegalMoveError for a move that the tables of `status` do not list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import IllegalMoveError
from orchestrator.execution.state.checking import check_id
from orchestrator.failure import ErrorInfo, scrub
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import ErrorData, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus, check_move
from orchestrator.types import StepKey

_NO_OUTPUTS = Encoded(pack({}))
#: While a context stands so, those within do not run.
_HOLDING = frozenset({ExecutionStatus.PAUSED, ExecutionStatus.CANCELLED})


def start(record: ExecutionRecord) -> list[Event]:
    """Somebody begins to run it, or goes on."""
    _check(record, ExecutionStatus.RUNNING)
    return [ev.ExecutionClaimed(f"{os.uname().nodename}:{os.getpid()}", record.epoch + 1)]


def complete(record: ExecutionRecord, error: ErrorData | None) -> list[Event]:
    """It ended; well, where there is no error."""
    _check(record, ExecutionStatus.COMPLETED if error is None else ExecutionStatus.FAILED)
    return [ev.ExecutionCompleted(_NO_OUTPUTS) if error is None else ev.ExecutionFailed(None, error)]


def pause(record: ExecutionRecord, reason: str) -> list[Event]:
    """Nothing where it cannot be paused."""
    movable = ExecutionStatus.PAUSED in EXECUTION_MOVES[record.status]
    return [ev.ExecutionPaused(reason)] if movable else []


def resume(record: ExecutionRecord, around: Iterable[ExecutionRecord] = ()) -> list[Event]:
    """Nothing where it is not paused, or one of the contexts around it keeps it from running."""
    held = any(outer.status in _HOLDING for outer in around)
    return start(record) if record.status is ExecutionStatus.PAUSED and not held else []


def check_around(record: ExecutionRecord, around: Iterable[ExecutionRecord]) -> None:
    """Refuse to run within a context that is paused or cancelled."""
    for outer in around:
        if outer.status in _HOLDING:
            what, story = f"execution {record.execution_id}", f"{outer.execution_id}, which it is in, is {outer.status}"
            raise IllegalMoveError(what, str(record.status), str(ExecutionStatus.RUNNING), story)


def cancel(record: ExecutionRecord, reason: str) -> list[Event]:
    """Somebody gave it up."""
    _check(record, ExecutionStatus.CANCELLED)
    return [ev.ExecutionCancelled(reason)]


def _check(record: ExecutionRecord, new: ExecutionStatus) -> None:
    check_move(EXECUTION_MOVES, record.status, new, f"execution {record.execution_id}")


# -- steps -------------------------------------------------------------------------------------------------------------


def start_step(record: ExecutionRecord, step_id: str, name: str) -> list[Event]:
    """A further attempt where it runs already; a new generation where it has ended."""
    step = _step(record, step_id)
    ended = not STEP_MOVES[step.status]
    attempt = 1 if ended else step.attempt + 1
    return [ev.StepStarted(step.key, step.generation + ended, attempt, name)]


def complete_step(record: ExecutionRecord, step_id: str, error: ErrorData | None) -> list[Event]:
    """Its outcome; one that was not started starts first."""
    step = _step(record, step_id)
    pending = step.status is StepStatus.PENDING
    _check_step(step, StepStatus.COMPLETED if error is None else StepStatus.FAILED)
    events = start_step(record, step_id, "") if pending else []
    attempt = step.attempt + pending
    if error is None:
        return [*events, ev.StepSucceeded(step.key, step.generation, attempt, None)]
    return [*events, ev.StepFailed(step.key, step.generation, attempt, error)]


def skip_step(record: ExecutionRecord, step_id: str, reason: str) -> list[Event]:
    """It is left out."""
    step = _step(record, step_id)
    _check_step(step, StepStatus.SKIPPED)
    return [ev.StepSkipped(step.key, step.generation, reason)]


def retry_step(record: ExecutionRecord, step_id: str, error: ErrorData, due_at: float) -> list[Event]:
    """Its attempt failed and another one is due."""
    step = _step(record, step_id)
    _check_step(step, StepStatus.FAILED)
    return [ev.StepRetrying(step.key, step.generation, max(1, step.attempt), error, due_at)]


def _step(record: ExecutionRecord, step_id: str) -> StepRecord:
    check_id("a step's id", step_id)
    key = StepKey(step_id)
    return record.steps.get(key) or StepRecord(key)


def _check_step(step: StepRecord, new: StepStatus) -> None:
    check_move(STEP_MOVES, step.status, new, f"step {step.key}")


def error_data(error: object, clock: Clock, execution_id: str, step_id: str | None = None) -> ErrorData:
    """An error as events carry it, from an exception, an ErrorInfo, its mapping, or a text; None is an empty one."""
    match error:
        case None:
            return {}
        case BaseException():
            at = utc(clock.time())
            info = ErrorInfo.of(error, error_id=new_id(clock), timestamp=at, execution_id=execution_id, step_id=step_id)
            return info.to_dict()
        case ErrorInfo():
            return error.to_dict()
        case Mapping():
            return error
        case _:
            return {"message": scrub(str(error))}
