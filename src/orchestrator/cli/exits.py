"""What a command's exit code means, and which error leads to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from orchestrator import errors
from orchestrator.status import ExecutionStatus


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    WAITS = 3
    OWNED_ELSEWHERE = 4
    STORE_FAILED = 5
    BUG = 70
    INTERRUPTED = 130


#: The first of these that an error is an instance of decides.
_BY_ERROR: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.OwnedElsewhereError, ExitCode.OWNED_ELSEWHERE),
    (errors.LeaseLostError, ExitCode.OWNED_ELSEWHERE),
    (errors.ProcessesLeftError, ExitCode.OWNED_ELSEWHERE),
    (errors.ConcurrencyBusyError, ExitCode.OWNED_ELSEWHERE),
    (errors.StoreError, ExitCode.STORE_FAILED),
    (errors.DecodeError, ExitCode.STORE_FAILED),
    (errors.StateFileError, ExitCode.STORE_FAILED),
    (errors.PipelineError, ExitCode.BAD_INPUT),
    (errors.InputError, ExitCode.BAD_INPUT),
    (errors.EncodeError, ExitCode.BAD_INPUT),
    (errors.NotResumableError, ExitCode.BAD_INPUT),
    (errors.NonDeterminismError, ExitCode.BAD_INPUT),
    (errors.InterruptedExecution, ExitCode.INTERRUPTED),
    (errors.ExecutionWaitsError, ExitCode.WAITS),
    (errors.ExecutionFailedError, ExitCode.FAILED),
    (errors.StepError, ExitCode.FAILED),
)

_BY_STATUS: Mapping[ExecutionStatus, ExitCode] = {
    ExecutionStatus.COMPLETED: ExitCode.DONE,
    ExecutionStatus.FAILED: ExitCode.FAILED,
    ExecutionStatus.CANCELLED: ExitCode.FAILED,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code for an error that ended a command; BUG where it is none that we raise on purpose."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.BUG)


def exit_code_for(status: ExecutionStatus, *, interrupted: bool) -> ExitCode:
    """The exit code for how an execution stands at the end of a command."""
    return _BY_STATUS.get(status, ExitCode.INTERRUPTED if interrupted else ExitCode.WAITS)
