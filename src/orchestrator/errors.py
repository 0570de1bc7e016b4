"""Every exception that Orchestrator raises on purpose.

OrchestratorError
├── PipelineError                a definition is at fault (exit code 2)
│   ├── PipelineFileError        … with every fault of the file, each with its position
│   ├── TemplateError            a `${…}` cannot be read or resolved
│   │   └── UnknownNameError     … because nothing has that name
│   └── HandlerNotFoundError     `module:function` cannot be imported
├── InputError                   what the caller gave does not fit (exit code 2)
│   ├── UnknownContextError      no context of variables has that id, or it was destroyed
│   ├── CircularDependencyError  variables would depend on themselves; shows `a -> b -> a`
│   ├── ConcurrentNameError      two tasks of a durable function use one name for their steps
│   ├── NotAwaitedError          a durable function called a step and did not await it
│   ├── WrongPlaceError          what belongs into a durable function was called elsewhere
│   ├── TemporaryGoneError       a TEMPORARY variable was dropped by a restore, an import or a resume
│   └── UnknownExecutionError    no execution has that id
├── ExecutionError               a run did not do what was asked
│   ├── ExecutionFailedError     it ended FAILED (exit code 1)
│   ├── NotResumableError        it has ended; names the verb that would help (exit code 2)
│   ├── InterruptedExecution     it was paused by an interrupt (exit code 130)
│   ├── ExecutionWaitsError      it waits for a person (exit code 3)
│   ├── ConcurrencyBusyError     another execution has its concurrency key (exit code 4)
│   ├── NonDeterminismError      a durable function asks for other steps than its journal holds (exit code 2)
│   └── ProcessesLeftError       processes of a dead engine cannot be ended
├── StepError                    an attempt failed for a reason that is not the handler's own exception
│   ├── StepTimeoutError         it took longer than its timeout
│   ├── RecoveryTimeoutError     its recovery took longer than the plan allows
│   ├── ShellError               a command ended with a non-zero exit code or a signal
│   ├── WorkerLostError          the process that ran it died
│   ├── HandlerStillRunningError a thread outlived its timeout and cannot be ended
│   ├── CommandNotStartedError   a command cannot be started: not there, not allowed, too long
│   ├── OutputError              what a command wrote cannot be its value
│   ├── HandlerExitError         a handler called what ends a program
│   ├── RollbackError            its recovery was to set the execution back, and that cannot be
│   ├── UnknownStepError         its recovery names a step that the pipeline does not have
│   ├── InnerStepError           a step inside of it failed
│   ├── StepFailedError          a step of a durable function failed, with an exception that cannot be raised again
│   ├── DeadlineError            what it waited for did not come in time
│   ├── FailStepError            a `fail` step was reached
│   ├── TooManyIterationsError   a `while` did not end
│   ├── RemoteError              an exception of a worker process that cannot be rebuilt here
│   └── TooManyInterruptionsError the engine died again and again while it ran
├── CodecError                   a value or a record cannot be written or read
│   ├── StateFileError           a saved state file is damaged, not to be trusted, or cannot be written
│   ├── EncodeError              … written: names the path inside the value and the type
│   └── DecodeError              … read: damaged, or written by a newer version
│       └── UnknownTypeError     … or of a class that is not imported here
├── StoreError                   the store failed (exit code 5)
│   ├── ConflictError            another writer was at that position first
│   ├── LeaseLostError           the right to write has passed to another owner
│   ├── OwnedElsewhereError      another living process has the execution (exit code 4)
│   ├── BlobMissingError         a commit refers to a blob that the store does not hold
│   ├── StoreBusyError           another process kept the database locked for too long
│   └── SchemaError              the file is no journal, or one of a newer version
└── IllegalMoveError             a bug: a move that the table of states does not list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.types import StepKey


class OrchestratorError(Exception):
    """The root: catches everything that Orchestrator raises on purpose."""


# -- definitions and inputs ------------------------------------------------------------------------------------------


class PipelineError(OrchestratorError):
    """A pipeline's definition is at fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a definition.

    `line` and `column` count from 1; both are 0 where the definition came from Python and has no file.
    `path` says where in the model: `steps.load.with.path`. `file` is empty, or another file than that of the error: one
    of a pipeline to which it refers.
    """

    message: str
    line: int = 0
    column: int = 0
    source_line: str = ""
    path: str = ""
    hint: str = ""
    file: str = ""


class PipelineFileError(PipelineError):
    """Every fault of one definition. `str()` shows each with its position, its line and a caret."""

    def __init__(self, file: str, faults: Sequence[Fault]) -> None:
        self.file, self.faults = file, tuple(faults)
        super().__init__("\n".join(self._show(fault) for fault in self.faults))

    def _show(self, fault: Fault) -> str:
        file = fault.file or self.file
        where = f"{file}:{fault.line}:{fault.column}" if fault.line else f"{file}: {fault.path}".rstrip(": ")
        text = f"{where}: {fault.message}" + (f" ({fault.hint})" if fault.hint else "")
        if not fault.source_line:
            return text
        line = fault.source_line
        start = max(0, fault.column - 1 - 80)
        shown = line[start : start + 120].replace("\t", " ")
        return f"{text}\n    {shown}\n    {' ' * (fault.column - 1 - start)}^"


class TemplateError(PipelineError):
    """A `${…}` cannot be read or resolved. `placeholder` is its text."""

    def __init__(self, message: str, placeholder: str = "", offset: int = 0) -> None:
        self.placeholder, self.offset = placeholder, offset
        super().__init__(message)


class UnknownNameError(TemplateError):
    """Nothing has the name that a placeholder asks for; `nearest` are the closest known names."""

    def __init__(self, placeholder: str, name: str, where: str = "", nearest: Sequence[str] = ()) -> None:
        self.name, self.where, self.nearest = name, where, tuple(nearest)
        place = f" (used in {where})" if where else ""
        hint = f"; did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
        super().__init__(f"{placeholder}: nothing is named {name!r}{place}{hint}", placeholder)


class HandlerNotFoundError(PipelineError):
    """A `module:function` cannot be imported. `target` is that text, `nearest` the closest names that exist."""

    def __init__(self, message: str, target: str = "", nearest: Sequence[str] = ()) -> None:
        self.target, self.nearest = target, tuple(nearest)
        hint = f"; did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
        super().__init__(message + hint)


class InputError(OrchestratorError):
    """What the caller gave does not fit: a missing or unknown input, a wrong type, a bad option."""


class ConcurrentNameError(InputError):
    """Two concurrent tasks of a durable function call steps of one name, so that chance would decide their keys."""

    def __init__(self, name: str, function: str, where: str) -> None:
        self.name, self.function, self.where = name, function, where
        step = name.rpartition(":")[0].rpartition(":")[2] or name
        super().__init__(
            f"{where}: step {name!r} is called by two concurrent tasks of {function!r}, and which of them is first "
            f'would decide their keys; give the step a key of its own (`@step(key="{{parameter}}")`, or '
            f"`{step}.with_key(...)(...)`), call it before the tasks are made (`gather({step}(a), {step}(b))`), or "
            'give each task a name (`with flow("left"):`)'
        )


class NotAwaitedError(InputError):
    """A durable function called steps and did not await them, so that they never ran."""

    def __init__(self, function: str, calls: Sequence[tuple[str, str]]) -> None:
        self.function, self.calls = function, tuple(calls)
        told = "; ".join(f"{where}: step {key!r} was called without `await`, and never ran" for key, where in calls)
        super().__init__(f"{function}: {told}; write `await`, or gather the calls")


class WrongPlaceError(InputError):
    """What belongs into a durable function was called elsewhere, or in a form that does not fit there."""


class UnknownContextError(InputError):
    """No context of this manager has that id: it never had, or the context was destroyed."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        super().__init__(
            f"there is no context {context_id!r} (never made, or destroyed); create_context() gives the id of a new one"
        )


