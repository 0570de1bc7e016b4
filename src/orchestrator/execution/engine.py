"""The engine: drives executions to their end on an event loop.

For each execution it follows the machine's instructions: a step whose needs are committed starts at once, with no
barrier between levels of the graph. A live execution and a resumed one take the same path: replay what there is, claim,
follow what is outstanding. The engine decides nothing about the graph, keeps nothing of its own beside the journal, and
knows neither which store it writes to nor where handlers run.

Commits: events queued during one pass of the loop are sealed and committed together at its end. A lone commit is made
on the loop's own thread; where another process holds the store, or the disk is slow, a thread makes it.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from orchestrator.clock import Clock, SystemClock, new_id, utc
from orchestrator.errors import (
    ExecutionFailedError,
    InputError,
    InterruptedExecution,
    NotResumableError,
    UnknownExecutionError,
)
from orchestrator.execution.driver import Attempt, Invoke, Keep, Record, Request, Runner, Wait, Work, drive
from orchestrator.execution.integration import LAZY_SECONDS, Session, Subscriber
from orchestrator.execution.machine import Complete, Execute, Fail, Instruction, Join
from orchestrator.execution.step import StepTask, execute, join
from orchestrator.execution.variables import Cell, RecordedCell, StepScope
from orchestrator.failure import ErrorInfo
from orchestrator.journal import events as ev
from orchestrator.journal.codec import CUT_BYTES, Encoded, cut, decode, encode, pack
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord, split_item_key
from orchestrator.journal.records import entries
from orchestrator.journal.store import HEARTBEAT_SECONDS, Lease, Note, Owner, Query, Store, Summary
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.plan import Plan, PlannedStep, Recorded, make_plan
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: Turns a planned step and the names that it sees into work.
Kind: TypeAlias = Callable[[PlannedStep, StepScope, str], Work]
#: Is called with each note (progress, output line), from any thread.
NoteSubscriber: TypeAlias = Callable[[ExecutionId, Note], None]

#: Steps under way at once in one execution.
MAX_RUNNING = 256
#: After an interrupt, what runs has this long to end.
GRACE_SECONDS = 10.0
#: Then it is cancelled, and what has not ended this much later is left behind.
_LAST_SECONDS = 1.0
#: Notes reach the store, and the heartbeat is looked at, this often.
_TICK_SECONDS = 1.0

#: What a caller may choose as an execution's id.
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,119}", re.ASCII)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended, or stands. `error` is that of `failed_step`, as failure.ErrorInfo.to_dict gives it."""

    execution_id: ExecutionId
    status: ExecutionStatus
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None = None
    failed_step: StepKey | None = None

    def raise_for_status(self) -> ExecutionResult:
        """Self where it completed; raises ExecutionFailedError or InterruptedExecution otherwise."""
        if self.status is ExecutionStatus.COMPLETED:
            return self
        if self.status is ExecutionStatus.PAUSED:
            raise InterruptedExecution(self.execution_id)
        why = (self.error or {}).get("message", self.status)
        what = f"step {self.failed_step!r} failed" if self.failed_step else "the execution failed"
        text = f"{what}: {why}; try again with `orchestrator retry {self.execution_id}`"
        raise ExecutionFailedError(self.execution_id, text, self.failed_step, self.error)


