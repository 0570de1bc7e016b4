"""The performer: does what the steps of one execution ask for.

Steps are generators that yield requests (`driver`); this is the other side of them. It records, invokes, keeps and
waits, tells a step what it may know, and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Protocol, TypeAlias

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import (
    HandlerNotFoundError,
    HandlerStillRunningError,
    IllegalMoveError,
    InnerStepError,
    StepError,
    UnknownStepError,
    WrongPlaceError,
)
from orchestrator.execution.driver import (
    Attempt,
    Invoke,
    Keep,
    Prepared,
    PythonCall,
    Record,
    Request,
    Rollback,
    RunFunction,
    Runner,
    Wait,
    Work,
)
from orchestrator.execution.engine.carried import LATER, Carried, Interrupted
from orchestrator.execution.engine.functions import Driver, Functions
from orchestrator.execution.engine.places import Place, Places
from orchestrator.execution.engine.rules import Decide, decider, retries_only
from orchestrator.execution.flow import Asked, leave, raised_data, step_of
from orchestrator.execution.integration import Session
from orchestrator.execution.recovery import ENGINE_FAULTS, RecoveryManager
from orchestrator.execution.state.outputs import output_of
from orchestrator.execution.step.task import StepTask
from orchestrator.execution.variables import StepScope
from orchestrator.failure import DEFAULT_RULES, ErrorInfo
from orchestrator.journal.blobs import CUT_BYTES, cut
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import ErrorData, Event
from orchestrator.journal.keys import part_key, place_of, without_numbers
from orchestrator.journal.store import Note, Store
from orchestrator.pipelines.plan import PlannedStep
from orchestrator.types import BlobHash, ExecutionId, StepKey

#: Turns a planned step and the names that it sees into work.
Kind: TypeAlias = Callable[[PlannedStep, StepScope, str], Prepared]


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
    #: Finds the durable function that a handler (`module:function`, seen from a folder) is; None where it is none.
    function_of: Callable[[str, str], DurableFunction | None] = lambda target, base_dir: None
    #: Starts an execution of a durable function: the function, its arguments by name, an id.
    spawn: Callable[[Any, Mapping[str, Any], str], Awaitable[str]] | None = None

    def put_blob(self, blob: BlobHash, data: bytes) -> None:
        """Keep a large part of a value."""
        self.store.put_blobs([(blob, data)])


class DurableFunction(Protocol):
    """A function whose calls are steps."""

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        ...

    def call(self, target: str, given: Mapping[str, Any]) -> PythonCall:
        """The call with these arguments, by name. Raises InputError where they do not fit."""
        ...


class Recorder(Driver, Protocol):
    """Who records for the steps, and says when they are to go."""

    @property
    def interrupted(self) -> bool:
        """Whether what fails now may fail because it was asked to end."""
        ...

    def lets_go(self, key: StepKey | None) -> bool:
        """Whether no further attempt of a step begins."""
        ...

    def how_ended(self, key: StepKey) -> str:
        """How what ran of a step came to its end when it was cancelled."""
        ...

    def record(self, events: tuple[Event, ...], carried: Carried) -> None:
        """Let the step go on when the events are durable and applied."""
        ...

    def roll_back(self, request: Rollback) -> str | None:
        """Set the execution back; gives the reason where that cannot be."""
        ...


@dataclass(eq=False)
class Performer:
    """Performs for the steps of one execution."""

    parts: Parts
    session: Session
    base_dir: str
    recorder: Recorder
    loop: asyncio.AbstractEventLoop
    recovery: RecoveryManager | None = None
    places: Places = field(init=False)
    #: What every step is given: bound once, since a step has hundreds of others beside it.
    _same_for_all: dict[str, Any] = field(init=False)
    _sleepers: set[Carried] = field(default_factory=set)
    #: Steps whose handler of an older generation still runs in a thread, which cannot be ended.
    _stuck: dict[StepKey, HandlerStillRunningError] = field(default_factory=dict)
    #: What the caller of the engine has set in its context variables: every handler starts with that.
    _context: Context = field(default_factory=copy_context)
    #: The durable functions of this execution.
    functions: Functions = field(init=False)

    def __post_init__(self) -> None:
        session = self.session
        self._context.run(leave)  # handlers belong to no durable function, also where whoever runs them does
        self.functions = Functions(self.recorder, session, self, self.parts.store, self.parts.clock, self.loop)
        self.places = Places(session.plan, session.record, session.variables, self.parts.store.get_blob, self._standing)
        self._same_for_all = {
            "now": self.parts.clock.time,
            "random": self.parts.random,
            "describe": self.describe,
            "failure": self._failure,
            "output_of": self.output,
            "read": self._read,
            "how_ended": self.recorder.how_ended,
        }

    def _standing(self, owner: StepKey) -> Mapping[str, Any]:
        """How a pipeline stands when its `finally` steps run."""
        status, failed = self.session.machine.standing(owner)
        found: dict[str, Any] = {"status": status, "step": None, "message": None, "category": None}
        if failed is not None:
            step, error = self._failure(failed)
            found |= {"step": step, "message": error.get("message"), "category": error.get("category")}
        elif status == "cancelled" and (asked := self.session.record.cancel) is not None:
            found["message"] = asked.reason or None
        return found

    def perform(self, request: Request, carried: Carried) -> Any:
        """Do what a step asks for: gives the answer, or LATER where the step is told when it has come."""
        if isinstance(request, Record):
            if request.lazy:
                return self.recorder.record_lazily(request.events)
            self.recorder.record(request.events, carried)
            return LATER
        if isinstance(request, Invoke):
            return self._invoke(request.attempt, carried)
        if isinstance(request, Keep):
            return self._keep(request.value, carried)
        if isinstance(request, RunFunction):
            return self.functions.run(request, carried, self._context, self._what_failed)
        if isinstance(request, Wait):
            return self._sleep(min(request.until - self.parts.clock.time(), request.at_most_seconds), carried)
        return self.recorder.roll_back(request)

    def wake_sleepers(self, concerned: Callable[[StepKey], bool] = lambda _: True) -> list[Carried]:
        """Let go of the steps that wait for their next attempt; gives them."""
        woken = [c for c in self._sleepers if c.instruction is None or concerned(c.instruction.key)]
        for carried in woken:
            carried.cancel()
        return woken

    def note_stuck(self, key: StepKey, error: HandlerStillRunningError) -> None:
        """A handler of this step outlived its cancellation: it is not run again beside itself."""
        self._stuck[key] = error

    def _keep(self, value: Any, carried: Carried) -> Any:
        """The recorded form of a value, its large parts in the store."""
        packed = pack(value)
        if len(packed) <= CUT_BYTES:
            return Encoded(packed)
        carried.wait_for(self.loop.run_in_executor(self.parts.threads, cut, value, packed, self.parts.put_blob))
        return LATER

    def _invoke(self, attempt: Attempt, carried: Carried) -> Any:
        if self.recorder.interrupted:
            raise Interrupted
        if self._stuck and (stuck := self._stuck.pop(attempt.step_key, None)) is not None:
            raise stuck
        running = self._context.run(self.parts.runner.invoke, attempt)
        carried.wait_for(asyncio.ensure_future(running, loop=self.loop), self._what_failed)
        return LATER

    def _what_failed(self, error: Exception) -> BaseException:
        """What an attempt failed with."""
        if self.recorder.interrupted:  # it failed because it was asked to end, or might have: it is made again
            return Interrupted()
        if not isinstance(error, ENGINE_FAULTS):
            return error
        failure = StepError(f"{type(error).__name__}: {error}")  # a handler's own, of another store: none of ours
        failure.__cause__ = error
        return failure

    def _sleep(self, seconds: float, carried: Carried) -> Any:
        if self.recorder.lets_go(carried.instruction.key if carried.instruction is not None else None):
            raise Interrupted
        if seconds <= 0:
            return None
        self._sleepers.add(carried)
        asleep = self.loop.create_task(self.parts.clock.sleep(seconds))
        asleep.add_done_callback(lambda _: self._sleepers.discard(carried))
        carried.wait_for(asleep)
        return LATER

    def invoke_now(self, attempt: Attempt) -> Any:
        """Make an attempt before returning; the lease is kept alive meanwhile."""
        if self.recorder.interrupted:
            raise Interrupted
        owner = self.session.lease.owner
        return self._context.copy().run(self.parts.runner.perform, attempt, lambda: self.parts.store.extend(owner))

    async def spawn(self, function: Any, arguments: Mapping[str, Any], execution_id: str) -> str:
        """Start an execution of a durable function. Raises WrongPlaceError where this engine cannot."""
        if self.parts.spawn is None:
            raise WrongPlaceError("this engine cannot start executions of durable functions; run it by an Orchestrator")
        return await self.parts.spawn(function, arguments, execution_id)

    # -- what a step may know ----------------------------------------------------------------------------------------

    def task(self, key: StepKey, generation: int) -> StepTask:
        """A step to carry on."""
        place = self.places.find(key)
        step = place.step
        scope = StepScope(self.session.variables, {}) if place.asked is not None else self.places.scope(key, place)
        task = self._task(key, generation, place, scope, decider(step, self.recovery))
        if place.asked is not None:
            self._of_call(task, place.asked)
        elif step.kind == "call":
            self._of_function(task, place)
        if step.is_compound or task.is_function or (task.has_items and task.is_whole):
            task.over = self.session.machine.over(key)
            task.inside = lambda: self.places.inside(key)
            if step.kind == "pipeline" and task.sub_plan is None:
                task.sub_plan = self.places.sub_plan(step)
        return task

    def _of_call(self, task: StepTask, asked: Asked) -> None:
        """A call of a durable function brings its own work, and what it raises must be raised again."""
        item = self.session.record.steps.get(asked.key) if not task.is_whole else None

        def prepare() -> Prepared:
            if item is None:
                return asked.make(None)
            place = place_of(task.key)
            assert place is not None
            return asked.make(self._read((item.items or ())[int(place.name)]))

        task.prepare, task.raised, task.verify = prepare, _raised, asked.verify
        task.is_function = asked.is_function and not (task.has_items and task.is_whole)
        if asked.plan is not None:
            task.sub_plan, task.brings = asked.plan, (asked.step.definition["pipeline"], asked.model, asked.graph)

    def _of_function(self, task: StepTask, place: Place) -> None:
        """A handler may be a durable function."""
        target = place.step.target or ""
        found = self.parts.function_of(target, self._folder(place))
        if found is None or (task.has_items and task.is_whole):
            return
        prepare = task.prepare

        def prepared() -> Prepared:
            made = prepare()
            assert isinstance(made, PythonCall)
            return found.call(target, made.arguments)

        task.prepare, task.raised, task.is_function = prepared, _raised, True

    def _folder(self, place: Place) -> str:
        return str(place.plan.base_dir or "") if place.runs else self.base_dir

    def function_work(self) -> PythonCall:
        """The durable function that the execution is. Raises InputError and HandlerNotFoundError."""
        target = self.session.plan.function or ""
        found = self.parts.function_of(target, self.base_dir)
        if found is None:
            raise HandlerNotFoundError(f"{target} is no durable function any more; decorate it with @pipeline", target)
        record = self.session.record
        forked = {name: value for name, (value, source) in record.variables.items() if source == "fork"}
        given = {name: self._read(forked.get(name, value)) for name, value in record.inputs.items()}
        return found.call(target, given)

    def _task(self, key: StepKey, generation: int, place: Place, scope: StepScope, decide: Decide) -> StepTask:
        record, step = self.session.record, place.step
        prepare = self.parts.kinds.get(step.kind, _no_work)
        base_dir = self._folder(place)
        return StepTask(
            key=key,
            generation=generation,
            step=step,
            known=record.steps.get(key),
            scope=scope,
            prepare=partial(prepare, step, scope, base_dir),
            attempt=partial(self._attempt, base_dir),
            decide=decide,
            alternative=partial(self._alternative, key, generation, place, scope),
            rollbacks=record.rollbacks.get(key, 0),
            claims_without_progress=record.claims_without_progress,
            **self._same_for_all,
            prefix=place.prefix,
            cancel_reason=record.cancel.reason if record.cancel is not None else "",
        )

    def _alternative(self, key: StepKey, generation: int, place: Place, scope: StepScope, name: str) -> StepTask:
        """Another step of the flow, to be run for this one; where it fails, its own `retry` alone counts."""
        if place.asked is not None:
            return self._other_call(key, generation, place, scope, name)
        step = place.flow.get(name)
        if step is None:
            raise UnknownStepError(name, key, list(place.flow))
        return self._task(part_key(key, name), generation, replace(place, step=step), scope, retries_only(step))

    def _other_call(self, key: StepKey, generation: int, place: Place, scope: StepScope, name: str) -> StepTask:
        """Another step that takes the arguments of a call of a durable function."""
        asked = place.asked
        assert asked is not None
        if name not in asked.alternatives:
            raise UnknownStepError(name, key, list(asked.alternatives))
        step, make = asked.alternatives[name]
        task = self._task(
            part_key(key, name), generation, replace(place, step=step, asked=None), scope, retries_only(step)
        )
        task.prepare, task.raised = lambda: make(None), _raised
        return task

    def _failure(self, key: StepKey) -> tuple[StepKey, ErrorData]:
        """The step that was the first to fail where this one did, and what is kept of it."""
        failed = self.session.record.step(key)
        return failed.cause or key, failed.error or {}

    def output(self, key: StepKey) -> Any:
        """The output of a step that ended, decoded; None where it has none."""
        found = output_of(self.session.record, key, self.parts.store.get_blob)
        return None if found is None else found.read()

    def attempt_of(self, key: StepKey) -> Attempt:
        """What the code of a durable function belongs to, for what it reports."""
        known = self.session.record.steps.get(key)
        generation, number = (known.generation, known.attempt) if known is not None else (1, 1)
        return self._attempt(self.base_dir, key, generation, max(1, number), PythonCall(key, {}), None)

    def read(self, value: Encoded) -> Any:
        """A recorded value, decoded."""
        return self._read(value)

    def _read(self, value: Encoded) -> Any:
        return decode(value, self.parts.store.get_blob)

    def _attempt(
        self, base_dir: str, key: StepKey, generation: int, number: int, work: Work, timeout: float | None
    ) -> Attempt:
        session = self.session
        id_ = session.lease.execution_id
        return Attempt(id_, session.plan.pipeline_id, key, generation, number, work, timeout, base_dir, self._emit)

    def _emit(self, note: Note) -> None:
        self.parts.emit(self.session.lease.execution_id, note)

    def describe(self, exc: Exception, key: StepKey | None) -> ErrorInfo:
        """What is kept of an error."""
        clock = self.parts.clock
        info = ErrorInfo.of(
            exc,
            error_id=new_id(clock),
            timestamp=utc(clock.time()),
            rules=DEFAULT_RULES if self.recovery is None else self.recovery.classifier.rules,
            step_id=key,
            step_name=_name(key),
            execution_id=self.session.lease.execution_id,
        )
        if isinstance(exc, InnerStepError) and "traceback" in exc.error:
            return replace(info, traceback=str(exc.error["traceback"]))
        return info


def _raised(exc: BaseException) -> tuple[Mapping[str, Any], StepKey | None]:
    return {"raised": raised_data(exc)}, step_of(exc)


def _no_work(step: PlannedStep, scope: StepScope, base_dir: str) -> Prepared:
    raise IllegalMoveError(f"step {step.id}", f"a {step.kind} step", "run by a runner")


def _name(key: StepKey | None) -> str | None:
    return without_numbers(key) if key else key