class CircularDependencyError(InputError):
    """Variables would depend on themselves. `cycle` are the names in order, the first one again at the end."""

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(f"{' -> '.join(self.cycle)} is a circle; take one of these dependencies away")


class TemporaryGoneError(InputError):
    """A TEMPORARY variable was there once; a restore, an import or a resume does not bring it back."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"the TEMPORARY variable {name!r} is gone: such variables are never saved, so no restore, import or resume"
            " brings them back; set it again"
        )


class UnknownExecutionError(InputError):
    """No execution of this store has that id."""

    def __init__(self, execution_id: str, store: str = "", nearest: Sequence[str] = ()) -> None:
        self.execution_id, self.nearest = execution_id, tuple(nearest)
        place = f" in {store}" if store else ""
        hint = f"; did you mean {' or '.join(nearest)}?" if nearest else "; `orchestrator list` shows what there is"
        super().__init__(f"no execution {execution_id!r}{place}{hint}")


# -- executions and steps --------------------------------------------------------------------------------------------


class ExecutionError(OrchestratorError):
    """A run did not do what was asked of it."""


class ExecutionFailedError(ExecutionError):
    """The execution ended FAILED. `step_key` and `error` (a mapping, see failure.ErrorInfo.to_dict) say why."""

    def __init__(self, execution_id: str, message: str, step_key: str | None = None, error: object = None) -> None:
        self.execution_id, self.step_key, self.error = execution_id, step_key, error
        super().__init__(message)


class NotResumableError(ExecutionError):
    """The execution has ended, so that `resume` has nothing to go on with; `status` says how it ended."""

    def __init__(self, execution_id: str, status: str, hint: str) -> None:
        self.execution_id, self.status = execution_id, status
        super().__init__(f"execution {execution_id} is {status}; {hint}")


class ProcessesLeftError(ExecutionError):
    """Processes of an engine that died cannot be ended: another user's, or stuck in the kernel."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = tuple(pids)
        shown = ", ".join(map(str, self.pids))
        super().__init__(f"the engine that died left processes that cannot be ended ({shown}); end them, then resume")


