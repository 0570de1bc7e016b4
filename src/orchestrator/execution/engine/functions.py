"""The durable functions of one execution: runs them, and carries out what they ask for.

A function is a task on the loop, or a thread. Its calls are steps like any other: the drive carries them, and the
function is told what the journal says that they came to.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from contextvars import Context, copy_context
from typing import Any, Protocol

from orchestrator.clock import Clock
from orchestrator.errors import HandlerExitError, InputError, NonDeterminismError, RollbackError, WrongPlaceError
from orchestrator.execution.driver import (
    CURRENT_ATTEMPT,
    Attempt,
    Invoke,
    Keep,
    PythonCall,
    Record,
    Request,
    RunFunction,
    Wait,
    drive_sync,
)
from orchestrator.execution.engine.carried import LATER, Carried, Interrupted
from orchestrator.execution.engine.flow_variables import view_of
from orchestrator.execution.engine.places import Place, Places
from orchestrator.execution.flow import Asked, Flow, FlowTree, Here, Suspension, rebuilt, within
from orchestrator.execution.integration import Session
from orchestrator.execution.machine import ROOT, Instruction
from orchestrator.execution.step import execute
from orchestrator.execution.step.task import StepTask
from orchestrator.execution.variables import VariableManager
from orchestrator.execution.variables.cells import keep
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import CUT_BYTES, cut
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.keys import is_inside, place_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.journal.store import Store
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

_OUTCOMES = (ev.StepSucceeded, ev.StepSkipped, ev.StepFailed, ev.StepCancelled)
#: A plain function that is to end has this long to leave what it does by itself.
_THREAD_SECONDS = 10.0


class Driver(Protocol):
    """Who drives the execution, and waits here for what is so many seconds away."""

    patience_seconds: float

    def begin(self, instructions: Sequence[Instruction]) -> None:
        """Carry these out."""
        ...

    def give_up(self, key: StepKey, reason: str) -> None:
        """Cancel a step that nobody waits for any more."""
        ...

    def has_inside(self, key: StepKey) -> bool:
        """Whether anything inside of a step is under way."""
        ...

    def is_under_way(self, key: StepKey) -> bool:
        """Whether a step, or anything inside of it, is under way."""
        ...

    def commit_now(self, events: Sequence[Event]) -> None:
        """Record these events before returning."""
        ...

    def record_lazily(self, events: tuple[Event, ...]) -> None:
        """Record these events with the next ones."""
        ...

    def cannot_follow(self, error: NonDeterminismError) -> None:
        """The code and the journal do not agree: pause the execution, and tell whoever runs it."""
        ...

    def rested(self) -> None:
        """Everything that functions have asked for waits."""
        ...

    def cancel(self, carried: Carried) -> None:
        """Cancel a function."""
        ...

    def count(self, more: int) -> None:
        """So many more steps bring records by themselves: a function does not, its calls do."""
        ...

    def look_soon(self, look: Callable[[], None]) -> None:
        """In the next pass of the loop; it counts as nothing that is left to do."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether the loop has nothing left to do."""
        ...


class Performs(Protocol):
    """Who performs for the steps: see `performer.Performer`."""

    places: Places

    def task(self, key: StepKey, generation: int) -> StepTask:
        """A step to carry on."""
        ...

    def output(self, key: StepKey) -> Any:
        """The output of a step that ended, decoded."""
        ...

    def read(self, value: Encoded) -> Any:
        """A recorded value, decoded."""
        ...

    def attempt_of(self, key: StepKey) -> Attempt:
        """What the code of a durable function belongs to."""
        ...

    def invoke_now(self, attempt: Attempt) -> Any:
        """Make an attempt before returning."""
        ...

    async def spawn(self, function: Any, arguments: Mapping[str, Any], execution_id: str) -> str:
        """Start an execution of its own."""
        ...