class StateGraphEngine:
    """Runs pipelines' graphs. Belongs to one event loop at a time; `interrupt` may be called from anywhere."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        kinds: Mapping[str, Kind],
        owner: Owner,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        subscribers: Sequence[Subscriber] = (),
        note_subscribers: Sequence[NoteSubscriber] = (),
        on_takeover: Callable[[Owner], None] | None = None,
        on_reopen: Callable[[Plan], None] | None = None,
        max_running: int = MAX_RUNNING,
    ) -> None:
        self.store, self.runner, self.kinds, self.owner = store, runner, kinds, owner
        self.clock = clock or SystemClock()
        self.random = random or Random()
        self.subscribers, self.note_subscribers = subscribers, note_subscribers
        self.on_takeover, self.on_reopen = on_takeover, on_reopen
        self.max_running = max_running
        self._drives: set[_Drive] = set()
        self._interrupted = False
        self._pump: _Pump | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._heartbeat_due = 0.0

    async def execute(
        self, pipeline: Definition | Plan, inputs: Mapping[str, Any], execution_id: str | None = None
    ) -> ExecutionResult:
        """Run a pipeline from its start. `inputs` are bound already (pipelines.inputs.bind_inputs).

        Raises InputError where the execution id is taken; StoreError where the store fails; a step's failure is in the
        result.
        """
        plan = pipeline if isinstance(pipeline, Plan) else make_plan(pipeline)
        base_dir = str(plan.base_dir or "")
        id_ = ExecutionId(new_id(self.clock) if execution_id is None else _checked_id(execution_id))
        if self.store.find(Query(execution_id=id_)):
            raise InputError(f"there is an execution {id_!r} already; `orchestrator resume {id_}` goes on with it")
        session = self._session(Lease(id_, self.owner, 1), plan)
        put = self._put_blob
        created = ev.ExecutionCreated(
            id_,
            plan.pipeline_id,
            encode(plan.canonical, put),
            plan.fingerprint,
            tuple((name, encode(value, put)) for name, value in inputs.items()),
            base_dir,
        )
        return await self._run(session, base_dir, (created, ev.ExecutionClaimed(str(self.owner), 1)))

    async def resume(self, execution_id: str) -> ExecutionResult:
        """Go on with what is unfinished; gives the result again where it completed.

        Raises UnknownExecutionError, OwnedElsewhereError, and NotResumableError where it failed or was cancelled.
        """
        found = require_known(self.store, execution_id)
        if found.status not in UNFINISHED:
            if found.status is ExecutionStatus.COMPLETED:
                return self.result_of(self.read(execution_id))
            raise NotResumableError(
                execution_id, str(found.status), f"run it again with `orchestrator retry {execution_id}`"
            )
        session, base_dir = self._reopen(execution_id)
        return await self._run(session, base_dir, (self._claimed(session),))

    async def retry(self, execution_id: str, step: str | None = None) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept.

        Raises NotResumableError where it did not fail, InputError where the step did not.
        """
        found = require_known(self.store, execution_id)
        if found.status is not ExecutionStatus.FAILED:
            hint = "use `orchestrator resume`" if found.status in UNFINISHED else "there is nothing to retry"
            raise NotResumableError(execution_id, str(found.status), hint)
        session, base_dir = self._reopen(execution_id)
        try:
            keys = _keys_to_retry(session.machine.failed, step)
        except InputError:
            self.store.release(session.lease)
            raise
        return await self._run(session, base_dir, (ev.ExecutionRetried(keys), self._claimed(session)))

    def interrupt(self) -> None:
        """Start nothing new, ask what runs to end, pause every execution in the time of grace. On the loop's thread."""
        if not self._interrupted:
            self._interrupted = True
            self.runner.interrupt()
            for running in list(self._drives):
                running.interrupt()

    def read(self, execution_id: str) -> ExecutionRecord:
        """The fold of an execution's journal. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        id_ = ExecutionId(execution_id)
        return ExecutionRecord.of(id_, entries(self.store.read(id_)))

    def result_of(self, record: ExecutionRecord) -> ExecutionResult:
        """The result that a record shows."""
        outputs = decode(record.outputs, self.store.get_blob) if record.outputs else {}
        return ExecutionResult(record.execution_id, record.status, outputs, record.error, record.failed_step)

    # -- within ----------------------------------------------------------------------------------------------------

    def _claimed(self, session: Session) -> ev.ExecutionClaimed:
        return ev.ExecutionClaimed(str(self.owner), session.lease.epoch)

    def _session(self, lease: Lease, plan: Plan) -> Session:
        return Session.open(self.store, lease, plan, self.clock, self.subscribers)

    def _reopen(self, execution_id: str) -> tuple[Session, str]:
        """Claim an execution, end what a dead owner left behind, and replay its journal."""
        lease = self.store.claim(ExecutionId(execution_id), self.owner)
        if lease.previous is not None and self.on_takeover is not None:
            self.on_takeover(lease.previous)
        journal = entries(self.store.read(lease.execution_id))
        first = next(journal)
        assert isinstance(first.event, ev.ExecutionCreated)
        created = first.event
        base_dir = Path(created.base_dir) if created.base_dir else None
        plan = make_plan(Recorded(decode(created.model, self.store.get_blob), base_dir))
        if self.on_reopen is not None:
            self.on_reopen(plan)
        session = self._session(lease, plan)
        session.replay(first)
        for entry in journal:
            session.replay(entry)
        return session, created.base_dir

    def _put_blob(self, blob: Any, data: bytes) -> None:
        self.store.put_blobs([(blob, data)])

    async def _run(self, session: Session, base_dir: str, events: Sequence[Event]) -> ExecutionResult:
        loop = asyncio.get_running_loop()
        if self._pump is None or self._pump.loop is not loop:
            self._pump = _Pump(self.store, loop, self._stop)
        running = _Drive(self, session, base_dir, loop, self._pump)
        self._drives.add(running)
        if self._ticking is None:
            self._tick(loop)
        try:
            await running.run(events)
        finally:
            self._drives.discard(running)
            if not self._drives and self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None
            if not self.store.flush(blocking=False):
                await loop.run_in_executor(None, self.store.flush)
            if session.record.status is ExecutionStatus.RUNNING:  # it broke off; else the last commit gave it back
                self.store.release(session.lease)
        return self.result_of(session.record)

    def _stop(self, error: BaseException) -> None:
        for running in list(self._drives):
            running.stop(error)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second while anything runs: bring notes to the store, say that this owner lives."""
        assert self._pump is not None
        self._pump.request()
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            self._heartbeat_due = now + HEARTBEAT_SECONDS
            loop.run_in_executor(None, self.store.extend, self.owner).add_done_callback(_log_failure)
        self._ticking = loop.call_later(_TICK_SECONDS, self._tick, loop)