class InterruptedExecution(ExecutionError):
    """The execution was paused by an interrupt; `resume` goes on."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"execution {execution_id} was interrupted; go on with `orchestrator resume {execution_id}`")


class ExecutionWaitsError(ExecutionError):
    """The execution waits for a person, a signal or a time that is not near.

    `waiting` maps each step that waits for a person to what the person is to do, `choices` to the words that answer it;
    `reason` says what else is waited for.
    """

    def __init__(
        self,
        execution_id: str,
        waiting: Mapping[Any, str],
        choices: Mapping[Any, Sequence[str]] | None = None,
        reason: str = "",
    ) -> None:
        self.execution_id, self.waiting, self.reason = execution_id, dict(waiting), reason
        self.choices = dict(choices or {})
        step = next(iter(self.waiting), None)
        if step is None:
            told = f"execution {execution_id} is {reason or 'waiting'}; `orchestrator scheduler` wakes it then"
        else:
            words = "|".join(self.choices.get(step, ("retry", "skip", "abort")))
            told = (
                f"execution {execution_id} waits for an answer about step {step!r}: {self.waiting[step]}"
                f"; answer with `orchestrator answer {execution_id} {step} {words}`"
            )
        super().__init__(told)


class NonDeterminismError(ExecutionError):
    """A durable function that was gone on with asks for other steps than its journal holds.

    `recorded` are the keys that the journal has and the code does not ask for, `asked` those that the code asks for in
    their place, each with the line of the call.
    """

    def __init__(
        self, execution_id: str, function: str, recorded: Sequence[str], asked: Sequence[tuple[str, str]]
    ) -> None:
        self.execution_id, self.function = execution_id, function
        self.recorded, self.asked = tuple(recorded), tuple(asked)
        had = ", ".join(repr(key) for key in recorded[:5]) + (" …" if len(recorded) > 5 else "")
        wants = "; ".join(f"{key!r} ({where})" if where else repr(key) for key, where in asked[:5]) or "its end"
        super().__init__(
            f"execution {execution_id}: its journal has {had}, and {function} now asks for {wants} instead. Either the "
            'code has changed: put the old way back, keep both with `patched("name")`, or begin anew from a step '
            "(`orchestrator rerun`, `orchestrator fork`). Or it depends on what is otherwise each time (a clock, "
            "chance, a file, the network): do that in a step"
        )


class ConcurrencyBusyError(ExecutionError):
    """The execution may not begin yet: `holder`, another execution with the same concurrency `key`, comes first."""

    def __init__(self, execution_id: str, key: str, holder: str) -> None:
        self.execution_id, self.key, self.holder = execution_id, key, holder
        super().__init__(
            f"execution {execution_id} waits for its turn: execution {holder} has the concurrency key {key!r}, or is"
            f" before it in the queue; let {holder} end, or cancel it, then try again"
        )


class StepError(OrchestratorError):
    """An attempt failed for a reason that is not an exception of the handler itself."""


class StepTimeoutError(StepError, TimeoutError):
    """An attempt took longer than its timeout."""

    def __init__(self, step_key: str, timeout_seconds: float) -> None:
        self.step_key, self.timeout_seconds = step_key, timeout_seconds
        super().__init__(f"step {step_key!r} was ended after its timeout of {timeout_seconds:g} s")


class RecoveryTimeoutError(StepError, TimeoutError):
    """What a plan's `timeout` allows for the whole recovery is over; 0.0 where how much that was is no longer known."""

    def __init__(self, step_key: str = "", timeout_seconds: float = 0.0) -> None:
        self.step_key, self.timeout_seconds = step_key, timeout_seconds
        what = f"the recovery of step {step_key!r}" if step_key else "the recovery"
        span = f" of {timeout_seconds:g} s" if timeout_seconds else ""
        super().__init__(f"{what} was ended after its timeout{span}; give its plan a longer one, or none")