class Functions:
    """Runs the durable functions of one execution, on the thread of its loop."""

    def __init__(
        self,
        driver: Driver,
        session: Session,
        performer: Performs,
        store: Store,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._driver, self._session, self._performer, self._loop = driver, session, performer, loop
        self._store, self._clock = store, clock
        self.execution_id = str(session.lease.execution_id)
        self._trees: dict[StepKey, FlowTree] = {}
        #: The functions under way.
        self.running: dict[Carried, Flow] = {}
        #: Steps that end because nobody waits for them, and who waits for that end.
        self._draining: list[tuple[StepKey, asyncio.Future[None]]] = []
        #: Steps that were cancelled, and who goes on when they have ended.
        self._leaving: list[tuple[StepKey, asyncio.Future[None]]] = []
        #: The variables as the functions of each tree see them; and the steps that set some, as they were told of.
        self._views: dict[StepKey, VariableManager] = {}
        self._told: dict[StepKey, None] = {}

    @property
    def trees(self) -> list[FlowTree]:
        """The functions that run, each with those inside of it."""
        return [*self._trees.values()]

    # -- running -------------------------------------------------------------------------------------------------------

    def run(
        self, request: RunFunction, carried: Carried, context: Context, failed: Callable[[Exception], BaseException]
    ) -> Any:
        """Begin a function; whoever carries its step is told what it came to."""
        key, work = request.key, request.work
        function = work.function
        assert function is not None
        flow = self._flow(key, work)
        self.running[carried] = flow
        own = context.copy()
        task = own.run(self._loop.create_task, self._whole(flow, work))
        self._driver.count(-1)
        task.add_done_callback(lambda _: self._over(carried, flow))
        carried.wait_for(task, failed)
        if self._session.machine.is_late(key) and not self._trees[flow.tree.root].cancel_soon(key):
            self._loop.call_soon(self._driver.cancel, carried)
        return LATER

    def _over(self, carried: Carried, flow: Flow) -> None:
        self.running.pop(carried, None)
        self._driver.count(1)
        if not flow.ended:  # it was cancelled before its first line
            flow.ended = flow.cancelled = True
            flow.tree.end(flow)
            self._close(flow)

    def _flow(self, key: StepKey, work: PythonCall) -> Flow:
        machine, record = self._session.machine, self._session.record
        machine.forget_calls(key)
        if not key:
            self._told.clear()
            self._views.clear()
        place = place_of(key)
        owner = ROOT if place is None else place.owner
        tree = next(
            (tree for tree in self._trees.values() if key and owner in tree.flows and machine.is_call(key)), None
        )
        step = record.steps.get(key)
        began = record.created_at if not key else (step.started_at if step is not None else None)
        time = began or (tree.flows[owner].time if tree is not None else self._clock.time())
        if tree is None:
            tree = self._trees[key] = FlowTree(self, key, self._loop)
        is_async = inspect.iscoroutinefunction(work.function)
        label = work.target.partition(":")[2] or work.target
        seed = str(record.origin or record.execution_id)
        flow = tree.flows[key] = Flow(key, label, tree, self._loop, is_async, self, seed, work.folder, time)
        return flow

    async def _whole(self, flow: Flow, work: PythonCall) -> Any:
        """Run a function to its end, and what it has left behind."""
        CURRENT_ATTEMPT.set(self._performer.attempt_of(flow.key or StepKey(flow.function)))
        failed = True
        try:
            value = await (self._async(flow, work) if flow.is_async else self._plain(flow, work))
            failed = False
        except asyncio.CancelledError:
            flow.cancelled = True
            raise
        finally:
            try:
                flow.finish(failed)
            finally:
                await self._end(flow)
        return value

    async def _end(self, flow: Flow) -> None:
        try:
            flow.tree.end(flow)
        except NonDeterminismError as error:
            self._driver.cannot_follow(error)
            await self._loop.create_future()  # whoever drives is about to end this
        try:
            if not flow.suspended and self._driver.has_inside(flow.key):
                drained = self._loop.create_future()
                self._draining.append((flow.key, drained))
                await drained
        finally:
            self._close(flow)  # not sooner: functions inside of a cancelled one tidy up, and are told what comes of it

    def _close(self, flow: Flow) -> None:
        if flow.key == flow.tree.root:
            flow.tree.close()
            self._trees.pop(flow.key, None)

    async def _async(self, flow: Flow, work: PythonCall) -> Any:
        assert work.function is not None
        flow.runs_in = asyncio.current_task()
        try:
            with within(Here(flow)):
                return await work.function(*work.positional, **work.arguments)
        except SystemExit as exc:  # would end the loop
            raise HandlerExitError(type(exc).__name__, str(exc)) from exc

    async def _plain(self, flow: Flow, work: PythonCall) -> Any:
        """A plain function, in a thread of its own: one from a pool might wait for steps that wait for the pool."""
        assert work.function is not None
        done: asyncio.Future[tuple[Any, BaseException | None]] = self._loop.create_future()
        context, function = copy_context(), work.function

        def tell(value: Any, error: BaseException | None) -> None:
            if not done.done():
                done.set_result((value, error))

        def body() -> None:
            flow.runs_in = threading.get_ident()
            value, error = None, None
            try:
                with within(Here(flow)):
                    value = function(*work.positional, **work.arguments)
            except BaseException as exc:  # noqa: BLE001 - raised where the function is awaited
                error = exc
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                self._loop.call_soon_threadsafe(tell, value, error)

        threading.Thread(target=context.run, args=(body,), name="orchestrator-function", daemon=True).start()
        try:
            value, error = await asyncio.shield(done)
        except asyncio.CancelledError:
            await self._let_go(flow)
            await asyncio.wait([done], timeout=_THREAD_SECONDS)
            raise
        if error is not None:
            if isinstance(error, Exception | asyncio.CancelledError):
                raise error
            raise HandlerExitError(type(error).__name__, str(error)) from error
        return value

    async def _let_go(self, flow: Flow) -> None:
        """End what a plain function waits for; where it goes on to tidy up, when that has come to its end."""
        if flow.suspended or not flow.unanswered:
            flow.stop(Suspension() if flow.suspended else asyncio.CancelledError())
            return
        for asked in [*flow.unanswered]:
            answer = asked.answer
            flow.tree.abandon(flow, asked)
            await self.gone(asked.key)
            if answer is not None and not answer.done():
                answer.set_exception(asyncio.CancelledError())

    async def gone(self, key: StepKey) -> None:
        """Wait until nothing of a step is under way; a second cancellation makes haste."""
        if self._driver.is_under_way(key):
            gone = self._loop.create_future()
            self._leaving.append((key, gone))
            with suppress(asyncio.CancelledError):
                await gone

    # -- what the drive asks -------------------------------------------------------------------------------------------

    def note(self, entry: Entry) -> None:
        """An entry was applied."""
        event = entry.event
        if isinstance(event, _OUTCOMES):
            self._performer.places.called.pop(event.key, None)  # with its arguments, and who waited for it
            for tree in self._trees.values():
                tree.ended(event.key)
                tree.look()
        elif isinstance(event, ev.StepWaiting | ev.InterventionRequested):
            for tree in self._trees.values():
                tree.look()

    def resting(self, ends: bool) -> int:
        """How many of the steps under way are functions that do nothing now: with `ends` all that are."""
        if not self.running or self._draining or self._leaving:
            return 0
        rests = bool(self._trees) and all(tree.resting for tree in self._trees.values())
        rests = rests and not any(carried.cancelled for carried in self.running)  # those are about to tidy up
        return len(self.running) if ends or rests else 0

    def suspend(self) -> list[Carried]:
        """End all functions where they stand; gives what carried them."""
        carried = [*self.running]
        for flow in self.running.values():
            flow.suspended = True
            if flow.is_async:  # a task group that ends its tasks already would not cancel them once more
                flow.stop(Suspension())
        for tree in self._trees.values():
            tree.close()
        return carried

    def ended(self) -> None:
        """Something that was under way has ended."""
        for key, gone in [*self._leaving]:
            if not self._driver.is_under_way(key):
                self._leaving.remove((key, gone))
                if not gone.done():
                    gone.set_result(None)
        for key, drained in [*self._draining]:
            if not self._driver.has_inside(key):
                self._draining.remove((key, drained))
                if not drained.done():
                    drained.set_result(None)

    # -- what functions ask for (flow.Outside) -------------------------------------------------------------------------

    def calls(self, flow: StepKey) -> Iterator[tuple[StepKey, StepStatus]]:
        """What is known of the calls of a function."""
        return self._session.machine.calls_of(flow)

    def ended_at(self, key: StepKey) -> tuple[int, float]:
        """The position of a step's outcome, and its time."""
        step = self._session.record.steps[key]
        return self._session.outcomes.get(key, 0), step.ended_at or 0.0

    def begun_at(self, key: StepKey) -> int:
        """The position at which a step began."""
        return self._session.beginnings.get(key, 0)

    def cancelled(self, root: StepKey) -> Iterator[tuple[int, StepKey]]:
        """Which of these functions were to end, and at which position."""
        record, machine = self._session.record, self._session.machine
        if record.cancel is not None:
            yield record.cancelled_at, root
        for key, position in self._session.deadlines.items():
            if machine.is_late(key) and (key == root or root == ROOT or is_inside(key, root)):
                yield position, key

    def status(self, key: StepKey) -> StepStatus | None:
        """Where a step stands."""
        return self._session.machine.status_of(key)

    @property
    def anything_waits(self) -> bool:
        """Whether any step waits for a time, a signal or a person."""
        return bool(self._session.machine.waiting)

    def is_waiting(self, key: StepKey) -> bool:
        """Whether a step, or all that is left inside of it, waits."""
        waiting = self._session.machine.waiting
        if key in waiting:
            return True
        inside = any(is_inside(inner, key) for inner in waiting)
        return inside and not self._driver.has_inside(key)

    def outcome(self, key: StepKey) -> Any:
        """What a step came to. Raises the exception that it failed with."""
        step = self._session.record.steps[key]
        for written in self._written_by(key, step):
            self._told[written] = None
            for view in self._views.values():
                self._show(view, written)
        if step.status is StepStatus.FAILED:
            raise rebuilt(step.error or {}, key)
        return self._performer.output(key)

    def _written_by(self, key: StepKey, step: StepRecord) -> list[StepKey]:
        """The steps that set variables of which nobody was told yet: this one, and those of a function that it ran."""
        written = self._session.written
        keys = [key] if step.block is None else [inner for inner in written if inner == key or is_inside(inner, key)]
        return [inner for inner in keys if inner in written and inner not in self._told]

    def start(self, asked: Asked) -> None:
        """Begin a step, or go on with it."""
        if asked.step.kind in ("approve", "signal") and self._would_forget() and asked.answer is not None:
            what = "a signal" if asked.step.kind == "signal" else "a person"
            told = (
                f"{asked.where}: step {asked.key!r} waits for {what}, and what is kept in memory ends with this process"
            )
            asked.answer.set_exception(InputError(f"{told}; use durability disk or process, or wait=True"))
            return
        self._place(asked)
        self._driver.begin(self._session.machine.outstanding_of(asked.key))

    def _would_forget(self) -> bool:
        return not self._store.survives_process and self._driver.patience_seconds < math.inf

    def _place(self, asked: Asked) -> None:
        """Make a call known to those who carry steps."""
        place = place_of(asked.key)
        owner, name = (ROOT, str(asked.key)) if place is None else (place.owner, place.name)
        _, asked.generation, _ = self._session.machine.call(owner, name, asked.step)
        if asked.step.important:
            self._session.important.add(asked.key)
        self._performer.places.called[asked.key] = Place(asked.step, {}, self._session.plan, asked=asked)

    def perform(self, asked: Asked) -> Any:
        """Do a step before returning, on the loop's thread."""
        self._place(asked)
        task = self._performer.task(asked.key, asked.generation)
        try:
            drive_sync(execute(task), self._perform_now)
        except Interrupted:  # what is no Exception would end other tasks of the function, as if it had failed
            self.suspend()
            raise Suspension from None
        step = self._session.record.steps.get(asked.key)
        if step is None or step.waiting or step.status is StepStatus.RUNNING:
            raise WrongPlaceError(
                f"{asked.where}: step {asked.key!r} waits for a person, which cannot be waited for in place; write "
                f"`await {asked.name}.aio(...)`"
            )
        return self.outcome(asked.key)

    def _perform_now(self, request: Request) -> Any:
        match request:
            case Record(events, lazy):
                return self._driver.record_lazily(events) if lazy else self._driver.commit_now(events)
            case Invoke(attempt):
                return self._performer.invoke_now(attempt)
            case Keep(value):
                packed = pack(value)
                if len(packed) <= CUT_BYTES:
                    return Encoded(packed)
                return cut(value, packed, lambda blob, data: self._store.put_blobs([(blob, data)]))
            case Wait(until, at_most):
                self._clock.block(max(0.0, min(until - self._clock.time(), at_most)))
                return None
            case _:
                raise RollbackError(
                    StepKey(""), "a step that is waited for in place cannot set the execution back", "use `.aio`"
                )

    def abandon(self, asked: Asked) -> None:
        """Nobody waits for a step any more."""
        machine = self._session.machine
        if machine.is_asleep(asked.key) and machine.holds(asked.key):
            return  # nothing inside of it was begun in this life, nor will be
        self._driver.give_up(asked.key, "nobody waits for it any more")

    def cancel(self, key: StepKey) -> None:
        """Cancel a function, as was to be in an earlier life."""
        self._driver.begin([])
        for carried, flow in [*self.running.items()]:
            if flow.key == key:
                self._driver.cancel(carried)

    def cancels_later(self, carried: Carried) -> bool:
        """Whether a function is cancelled when it is where it stood, so that it tidies up what it had begun."""
        flow = self.running.get(carried)
        return flow is not None and not flow.ended and self._trees[flow.tree.root].cancel_soon(flow.key)

    def count(self, more: int) -> None:
        """So many more outcomes are about to be told, each of which may bring records."""
        self._driver.count(more)

    def look_soon(self, look: Callable[[], None]) -> None:
        """In the next pass of the loop; it counts as nothing that is left to do."""
        self._driver.look_soon(look)

    @property
    def is_quiet(self) -> bool:
        """Whether the loop has nothing left to do."""
        return self._driver.is_quiet

    def stuck(self, error: NonDeterminismError) -> None:
        """The functions ask for other steps than the journal holds."""
        self._driver.cannot_follow(error)

    def rested(self) -> None:
        """Everything that was asked for waits."""
        self._driver.rested()

    async def linger(self, seconds: float) -> None:
        """Wait for so many real seconds; the clock of the execution does not jump meanwhile."""
        with getattr(self._clock, "held", nullcontext)():
            await asyncio.sleep(seconds)

    # -- what functions have beside (flow.Services) --------------------------------------------------------------------

    def variables(self, flow: Flow) -> VariableManager:
        """The variables as a function sees them: what it was told of and has set itself, in that order."""
        root = flow.tree.root
        view = self._views.get(root)
        if view is None:
            view = self._views[root] = view_of(self._session, self._performer.read)
            for key in self._told:
                self._show(view, key)
        return view

    def _show(self, view: VariableManager, key: StepKey) -> None:
        for name, value in self._session.written[key]:
            view.bind(name, keep(self._performer.read(value))[0], self._session.record.steps[key].ended_at or 0.0, key)

    async def spawn(self, function: Any, arguments: Mapping[str, Any], execution_id: str) -> str:
        """Start an execution of its own."""
        return await self._performer.spawn(function, arguments, execution_id)
