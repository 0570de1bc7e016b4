"""The events of an execution: frozen facts, in the past tense.

An execution's journal is the ordered list of these; its state is what they fold to. An event says what was decided
or what came out, never how to do it. Positions count events from 1. Times are seconds since the epoch, UTC, and stand
in the `Entry`, not in the event, so that an event compares by what it says.

Values (inputs, outputs, variables, loop items) are carried encoded: a fold never needs to decode them, and each reader
gets a copy of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.journal.codec import Encoded
from orchestrator.status import ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: What `failure.ErrorInfo.to_dict` gives.
ErrorData: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExecutionCreated:
    """An execution was asked for. `model` is the pipeline's canonical form, `base_dir` where its handlers live.

    `graph` says of each step which others it needs, by their places in the model; None in journals of old.
    """

    execution_id: ExecutionId
    pipeline_id: str
    model: Encoded
    fingerprint: str
    inputs: tuple[tuple[str, Encoded], ...]
    base_dir: str
    graph: Encoded | None = None


@dataclass(frozen=True, slots=True)
class ExecutionClaimed:
    """A process took the execution to run it, for the first time or after another one; `owner` reads `host:pid`."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ExecutionPaused:
    """Nothing runs until somebody resumes it.

    Where it `waits`, a message or the time `until` (None: only a message) is to wake it.
    """

    reason: str
    until: float | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionCompleted:
    """Every step ended well; `outputs` is the mapping that the pipeline declares."""

    outputs: Encoded


@dataclass(frozen=True, slots=True)
class ExecutionFailed:
    """A step (or the outputs, where `step_key` is None) failed for good."""

    step_key: StepKey | None
    error: ErrorData


@dataclass(frozen=True, slots=True)
class ExecutionCancelled:
    """Somebody gave it up: nothing of it will run again, and what ran is cancelled."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asked to give it up: nothing new starts, and what runs is asked to end."""

    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionForked:
    """This journal begins with that of another execution up to `position`; what follows is its own."""

    source: ExecutionId
    position: int


@dataclass(frozen=True, slots=True)
class PipelineChanged:
    """From here on another definition holds; `changed` are the steps that had ended and are written otherwise in it."""

    model: Encoded
    graph: Encoded
    fingerprint: str
    base_dir: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeSeen:
    """The handlers' code as it is from here on: a short hash for each `module:function`. Only shown."""

    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A signal came, and is kept until a step takes it. `message` is its number in the inbox."""

    name: str
    payload: Encoded
    by: str = ""
    message: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointCreated:
    """This place in the journal was given an id (and, where a person named it, a description), to come back to."""

    checkpoint: str
    description: str = ""
    key: StepKey | None = None


@dataclass(frozen=True, slots=True)
class ExecutionRestored:
    """The execution was set back to a checkpoint, which stands at `position`: history stays, what differs is new.

    `keys` are the steps that get a new generation; of the loops among them, those in `expanded` keep their items, and
    of these only the items in `keys` begin anew. `writes` and `deleted` are the GLOBAL variables that differ. `cause`
    is the step whose recovery asked for it, where one did.
    """

    checkpoint: str
    position: int
    keys: tuple[StepKey, ...]
    writes: tuple[tuple[str, Encoded], ...] = ()
    deleted: tuple[str, ...] = ()
    cause: StepKey | None = None
    expanded: tuple[StepKey, ...] = ()


@dataclass(frozen=True, slots=True)
class VariablesChanged:
    """GLOBAL variables were set or deleted outside of steps; `source` says by whom, where that is known."""

    writes: tuple[tuple[str, Encoded], ...]
    deleted: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionRetried:
    """Somebody asked for another go: each of these failed steps gets a new generation."""

    keys: tuple[StepKey, ...]


@dataclass(frozen=True, slots=True)
class ExecutionRerun:
    """Somebody asked for these steps afresh, whatever they came to: each gets a new generation.

    Those in `expanded` hold others of them, and keep what else is inside of them.
    """

    keys: tuple[StepKey, ...]
    expanded: tuple[StepKey, ...] = ()
    by: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An attempt began. Committed with its outcome, or alone when that takes longer than 10 ms.

    `name` is what a person calls the step, where that is not its key.
    """

    key: StepKey
    generation: int
    attempt: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class StepRetrying:
    """An attempt failed and another one is due at `due_at` (seconds since the epoch).

    `deadline` is when the whole recovery must be over, where it must.
    """

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData
    due_at: float
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class StepRecovering:
    """The attempts are over, and a way out other than one more was chosen; `plan` says which (RecoveryPlan.to_dict).

    What the way out runs for the step has keys of its own: `fetch/mirror`.
    """

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData
    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InterventionRequested:
    """A step that failed waits for a person, who is told `instructions`; until `deadline` (epoch seconds), if any."""

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData
    instructions: str
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class InterventionAnswered:
    """The person said `retry`, `skip` (with the value that the step has then) or `abort`."""

    key: StepKey
    generation: int
    decision: str
    value: Encoded | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class LoopExpanded:
    """The items of a `for_each` step, each of which becomes a step `key[i]`.

    Where it `collects`, its output says of each item whether it succeeded.
    """

    key: StepKey
    generation: int
    items: tuple[Encoded, ...]
    collects: bool = False


