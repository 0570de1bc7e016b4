"""The status words, and the one table of legal moves for each.

Defined on the ground because the journal, the machine and every view use the same words.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import TypeVar

from orchestrator.errors import IllegalMoveError


class ExecutionStatus(StrEnum):
    """Where one execution stands."""

    PENDING = auto()
    RUNNING = auto()
    PAUSED = auto()
    COMPLETED = auto()
    FAILED = auto()
    CANCELLED = auto()


class StepStatus(StrEnum):
    """Where one step of an execution stands."""

    PENDING = auto()
    RUNNING = auto()
    COMPLETED = auto()
    FAILED = auto()
    SKIPPED = auto()
    CANCELLED = auto()


class Closing(StrEnum):
    """Why nothing new is started inside of a step, or of a pipeline, that has not come to its last step."""

    #: One of its steps failed for good.
    FAILED = auto()
    #: Enough branches have ended well.
    DECIDED = auto()
    #: A step said `return`.
    RETURNED = auto()
    #: The time of the attempt is over.
    TIMED_OUT = auto()
    #: Somebody outside of it gave it up.
    CANCELLED = auto()


_E, _S = ExecutionStatus, StepStatus

#: status -> the statuses it may move to. FAILED moves to RUNNING by a retry only.
EXECUTION_MOVES: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _E.PENDING: frozenset({_E.RUNNING, _E.CANCELLED}),
    _E.RUNNING: frozenset({_E.PAUSED, _E.COMPLETED, _E.FAILED, _E.CANCELLED}),
    _E.PAUSED: frozenset({_E.RUNNING, _E.FAILED, _E.CANCELLED}),
    _E.COMPLETED: frozenset(),
    _E.FAILED: frozenset({_E.RUNNING}),
    _E.CANCELLED: frozenset(),
}

#: A restore is the one way out of these, and no move: what ended stands again where its checkpoint stood.
ENDED = frozenset({_E.COMPLETED, _E.FAILED, _E.CANCELLED})

#: A step that ended comes back to PENDING only in a new generation.
STEP_MOVES: dict[StepStatus, frozenset[StepStatus]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset(),
}

#: An execution in one of these can still go on by itself (`resume`).
UNFINISHED = frozenset({_E.PENDING, _E.RUNNING, _E.PAUSED})


def restored_status(now: ExecutionStatus, then: ExecutionStatus) -> ExecutionStatus:
    """The status after a restore to a checkpoint made at `then`: that one where it has ended by now, else no change."""
    return then if now in ENDED else now


_Word = TypeVar("_Word", ExecutionStatus, StepStatus)


def check_move(moves: dict[_Word, frozenset[_Word]], old: _Word, new: _Word, what: str) -> None:
    """Raise IllegalMoveError unless the table lets `what` go from `old` to `new`."""
    if new not in moves[old]:
        raise IllegalMoveError(what, str(old), str(new))