class ShellError(StepError):
    """A command ended with a non-zero exit code (negative: the signal that ended it)."""

    def __init__(self, command: str, exit_code: int, stderr_tail: str = "") -> None:
        self.command, self.exit_code, self.stderr_tail = command, exit_code, stderr_tail
        how = f"ended with exit code {exit_code}" if exit_code >= 0 else f"was ended by signal {-exit_code}"
        tail = f": {stderr_tail}" if stderr_tail else ""
        super().__init__(f"{command} {how}{tail}")


class CommandNotStartedError(StepError):
    """A command could not be started: not found, no permission, arguments too large. `errno` is the kernel's reason."""

    def __init__(self, command: str, reason: str, errno: int = 0) -> None:
        self.command, self.reason, self.errno = command, reason, errno
        super().__init__(f"{command} could not be started: {reason}")


class OutputError(StepError):
    """What a command wrote to its stdout cannot be the step's value: too much of it, or no JSON."""

    def __init__(self, command: str, reason: str) -> None:
        self.command, self.reason = command, reason
        super().__init__(f"the output of {command} cannot be used: {reason}")


class WorkerLostError(StepError):
    """The process that ran an attempt died (killed, out of memory, os._exit); `exit_code` as far as it is known."""

    def __init__(self, message: str, step_key: str = "", exit_code: int | None = None) -> None:
        self.step_key, self.exit_code = step_key, exit_code
        super().__init__(message)


class HandlerExitError(StepError):
    """A handler raised what ends a program or a task: SystemExit, KeyboardInterrupt, a cancellation of its own."""

    def __init__(self, raised: str, detail: str = "") -> None:
        self.raised, self.detail = raised, detail
        super().__init__(
            f"the handler raised {raised}{f'({detail})' if detail else ''}, which would end the program"
            "; return a value, or raise an ordinary exception to let the step fail"
        )


class HandlerStillRunningError(StepError):
    """A handler outlived its timeout and cannot be ended (a thread cannot), so it is not tried again."""

    def __init__(self, step_key: str, where: str, waited_seconds: float) -> None:
        self.step_key, self.where, self.waited_seconds = step_key, where, waited_seconds
        super().__init__(
            f"step {step_key!r} still runs in {where}, {waited_seconds:g} s after it was to end, and cannot be ended"
            "; it is not tried again, so that it never runs twice at once (`runner: process` can be ended)"
        )


class RollbackError(StepError):
    """A step failed, and the execution could not be set back as its recovery wanted; `reason` says why not."""

    def __init__(self, step_key: str, reason: str, error: str) -> None:
        self.step_key, self.reason, self.error = step_key, reason, error
        super().__init__(f"step {step_key!r} cannot be recovered by a rollback: {reason}; it had failed with: {error}")


class UnknownStepError(StepError):
    """The recovery of a step names an alternative that is no step of the pipeline."""

    def __init__(self, name: str, step_key: str, known: Sequence[str]) -> None:
        self.name, self.step_key, self.known = name, step_key, tuple(known)
        super().__init__(f"the recovery of step {step_key!r} names {name!r}; the pipeline has {', '.join(self.known)}")


class InnerStepError(StepError):
    """A step inside of this one failed, and with it this one; `error` is what is kept of that failure."""

    def __init__(self, step_key: StepKey, error: Mapping[str, Any]) -> None:
        self.step_key, self.error = step_key, error
        what, why = f"step {step_key!r} failed: ", str(error.get("message", "no reason is known"))
        super().__init__(why if why.startswith(what) else what + why)  # what is around it fails for the same reason


class StepFailedError(StepError):
    """A step of a durable function failed, with an exception whose class is not known here or that was not recorded.

    `type_name` is the name of that class.
    """

    def __init__(self, step_key: StepKey, message: str, type_name: str) -> None:
        self.step_key, self.type_name = step_key, type_name
        super().__init__(f"step {step_key!r} failed: {message}")


class DeadlineError(StepError, TimeoutError):
    """What a step waited for did not come in time."""

    def __init__(self, step_key: str, what: str) -> None:
        self.step_key, self.what = step_key, what
        super().__init__(f"step {step_key!r} waited for {what}, which did not come by its deadline")


