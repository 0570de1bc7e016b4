"""One execution under way: follows the machine's instructions until it has ended, is paused, or cannot go on.

The drive performs what step generators ask for (record, invoke, keep, wait) and starts a step the moment the machine
says so. It decides nothing about the graph and keeps nothing beside the session. What it shares with the other
executions of the engine stands in `Parts`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import OrchestratorError, StepError
from orchestrator.execution.driver import Attempt, Invoke, Keep, Prepared, Record, Request, Runner, Wait, Work, drive
from orchestrator.execution.integration import LAZY_SECONDS, Session
from orchestrator.execution.machine import Complete, Execute, Fail, Instruction, Join
from orchestrator.execution.pump import Pump
from orchestrator.execution.recovery import ENGINE_FAULTS
from orchestrator.execution.step import StepTask, execute, join
from orchestrator.execution.variables import Cell, RecordedCell, StepScope
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import CUT_BYTES, cut
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Event
from orchestrator.journal.fold import split_item_key
from orchestrator.journal.store import Commit, Note, Store
from orchestrator.pipelines.plan import PlannedStep
from orchestrator.types import BlobHash, ExecutionId, StepKey

#: Turns a planned step and the names that it sees into work.
Kind: TypeAlias = Callable[[PlannedStep, StepScope, str], Prepared]

#: After an interrupt, what runs has this long to end.
GRACE_SECONDS = 10.0
#: Then it is cancelled, and what has not ended this much later is left behind.
_LAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the executions of one engine share. `emit` takes the notes of one execution, from any thread."""

    store: Store
    runner: Runner
    kinds: Mapping[str, Kind]
    clock: Clock
    random: Random
    threads: Executor
    max_running: int
    emit: Callable[[ExecutionId, Note], None]

    def put_blob(self, blob: BlobHash, data: bytes) -> None:
        """Keep a large part of a value."""
        self.store.put_blobs([(blob, data)])


class _Interrupted(BaseException):
    """Unwinds a step whose attempt was ended by an interrupt: nothing of it is recorded."""