@dataclass(frozen=True, slots=True)
class BlockEntered:
    """A step that holds others began an attempt: what is inside of it may start.

    `case` says which one of a `switch`, `inputs` are those of a sub-pipeline; the attempt must be over at `deadline`.
    Where a durable function runs a pipeline that it was given, `pipeline` is what that is called in this execution, and
    `model` and `graph` are what `ExecutionCreated` has of one.
    """

    key: StepKey
    generation: int
    attempt: int
    case: int | None = None
    inputs: tuple[tuple[str, Encoded], ...] = ()
    deadline: float | None = None
    pipeline: str = ""
    model: Encoded | None = None
    graph: Encoded | None = None


@dataclass(frozen=True, slots=True)
class IterationStarted:
    """The condition of a `while` step held: its round `key[index]` may start."""

    key: StepKey
    generation: int
    index: int


@dataclass(frozen=True, slots=True)
class StepWaiting:
    """A step waits, and needs no process for it: for a `time`, a `signal` or an `approval`.

    It ends at `until` (epoch seconds) at the latest. `subject` is the signal's name or what a person is asked, `ask`
    the rest of the question: who, choices, form, default.
    """

    key: StepKey
    generation: int
    attempt: int
    kind: str
    until: float | None = None
    subject: str = ""
    ask: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignalTaken:
    """A step that waits takes the signal that was received at `position`."""

    key: StepKey
    generation: int
    position: int


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The time that a step waited for has come, or its deadline."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time of an attempt is over whose steps are not: they are cancelled."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class StepInDoubt:
    """An engine died while an attempt ran whose effect may have happened; `policy` says what is done now."""

    key: StepKey
    generation: int
    attempt: int
    policy: str


@dataclass(frozen=True, slots=True)
class StepCancelled:
    """A step was given up, which is no failure. `how` says how what ran came to its end, where something ran."""

    key: StepKey
    generation: int
    reason: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """A step ended well. `output` is None where it is made of what is inside of the step.

    That of a loop is the list of its items' outputs, that of a `while` the last one's. With `parts` it is a mapping of
    the outputs of these steps of its block. `writes` are the GLOBAL variables that it set, `checkpoint` the name that
    its place in the journal was given.
    """

    key: StepKey
    generation: int
    attempt: int
    output: Encoded | None
    writes: tuple[tuple[str, Encoded], ...] = ()
    checkpoint: str | None = None
    parts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step is left out: its `when` was false, or it failed and a recovery skips it. What depends on it goes on.

    Its variable is `output`; None stands for null.
    """

    key: StepKey
    generation: int
    reason: str
    output: Encoded | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed for good; where something inside of it did, `cause` is that step."""

    key: StepKey
    generation: int
    attempt: int
    error: ErrorData
    cause: StepKey | None = None


Event: TypeAlias = (
    ExecutionCreated
    | ExecutionClaimed
    | ExecutionPaused
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCancelled
    | ExecutionRetried
    | ExecutionRestored
    | ExecutionRerun
    | ExecutionForked
    | CancelRequested
    | PipelineChanged
    | CodeSeen
    | SignalReceived
    | CheckpointCreated
    | VariablesChanged
    | StepStarted
    | StepRetrying
    | StepRecovering
    | InterventionRequested
    | InterventionAnswered
    | LoopExpanded
    | IterationStarted
    | BlockEntered
    | StepWaiting
    | SignalTaken
    | WaitOver
    | DeadlinePassed
    | StepInDoubt
    | StepCancelled
    | StepSucceeded
    | StepSkipped
    | StepFailed
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place: `position` counts from 1 within its execution, `at` is seconds since the epoch."""

    position: int
    at: float
    event: Event


#: Where each event of an execution's life leads; the others leave its status as it is.
STATUS_AFTER: Mapping[type[Event], ExecutionStatus] = {
    ExecutionCreated: ExecutionStatus.PENDING,
    ExecutionClaimed: ExecutionStatus.RUNNING,
    ExecutionPaused: ExecutionStatus.PAUSED,
    ExecutionCompleted: ExecutionStatus.COMPLETED,
    ExecutionFailed: ExecutionStatus.FAILED,
    ExecutionCancelled: ExecutionStatus.CANCELLED,
}