class FailStepError(StepError):
    """A `fail` step was reached; its text is the message."""


class TooManyIterationsError(StepError):
    """A `while` step's condition still held after `max_iterations` rounds."""

    def __init__(self, step_key: str, rounds: int) -> None:
        self.step_key, self.rounds = step_key, rounds
        super().__init__(
            f"the condition of step {step_key!r} still holds after {rounds} rounds; raise its max_iterations, or look "
            "whether anything in the loop changes what the condition reads"
        )


class RemoteError(StepError):
    """An exception raised in a worker process that cannot be rebuilt here. `type_name` is its qualified name."""

    def __init__(self, type_name: str, message: str, traceback: str = "") -> None:
        self.type_name, self.remote_traceback = type_name, traceback
        super().__init__(f"{type_name}: {message}")


class TooManyInterruptionsError(StepError):
    """The engine died again and again while this step ran."""


# -- journal and store -----------------------------------------------------------------------------------------------


class CodecError(OrchestratorError):
    """A value or a record cannot be written or read."""


class EncodeError(CodecError):
    """A value cannot be encoded. `path` says where inside it (`rows[3].handle`), `type_name` what stands there."""

    def __init__(self, path: str, type_name: str, reason: str = "") -> None:
        self.path, self.type_name = path, type_name
        place = f"at {path}" if path else "at its top"
        super().__init__(
            f"the value cannot be recorded: {place} stands a {type_name}"
            + (f" ({reason})" if reason else "")
            + "; return plain data (text, numbers, lists, mappings, dates, dataclasses), "
            "declare its class with register_type, or write a file and return its path"
        )


class DecodeError(CodecError):
    """A recorded value cannot be read: damaged, written by a newer version, or of a type not known here."""


class UnknownTypeError(DecodeError):
    """A recorded value is of a class that is not known here; the data's word alone imports nothing."""

    def __init__(self, module: str, qualname: str) -> None:
        self.module, self.qualname = module, qualname
        super().__init__(
            f"a value is a {module}.{qualname}, which is not imported here; import its module first, "
            "or declare the class that it is now with register_type"
        )


class StateFileError(CodecError):
    """A state file cannot be used; it is left as it is. `path` is the file, `reason` what is wrong with it."""

    def __init__(self, path: object, reason: str, hint: str = "") -> None:
        self.path, self.reason, self.hint = str(path), reason, hint
        super().__init__(f"state file {self.path}: {reason}" + (f"; {hint}" if hint else ""))


class StoreError(OrchestratorError):
    """The store failed: the disk, the file, the database."""


class ConflictError(StoreError):
    """Another writer was at this position of the journal first."""

    def __init__(self, execution_id: str, expected_position: int) -> None:
        self.execution_id, self.expected_position = execution_id, expected_position
        super().__init__(f"the journal of {execution_id} no longer ends at position {expected_position}; read it again")


class LeaseLostError(StoreError):
    """The right to write this execution has passed to another owner."""

    def __init__(self, execution_id: str, epoch: int) -> None:
        self.execution_id, self.epoch = execution_id, epoch
        super().__init__(f"execution {execution_id} was taken over by another process (our epoch {epoch} has passed)")


class OwnedElsewhereError(StoreError):
    """Another living process has this execution."""

    def __init__(self, execution_id: str, owner: str) -> None:
        self.execution_id, self.owner = execution_id, owner
        super().__init__(f"execution {execution_id} is being run by {owner}; wait for it, or stop that process first")


class BlobMissingError(StoreError):
    """A commit refers to a blob that the store does not hold."""


class StoreBusyError(StoreError):
    """Another process kept the database locked for `waited_seconds`; `holders` are those known to hold it."""

    def __init__(self, location: str, waited_seconds: float, holders: Sequence[str] = ()) -> None:
        self.location, self.waited_seconds, self.holders = location, waited_seconds, tuple(holders)
        who = " and ".join(holders) or "another process"
        super().__init__(
            f"{location} has been locked by {who} for {waited_seconds:g} s; let it finish or end it, then try again"
        )


class SchemaError(StoreError):
    """The file is no journal of ours, is damaged, or was written by a newer version."""


class IllegalMoveError(OrchestratorError):
    """A move that the table of states does not list: a bug in the caller. `story` tells what led to it."""

    def __init__(self, what: str, old: str, new: str, story: str = "") -> None:
        self.what, self.old, self.new, self.story = what, old, new, story
        super().__init__(f"{what} cannot go from {old} to {new}" + (f"\n{story}" if story else ""))
