"""The performer: does what the steps of one execution ask for.

Steps are generators that yield requests (`driver`); this is the other side of them. It records, invokes, keeps and
waits, tells a step what it may know, and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Protocol, TypeAlias

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import (
    HandlerStillRunningError,
    IllegalMoveError,
    InnerStepError,
    StepError,
    UnknownStepError,
)
from orchestrator.execution.driver import Attempt, Invoke, Keep, Prepared, Record, Request, Rollback, Runner, Wait, Work
from orchestrator.execution.engine.carried import LATER, Carried, Interrupted
from orchestrator.execution.engine.places import Place, Places
from orchestrator.execution.engine.rules import Decide, decider, retries_only
from orchestrator.execution.integration import Session
from orchestrator.execution.recovery import ENGINE_FAULTS, RecoveryManager
from orchestrator.execution.state.outputs import output_of
from orchestrator.execution.step.task import StepTask
from orchestrator.execution.variables import StepScope
from orchestrator.failure import DEFAULT_RULES, ErrorInfo
from orchestrator.journal.blobs import CUT_BYTES, cut
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import ErrorData, Event
from orchestrator.journal.keys import part_key, without_numbers
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

    def put_blob(self, blob: BlobHash, data: bytes) -> None:
        """Keep a large part of a value."""
        self.store.put_blobs([(blob, data)])


class Recorder(Protocol):
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

    def record_lazily(self, events: tuple[Event, ...]) -> None:
        """Let the events ride in the next commit."""
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

    def __post_init__(self) -> None:
        session = self.session
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

    # -- what a step may know ----------------------------------------------------------------------------------------

    def task(self, key: StepKey, generation: int) -> StepTask:
        """A step to carry on."""
        place = self.places.find(key)
        step = place.step
        task = self._task(key, generation, place, self.places.scope(key, place), decider(step, self.recovery))
        if step.is_compound or (task.has_items and task.is_whole):
            task.over = self.session.machine.over(key)
            task.inside = lambda: self.places.inside(key)
            if step.kind == "pipeline":
                task.sub_plan = self.places.sub_plan(step)
        return task

    def _task(self, key: StepKey, generation: int, place: Place, scope: StepScope, decide: Decide) -> StepTask:
        record, step = self.session.record, place.step
        prepare = self.parts.kinds.get(step.kind, _no_work)
        base_dir = str(place.plan.base_dir or "") if place.runs else self.base_dir
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
        step = place.flow.get(name)
        if step is None:
            raise UnknownStepError(name, key, list(place.flow))
        return self._task(part_key(key, name), generation, replace(place, step=step), scope, retries_only(step))

    def _failure(self, key: StepKey) -> tuple[StepKey, ErrorData]:
        """The step that was the first to fail where this one did, and what is kept of it."""
        failed = self.session.record.step(key)
        return failed.cause or key, failed.error or {}

    def output(self, key: StepKey) -> Any:
        """The output of a step that ended, decoded; None where it has none."""
        found = output_of(self.session.record, key, self.parts.store.get_blob)
        return None if found is None else found.read()

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


def _no_work(step: PlannedStep, scope: StepScope, base_dir: str) -> Prepared:
    raise IllegalMoveError(f"step {step.id}", f"a {step.kind} step", "run by a runner")


def _name(key: StepKey | None) -> str | None:
    return without_numbers(key) if key else key
