"""Whether the code of a durable function still follows what is recorded: a replay that runs no step, writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import NonDeterminismError, OrchestratorError
from orchestrator.execution.driver import PythonCall, Rollback, RunFunction
from orchestrator.execution.engine.carried import Carried
from orchestrator.execution.engine.performer import Parts, Performer
from orchestrator.execution.flow import Suspension
from orchestrator.execution.integration import Session
from orchestrator.execution.machine import ROOT, Execute, Instruction
from orchestrator.journal.codec import decode, pack
from orchestrator.journal.events import Event
from orchestrator.status import ExecutionStatus
from orchestrator.types import StepKey

#: A function that does nothing for so long after it was told all that is recorded is at the end of the record.
_QUIET_SECONDS = 0.15
#: One that does other things all the time is not waited for any longer.
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """Whether an execution can be gone on with by today's code. `goes_on_with` are the calls that would be new."""

    execution_id: str
    pipeline_id: str
    ok: bool
    message: str = ""
    goes_on_with: tuple[str, ...] = ()


class _Task(Carried):
    """Carries a function that nobody waits for."""

    __slots__ = ("task",)
    task: asyncio.Future[Any]

    def wait_for(
        self, future: asyncio.Future[Any], receive_error: Callable[[Exception], BaseException] | None = None
    ) -> None:
        self.task = future


@dataclass(eq=False)
class _Looker:
    """In the place of a drive: begins nothing, but for functions that had begun."""

    session: Session
    loop: asyncio.AbstractEventLoop
    interrupted: bool = False
    patience_seconds: float = 0.0
    news: list[str] = field(default_factory=list)
    error: NonDeterminismError | None = None
    tasks: list[_Task] = field(default_factory=list)
    activity: int = 0
    _looks: int = 0
    performer: Performer = field(init=False)

    def run(self, key: StepKey, work: PythonCall) -> _Task:
        """Run a function."""
        carried = _Task(_nothing(), lambda *_: None, lambda *_: None, self.loop)
        self.performer.functions.run(RunFunction(key, work), carried, copy_context(), lambda error: error)
        self.tasks.append(carried)
        return carried

    def begin(self, instructions: Sequence[Instruction]) -> None:
        self.activity += 1
        for instruction in instructions:
            if not isinstance(instruction, Execute):
                continue
            task = self.performer.task(instruction.key, instruction.generation)
            if task.is_function and self.session.machine.is_function(instruction.key):
                work = task.prepare()
                assert isinstance(work, PythonCall)
                self.run(instruction.key, work)
            else:
                self.news.append(str(instruction.key))

    def has_inside(self, key: StepKey) -> bool:
        return False

    def is_under_way(self, key: StepKey) -> bool:
        return False

    def give_up(self, key: StepKey, reason: str) -> None:
        self.activity += 1

    def commit_now(self, events: Sequence[Event]) -> None:
        self.news += [str(event.key) for event in events if hasattr(event, "key")]
        raise Suspension  # a plain step, waited for in place: it would be new

    def record_lazily(self, events: tuple[Event, ...]) -> None:
        return

    def record(self, events: tuple[Event, ...], carried: Carried) -> None:
        return

    def cannot_follow(self, error: NonDeterminismError) -> None:
        self.error = error

    def rested(self) -> None:
        return

    def count(self, more: int) -> None:
        return

    def look_soon(self, look: Callable[[], None]) -> None:
        self._looks += 1
        self.loop.call_soon(self._looked, look)

    def _looked(self, look: Callable[[], None]) -> None:
        self._looks -= 1
        look()

    @property
    def is_quiet(self) -> bool:
        ready = getattr(self.loop, "_ready", None)
        return ready is not None and len(ready) <= self._looks

    def cancel(self, carried: Carried) -> None:
        carried.cancel()

    def lets_go(self, key: StepKey | None) -> bool:
        return True

    def how_ended(self, key: StepKey) -> str:
        return ""

    def roll_back(self, request: Rollback) -> str | None:
        return "nothing is done"


async def check(session: Session, parts: Parts, base_dir: str) -> ReplayCheck:
    """Replay a session of a durable function against today's code."""
    loop, record = asyncio.get_running_loop(), session.record
    looker = _Looker(session, loop)
    looker.performer = Performer(parts, session, base_dir, looker, loop)

    def told(ok: bool, message: str = "") -> ReplayCheck:
        news = tuple(dict.fromkeys(looker.news))
        return ReplayCheck(record.execution_id, record.pipeline_id, ok, message, news)

    try:
        root = looker.run(ROOT, looker.performer.function_work())
        await _quiet(looker, root.task, loop)
        if looker.error is not None:
            return told(False, str(looker.error))
        if not root.task.done():
            return told(True)
        return _compared(session, root.task, told, lambda value: decode(value, parts.store.get_blob))
    except OrchestratorError as exc:
        return told(False, str(exc))
    finally:
        for flow in looker.performer.functions.running.values():
            flow.suspended = True
        for carried in looker.tasks:
            carried.task.cancel()
        await asyncio.gather(*(carried.task for carried in looker.tasks), return_exceptions=True)


async def _quiet(looker: _Looker, task: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Wait until the function has ended, cannot follow, or asks for what is new."""
    until, quiet, seen = loop.time() + _PATIENCE_SECONDS, loop.time(), -1
    while loop.time() < until and looker.error is None and not task.done():
        replaying = any(tree.replaying for tree in looker.performer.functions.trees)
        if looker.activity != seen or replaying:
            seen, quiet = looker.activity, loop.time()
        elif loop.time() - quiet > _QUIET_SECONDS:
            return
        await asyncio.wait([task], timeout=0.02)


def _compared(
    session: Session,
    task: asyncio.Future[Any],
    told: Callable[..., ReplayCheck],
    read: Callable[[Any], Any],
) -> ReplayCheck:
    record = session.record
    if task.cancelled():
        return told(True)
    error = task.exception()
    if record.status is ExecutionStatus.COMPLETED:
        if error is not None:
            return told(False, f"it completed, and the code raises {type(error).__name__} now: {error}")
        recorded: Mapping[str, Any] = read(record.outputs) if record.outputs is not None else {}
        if pack({"result": task.result()}) != pack(recorded):
            return told(False, f"it returned {recorded.get('result')!r:.100}, and returns {task.result()!r:.100} now")
        return told(True)
    if error is not None:
        return told(True, f"ends with {type(error).__name__}: {error}")
    return told(True, "ends with its result")


def _nothing() -> Any:
    yield from ()
