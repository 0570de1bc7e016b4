"""The performer: does what the steps of one execution ask for.

Steps are generators that yield requests (`driver`); this is the other side of them. It records, invokes, keeps and
waits, tells a step what it may know, and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeAlias

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import HandlerStillRunningError, StepError, UnknownStepError
from orchestrator.execution.driver import Attempt, Invoke, Keep, Prepared, Record, Request, Rollback, Runner, Wait, Work
from orchestrator.execution.engine.carried import LATER, Carried, Interrupted
from orchestrator.execution.engine.rules import Decide, decider, retries_only
from orchestrator.execution.integration import Session
from orchestrator.execution.recovery import ENGINE_FAULTS, RecoveryManager
from orchestrator.execution.step.task import StepTask
from orchestrator.execution.variables import Cell, RecordedCell, StepScope
from orchestrator.failure import DEFAULT_RULES, ErrorInfo
from orchestrator.journal.blobs import CUT_BYTES, cut
from orchestrator.journal.codec import Encoded, pack
from orchestrator.journal.events import Event
from orchestrator.journal.fold import part_key, split_item_key
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

    @property
    def draining(self) -> bool:
        """Whether no further attempt begins."""
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
    _sleepers: set[Carried] = field(default_factory=set)
    #: Steps whose handler of an older generation still runs in a thread, which cannot be ended.
    _stuck: dict[StepKey, HandlerStillRunningError] = field(default_factory=dict)
    #: What the caller of the engine has set in its context variables: every handler starts with that.
    _context: Context = field(default_factory=copy_context)

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

    def wake_sleepers(self) -> None:
        """Let go of the steps that wait for their next attempt."""
        for carried in [*self._sleepers]:
            carried.cancel()

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
        if self.recorder.draining:
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
        found = split_item_key(key)
        step = self.session.plan.steps[found[0] if found else key]
        return self._task(key, generation, step, self._local(step, found), decider(step, self.recovery))

    def _task(
        self,
        key: StepKey,
        generation: int,
        step: PlannedStep,
        local: Mapping[str, Cell],
        decide: Decide,
    ) -> StepTask:
        record = self.session.record
        scope = StepScope(self.session.variables, local)
        prepare = self.parts.kinds[step.kind]
        return StepTask(
            key=key,
            generation=generation,
            step=step,
            known=record.steps.get(key),
            scope=scope,
            prepare=lambda: prepare(step, scope, self.base_dir),
            attempt=self._attempt,
            now=self.parts.clock.time,
            describe=self.describe,
            decide=decide,
            alternative=lambda name: self._alternative(key, generation, name, local),
            random=self.parts.random,
            rollbacks=record.rollbacks.get(key, 0),
            claims_without_progress=record.claims_without_progress,
        )

    def _alternative(self, key: StepKey, generation: int, name: str, local: Mapping[str, Cell]) -> StepTask:
        """Another step of the pipeline, to be run for this one; where it fails, its own `retry` alone counts."""
        step = self.session.plan.steps.get(name)
        if step is None:
            raise UnknownStepError(name, key, list(self.session.plan.steps))
        return self._task(part_key(key, name), generation, step, local, retries_only(step))

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

    def describe(self, exc: Exception, key: StepKey | None) -> ErrorInfo:
        """What is kept of an error."""
        found = split_item_key(key) if key else None
        clock = self.parts.clock
        return ErrorInfo.of(
            exc,
            error_id=new_id(clock),
            timestamp=utc(clock.time()),
            rules=DEFAULT_RULES if self.recovery is None else self.recovery.classifier.rules,
            step_id=key,
            step_name=found[0] if found else key,
            execution_id=self.session.lease.execution_id,
        )