def _log_failure(done: asyncio.Future[None]) -> None:
    """A heartbeat that failed is no reason to stop: the next commit tells whether the lease still stands."""
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.warning("heartbeat_failed: %s", error)


def _checked_id(execution_id: str) -> str:
    if not _ID.fullmatch(execution_id):
        raise InputError(
            f"{execution_id[:80]!r} cannot be the id of an execution; "
            "use up to 120 letters, digits and any of _ - . : and begin with a letter or a digit"
        )
    return execution_id


def require_known(store: Store, execution_id: str) -> Summary:
    """The summary of an execution. Raises UnknownExecutionError, which names the nearest ids."""
    found = store.find(Query(execution_id=execution_id))
    if not found:
        known = [summary.execution_id for summary in store.find(Query(limit=200))]
        raise UnknownExecutionError(execution_id, store.location, difflib.get_close_matches(execution_id, known, 2))
    return found[0]


def _keys_to_retry(failed: Sequence[StepKey], step: str | None) -> tuple[StepKey, ...]:
    if step is None:
        return tuple(failed)
    keys = tuple(key for key in failed if key == step or key.startswith(f"{step}["))
    if not keys:
        raise InputError(f"step {step!r} did not fail; these did: {', '.join(failed) or 'none'}")
    return keys


#: While other steps run, a flush waits until this many passes of the loop brought no record (a step takes about as many
#: from its start to its record), and for so many passes at most.
_QUIET_PASSES = 6
_MOST_PASSES = 48


@dataclass(slots=True)
class _Pump:
    """Commits for one event loop: what any execution has queued goes to the store in one transaction.

    A lone step's record is committed in the next pass of the loop. While others run as well, the flush waits as long as
    the passes bring more records: steps that end in neighbouring passes then share a transaction, at the price of some
    microseconds.
    """

    store: Store
    loop: asyncio.AbstractEventLoop
    #: Told where nothing can be committed any more.
    on_failure: Callable[[BaseException], None]
    #: Steps under way, over all executions.
    running: int = 0
    _dirty: dict[_Drive, None] = field(default_factory=dict)
    _arrivals: int = 0
    _seen: int = 0
    _passes: int = 0
    _quiet: int = 0
    _scheduled: bool = False
    _in_thread: bool = False

    def request(self, drive: _Drive | None = None) -> None:
        """Flush soon; `drive` has events to seal."""
        self._arrivals += 1
        if drive is not None:
            self._dirty[drive] = None
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._look)

    def _look(self) -> None:
        self._passes += 1
        if self._arrivals != self._seen:
            self._seen, self._quiet = self._arrivals, 0
        else:
            self._quiet += 1
        if self.running > 1 and self._quiet < _QUIET_PASSES and self._passes < _MOST_PASSES:
            self.loop.call_soon(self._look)
        elif not self._in_thread:  # else `_back` flushes
            self._flush()

    def _flush(self) -> None:
        self._scheduled, self._passes, self._quiet = False, 0, 0
        dirty, self._dirty = self._dirty, {}
        try:
            for drive in dirty:
                drive.seal()
            if not self.store.slow and self.store.flush(blocking=False):
                return
        except BaseException as exc:  # noqa: BLE001 - raised by every `run`; the loop would only log it
            self.on_failure(exc)
            return
        self._in_thread = True
        self.loop.run_in_executor(None, self.store.flush).add_done_callback(self._back)

    def _back(self, done: asyncio.Future[bool]) -> None:
        self._in_thread = False
        if not done.cancelled() and (error := done.exception()) is not None:
            self.on_failure(error)
        elif self._scheduled:
            self._flush()