@dataclass(eq=False)
class Drive:
    """One execution under way."""

    parts: Parts
    session: Session
    base_dir: str
    loop: asyncio.AbstractEventLoop
    pump: Pump
    _ready: deque[Execute | Join] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _sleepers: set[asyncio.Task[Any]] = field(default_factory=set)
    _failed: StepKey | None = None
    _draining: bool = False
    _interrupted: bool = False
    _ending: bool = False
    _lazy_scheduled: bool = False
    _over: asyncio.Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self._over = self.loop.create_future()

    async def run(self, events: Sequence[Event]) -> None:
        """Record these events and follow the machine until the execution has ended, is paused, or cannot go on."""
        self._add(events)
        cancelled = False
        try:
            await self._over
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:  # also where the store refused us: nothing of ours runs on
            await self._let_go()
            if cancelled:  # by whoever called us; no reason to count this as a crash
                self._pause("cancelled by its caller")

    async def _let_go(self) -> None:
        """End what runs, but for a thread that cannot be ended."""
        self._draining = self._ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pause(self, reason: str) -> None:
        """Record on the way out that nobody works on it; whoever flushes next makes it so."""
        if not self.session.ended:
            self.session.add((ev.ExecutionPaused(reason),))
            self.seal()

    # -- recording -------------------------------------------------------------------------------------------------

    def _add(self, events: Sequence[Event], on_done: Callable[[BaseException | None], None] | None = None) -> None:
        self.session.add(events, on_done)
        self.pump.request(self)

    def _flush_lazy(self) -> None:
        self._lazy_scheduled = False
        if self.session.pending:
            self.pump.request(self)

    def seal(self) -> None:
        """Hand what was queued to the store."""
        if self.session.pending:
            try:
                self.session.seal(self._committed)
            except Exception as exc:  # noqa: BLE001 - raised by `run`: an event that cannot be written
                self.stop(exc)

    def _committed(self, _commit: Commit) -> None:
        """On whichever thread made the commit."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            self._settle()
        else:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        try:
            self._follow(self.session.settle())
        except Exception as exc:  # noqa: BLE001 - raised by `run`: the store refused, or the machine found a bug
            self.stop(exc)

    def stop(self, error: BaseException | None = None) -> None:
        """The execution has ended, or cannot go on here because of `error`."""
        if not self._over.done():
            if error is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(error)

    # -- following -------------------------------------------------------------------------------------------------

    def _follow(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Execute() | Join():
                    self._ready.append(instruction)
                case Fail(key):
                    self._failed = key
                    if self._tasks:  # else at a claim: what was asked for again runs to its own end first
                        self._draining = True
                        self._wake_sleepers()
                case Complete():
                    if not self._ending:
                        self._ending = True
                        self._start(self._complete())
        self._dispatch()

    def _dispatch(self) -> None:
        while self._ready and not self._draining and len(self._tasks) < self.parts.max_running:
            instruction = self._ready.popleft()
            self._start(self._carry(instruction))
        over = self._draining or (self._failed is not None and not self._ready)
        if over and not self._tasks and not self._ending:
            self._ending = True
            self._start(self._end())

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        self.pump.running += 1
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.pump.running -= 1
        error = None if task.cancelled() else task.exception()
        if task.cancelled() and not self._draining:
            error = OrchestratorError(
                "a task of the engine was cancelled by somebody else; `orchestrator resume` goes on"
            )
        if error is not None and not isinstance(error, _Interrupted):
            self.stop(error)
        elif not self._over.done():
            self._dispatch()

    async def _carry(self, instruction: Execute | Join) -> None:
        task = self._task(instruction.key, instruction.generation)
        await drive(join(task) if isinstance(instruction, Join) else execute(task), self._perform)

    async def _complete(self) -> None:
        try:
            scope = StepScope(self.session.variables, {})
            outputs = {name: value.resolve(scope) for name, value in self.session.plan.outputs.items()}
            event: Event = ev.ExecutionCompleted(await self._keep(outputs))
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # noqa: BLE001 - recorded: the outputs cannot be made
            event = ev.ExecutionFailed(None, self._describe(exc, None).to_dict())
        await self._record((event,))
        self.stop()

    async def _end(self) -> None:
        """What ran has ended: say how the execution stands."""
        if self._failed is not None:
            error = self.session.record.step(self._failed).error or {}
            await self._record((ev.ExecutionFailed(self._failed, error),))
        else:
            await self._record((ev.ExecutionPaused("interrupted"),))
        self.stop()

    def interrupt(self) -> None:
        """Start nothing new and let go of what waits; what runs has the time of grace."""
        if self._interrupted:
            return
        self._interrupted = self._draining = True
        self._wake_sleepers()
        self.loop.call_later(GRACE_SECONDS, self._cut_off)
        self._dispatch()

    def _cut_off(self, again: bool = True) -> None:
        """The grace is over. A second cancellation gives up what cannot be ended, such as a thread."""
        if not self._ending:
            for task in self._tasks:
                task.cancel()
            if again:
                self.loop.call_later(_LAST_SECONDS, self._cut_off, False)

    def _wake_sleepers(self) -> None:
        for task in self._sleepers:
            task.cancel()

    # -- performing what steps ask for -------------------------------------------------------------------------------

    async def _perform(self, request: Request) -> Any:
        match request:
            case Record(events, lazy=False):
                return await self._record(events)
            case Record(events):
                self.session.add(events)
                if not self._lazy_scheduled:
                    self._lazy_scheduled = True
                    self.loop.call_later(LAZY_SECONDS, self._flush_lazy)
            case Invoke(attempt):
                return await self._invoke(attempt)
            case Keep(value):
                return await self._keep(value)
            case Wait(until):
                await self._sleep(until - self.parts.clock.time())

    async def _record(self, events: tuple[Event, ...]) -> None:
        done = self.loop.create_future()

        def on_done(error: BaseException | None) -> None:
            if not done.done():  # whoever asked may have been cancelled; the record stands
                done.set_result(None) if error is None else done.set_exception(error)

        self._add(events, on_done)
        await done

    async def _invoke(self, attempt: Attempt) -> Any:
        if self._interrupted:
            raise _Interrupted
        try:
            return await self.parts.runner.invoke(attempt)
        except Exception as exc:
            if self._interrupted:  # it failed because it was asked to end, or might have: it is made again
                raise _Interrupted from None
            if isinstance(exc, ENGINE_FAULTS):  # a handler's own, of another store: none of this engine's
                raise StepError(f"{type(exc).__name__}: {exc}") from exc
            raise

    async def _keep(self, value: Any) -> Encoded:
        packed = pack(value)
        if len(packed) <= CUT_BYTES:
            return Encoded(packed)
        return await self.loop.run_in_executor(self.parts.threads, cut, value, packed, self.parts.put_blob)

    async def _sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._draining:
            raise _Interrupted
        self._sleepers.add(task)
        try:
            await self.parts.clock.sleep(seconds)
        finally:
            self._sleepers.discard(task)

    # -- what a step may know ----------------------------------------------------------------------------------------

    def _task(self, key: StepKey, generation: int) -> StepTask:
        session, found = self.session, split_item_key(key)
        step = session.plan.steps[found[0] if found else key]
        scope = StepScope(session.variables, self._local(step, found))
        prepare = self.parts.kinds[step.kind]
        return StepTask(
            key=key,
            generation=generation,
            step=step,
            known=session.record.steps.get(key),
            scope=scope,
            prepare=lambda: prepare(step, scope, self.base_dir),
            attempt=self._attempt,
            now=self.parts.clock.time,
            describe=self._describe,
            random=self.parts.random,
            claims_without_progress=session.record.claims_without_progress,
        )

    def _local(self, step: PlannedStep, found: tuple[StepKey, int] | None) -> Mapping[str, Cell]:
        if found is None or step.loop is None:
            return {}
        items = self.session.record.step(found[0]).items or ()
        return {step.loop.variable: RecordedCell(items[found[1]], self.parts.store.get_blob)}

    def _attempt(self, key: StepKey, generation: int, number: int, work: Work, timeout: float | None) -> Attempt:
        session = self.session
        id_ = session.lease.execution_id
        return Attempt(id_, session.plan.pipeline_id, key, generation, number, work, timeout, self.base_dir, self._emit)

    def _emit(self, note: Note) -> None:
        self.parts.emit(self.session.lease.execution_id, note)

    def _describe(self, exc: Exception, key: StepKey | None) -> ErrorInfo:
        found = split_item_key(key) if key else None
        clock = self.parts.clock
        return ErrorInfo.of(
            exc,
            error_id=new_id(clock),
            timestamp=utc(clock.time()),
            step_id=key,
            step_name=found[0] if found else key,
            execution_id=self.session.lease.execution_id,
        )
