"""What a step asks for, and who performs it.

Deciding code in this package is written as generators that yield *requests* and get answers; they await nothing and
block nowhere. A driver performs the requests. It exists once for code on an event loop and once for plain threads,
ten lines each, so that a decision is never written twice.

The `Runner` protocol is how an attempt reaches the place where its handler runs; `Attempt` is all that such a place
needs to know. The one context variable of this module says which attempt the running code belongs to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from orchestrator.journal.events import Event
from orchestrator.journal.store import Note
from orchestrator.status import Closing
from orchestrator.types import ExecutionId, StepKey

T = TypeVar("T")

# -- what an attempt does ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PythonCall:
    """Call `target` (`module:function`, beside `base_dir` or installed) with keyword arguments.

    An async function runs on the loop, a plain one in a thread, either in a worker process where `process` is true.
    `function` is the callable itself, where it is at hand; `positional` are arguments without a name.
    """

    target: str
    arguments: Mapping[str, Any]
    process: bool = False
    function: Callable[..., Any] | None = field(default=None, compare=False)
    positional: tuple[Any, ...] = ()
    #: Of a durable function: the folder that its module is imported from.
    folder: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """Run a command in a process group of its own. `env` is added to the engine's; `parse` is text or json.

    Its value is `{exit_code, stdout, stderr}`, with `json` where asked for. A non-zero exit code raises ShellError.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    parse: str = "text"
    #: What the person wrote, for messages.
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Assign:
    """Set GLOBAL variables; runs nowhere, its value is the mapping itself."""

    variables: Mapping[str, Any]


#: What an attempt does, somewhere.
Work: TypeAlias = PythonCall | ShellCommand
#: What a step comes to once its templates are resolved.
Prepared: TypeAlias = Work | Assign


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one step, as a runner sees it. `emit` takes notes from any thread and never blocks.

    `writes` are the GLOBAL variables that its handler set: they are recorded with its success, or not at all.
    """

    execution_id: ExecutionId
    pipeline_id: str
    step_key: StepKey
    generation: int
    attempt: int
    work: Work
    timeout_seconds: float | None
    base_dir: str
    emit: Callable[[Note], None] = field(compare=False, repr=False)
    writes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def idempotency_key(self) -> str:
        """The same text on every attempt of this step, for services that drop repeats."""
        return f"{self.execution_id}/{self.step_key}/{self.generation}"


#: The attempt that the running code belongs to; None outside of handlers.
CURRENT_ATTEMPT: ContextVar[Attempt | None] = ContextVar("orchestrator_attempt", default=None)


class Runner(Protocol):
    """A place where handlers run."""

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Run the attempt's work: a coroutine or a future that gives its value.

        It raises what the handler raised; StepTimeoutError, ShellError, WorkerLostError, HandlerStillRunningError or
        HandlerNotFoundError where the fault is not the handler's. When it has returned or raised, nothing of the
        attempt runs any more (but for a thread, which raises HandlerStillRunningError). Cancelling the future, or
        the task that awaits, ends the attempt in the same way; the CancelledError has a note (`__notes__`) that tells
        how it came to its end.
        """
        ...

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """Run the attempt's work, a plain function in this process, before returning. Raises as `invoke` does.

        `keep_alive` is called every few seconds meanwhile.
        """
        ...

    def interrupt(self) -> None:
        """Ask everything that runs in processes to end (SIGTERM); returns at once."""
        ...

    async def close(self) -> None:
        """End whatever is left, grandchildren included, and wait for its end."""
        ...


# -- what a step that holds others is told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Over:
    """How the inside of a step came to its end.

    `failed` is the step of it that failed (and not borne), `leftovers` those that had begun and have not ended,
    `order` the steps that ended well, in that order; `returned` is the step that said `return`.
    """

    closing: Closing | None
    failed: StepKey | None
    leftovers: tuple[tuple[StepKey, int], ...]
    order: tuple[str, ...]
    returned: StepKey | None = None


# -- what deciding code asks for ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """Write these events. Answered when they are durable, or at once with `lazy` (they ride in the next commit)."""

    events: tuple[Event, ...]
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Invoke:
    """Make this attempt. Answered with its value; what it raises is thrown in."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RunFunction:
    """Run the durable function of this step (`""`: of the execution itself). Answered with what it returns."""

    key: StepKey
    work: PythonCall


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on at this time (seconds since the epoch), and after so many seconds at most.

    The time holds over the death of the engine, the seconds where somebody has set the clock back.
    """

    until: float
    at_most_seconds: float


@dataclass(frozen=True, slots=True)
class Keep:
    """Bring this value into its recorded form, its large parts into the store. Answered with an `Encoded`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Rollback:
    """Set the execution back to this checkpoint (None: the latest) on behalf of this step, and record `events` with it.

    Answered with the reason why that cannot be; where it can, the step that asked is over and is not answered.
    """

    key: StepKey
    checkpoint: str | None
    events: tuple[Event, ...]


Request: TypeAlias = Record | Invoke | RunFunction | Wait | Keep | Rollback
#: A deciding generator that ends with a T.
Deed: TypeAlias = Generator[Request, Any, T]


async def drive(deed: Deed[T], perform: Callable[[Request], Any]) -> T:
    """Run a deed on the event loop; `perform` gives an awaitable for each request."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = deed.throw(error) if error is not None else deed.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
        answer, error = None, None
        try:
            answer = await perform(request)
        except Exception as exc:  # noqa: BLE001 - handed to the deed, which records or re-raises it
            error = exc


def drive_sync(deed: Deed[T], perform: Callable[[Request], Any]) -> T:
    """Run a deed on this thread; `perform` answers each request itself."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = deed.throw(error) if error is not None else deed.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
        answer, error = None, None
        try:
            answer = perform(request)
        except Exception as exc:  # noqa: BLE001 - handed to the deed, which records or re-raises it
            error = exc
