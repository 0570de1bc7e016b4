"""Every error that Orchestrator raises on purpose has an exit code of its own choosing."""

from collections.abc import Iterator

import pytest

from orchestrator import errors
from orchestrator.cli.exits import ExitCode, exit_code_for, exit_code_of
from orchestrator.status import ExecutionStatus


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


EXPECTED = {
    errors.PipelineError: ExitCode.BAD_INPUT,
    errors.InputError: ExitCode.BAD_INPUT,
    errors.NotResumableError: ExitCode.BAD_INPUT,
    errors.NonDeterminismError: ExitCode.BAD_INPUT,
    errors.EncodeError: ExitCode.BAD_INPUT,
    errors.ExecutionFailedError: ExitCode.FAILED,
    errors.StepError: ExitCode.FAILED,
    errors.StoreError: ExitCode.STORE_FAILED,
    errors.DecodeError: ExitCode.STORE_FAILED,
    errors.StateFileError: ExitCode.STORE_FAILED,
    errors.OwnedElsewhereError: ExitCode.OWNED_ELSEWHERE,
    errors.LeaseLostError: ExitCode.OWNED_ELSEWHERE,
    errors.ProcessesLeftError: ExitCode.OWNED_ELSEWHERE,
    errors.ConcurrencyBusyError: ExitCode.OWNED_ELSEWHERE,
    errors.InterruptedExecution: ExitCode.INTERRUPTED,
    errors.ExecutionWaitsError: ExitCode.WAITS,
    errors.IllegalMoveError: ExitCode.BUG,
}
#: Never raised themselves, only what is below them.
ABSTRACT = {errors.OrchestratorError, errors.ExecutionError, errors.CodecError}


@pytest.mark.parametrize("kind", [kind for kind in leaves(errors.OrchestratorError) if kind not in ABSTRACT])
def test_each_error_of_the_tree(kind: type[Exception]) -> None:
    expected = next(EXPECTED[base] for base in kind.__mro__ if base in EXPECTED)
    assert exit_code_of(kind.__new__(kind)) is expected


def test_what_nobody_raised_on_purpose_is_a_bug() -> None:
    assert exit_code_of(RuntimeError()) is ExitCode.BUG


def test_how_an_execution_stands() -> None:
    codes = {status: exit_code_for(status, interrupted=False) for status in ExecutionStatus}
    assert codes == {
        ExecutionStatus.COMPLETED: 0,
        ExecutionStatus.FAILED: 1,
        ExecutionStatus.CANCELLED: 1,
        ExecutionStatus.PAUSED: 3,
        ExecutionStatus.RUNNING: 3,
        ExecutionStatus.PENDING: 3,
    }
    assert exit_code_for(ExecutionStatus.PAUSED, interrupted=True) == 130
    assert exit_code_for(ExecutionStatus.COMPLETED, interrupted=True) == 0