class _Interrupted(BaseException):
    """Unwinds a step whose attempt was ended by an interrupt: nothing of it is recorded."""


@dataclass(eq=False)
class _Drive:
    """One execution under way."""

    engine: StateGraphEngine
    session: Session
    base_dir: str
    loop: asyncio.AbstractEventLoop
    pump: _Pump
    _ready: deque[Execute | Join] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _sleepers: set[asyncio.Task[Any]] = field(default_factory=set)
    _failed: StepKey | None = None
    _draining: bool = False
    _interrupted: bool = False
    _ending: bool = False
    _lazy_scheduled: bool = False
    _over: asyncio.Future[None] = field(init=False)

    async def run(self, events: Sequence[Event]) -> None:
        """Record these events and follow the machine until the execution has ended, is paused, or cannot go on."""
        self._over = self.loop.create_future()
        self._add(events)
        if self.engine._interrupted:
            self.interrupt()
        try:
            await self._over
        finally:  # also where the caller was cancelled, or the store refused us: nothing of ours runs on
            self._draining = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

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
            self.session.seal(self._committed)

    def _committed(self, _commit: Any) -> None:
        """On whichever thread made the commit."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            self._settle()
        else:
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
                    if not self._tasks:  # at a claim: what was asked for again still runs
                        self._dispatch()
                    self._failed, self._draining = key, True
                    self._wake_sleepers()
                case Complete():
                    self._start(self._complete())
        self._dispatch()

    def _dispatch(self) -> None:
        while self._ready and not self._draining and len(self._tasks) < self.engine.max_running:
            instruction = self._ready.popleft()
            self._start(self._carry(instruction))
        if self._draining and not self._tasks and not self._ending:
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
                await self._sleep(until - self.engine.clock.time())

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
            return await self.engine.runner.invoke(attempt)
        except Exception:
            if self._interrupted:  # it failed because it was asked to end, or might have: it is made again
                raise _Interrupted from None
            raise

    async def _keep(self, value: Any) -> Encoded:
        packed = pack(value)
        if len(packed) <= CUT_BYTES:
            return Encoded(packed)
        return await self.loop.run_in_executor(None, cut, value, packed, self.engine._put_blob)

    async def _sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._draining:
            raise _Interrupted
        self._sleepers.add(task)
        try:
            await self.engine.clock.sleep(seconds)
        finally:
            self._sleepers.discard(task)

    # -- what a step may know ----------------------------------------------------------------------------------------

    def _task(self, key: StepKey, generation: int) -> StepTask:
        session, found = self.session, split_item_key(key)
        step = session.plan.steps[found[0] if found else key]
        scope = StepScope(session.variables, self._local(step, found))
        prepare = self.engine.kinds[step.kind]
        return StepTask(
            key=key,
            generation=generation,
            step=step,
            known=session.record.steps.get(key),
            scope=scope,
            prepare=lambda planned, _scope: prepare(planned, scope, self.base_dir),
            attempt=self._attempt,
            now=self.engine.clock.time,
            describe=self._describe,
            random=self.engine.random,
            claims_without_progress=session.record.claims_without_progress,
        )

    def _local(self, step: PlannedStep, found: tuple[StepKey, int] | None) -> Mapping[str, Cell]:
        if found is None or step.loop is None:
            return {}
        items = self.session.record.step(found[0]).items or ()
        return {step.loop.variable: RecordedCell(items[found[1]], self.engine.store.get_blob)}

    def _attempt(self, key: StepKey, generation: int, number: int, work: Work, timeout: float | None) -> Attempt:
        session = self.session
        id_ = session.lease.execution_id
        return Attempt(id_, session.plan.pipeline_id, key, generation, number, work, timeout, self.base_dir, self._emit)

    def _emit(self, note: Note) -> None:
        id_ = self.session.lease.execution_id
        self.engine.store.note(id_, (note,))
        for subscriber in self.engine.note_subscribers:
            subscriber(id_, note)

    def _describe(self, exc: Exception, key: StepKey | None) -> ErrorInfo:
        found = split_item_key(key) if key else None
        clock = self.engine.clock
        return ErrorInfo.of(
            exc,
            error_id=new_id(clock),
            timestamp=utc(clock.time()),
            step_id=key,
            step_name=found[0] if found else key,
            execution_id=self.session.lease.execution_id,
        )
