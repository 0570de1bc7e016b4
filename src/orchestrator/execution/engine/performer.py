"""The performer: does what the steps of one execution ask for.

Steps are generators that yield requests (`driver`); this is the other side of them. It records, invokes, keeps and
waits, tells a step what it may know, and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeAlias

from orchestrator.clock import Clock, new_id, utc
from orchestrator.errors import HandlerStillRunningError, StepError, UnknownStepError
from orchestrator.execution.driver import Attempt, Invoke, Keep, Prepared, Record, Request, Rollback, Runner, Wait, Work
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


class Interrupted(BaseException):
    """Unwinds a step whose attempt was ended by an interrupt or a rollback: nothing of it is recorded."""


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

    async def record(self, events: tuple[Event, ...]) -> None:
        """Return when the events are durable and applied."""
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
    recovery: RecoveryManager | None = None
    _sleepers: set[asyncio.Task[Any]] = field(default_factory=set)
    #: Steps whose handler of an older generation still runs in a thread, which cannot be ended.
    _stuck: dict[StepKey, HandlerStillRunningError] = field(default_factory=dict)

    async def perform(self, request: Request) -> Any:
        """Do what a step asks for, and give the answer."""
        match request:
            case Record(events, lazy=False):
                return await self.recorder.record(events)
            case Record(events):
                self.recorder.record_lazily(events)
            case Invoke(attempt):
                return await self._invoke(attempt)
            case Keep(value):
                return await self.keep(value)
            case Wait(until):
                await self._sleep(until - self.parts.clock.time())
            case Rollback():
                return self.recorder.roll_back(request)

    async def keep(self, value: Any) -> Encoded:
        """The recorded form of a value, its large parts in the store."""
        packed = pack(value)
        if len(packed) <= CUT_BYTES:
            return Encoded(packed)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.parts.threads, cut, value, packed, self.parts.put_blob)

    def wake_sleepers(self) -> None:
        """Let go of the steps that wait for their next attempt."""
        for task in self._sleepers:
            task.cancel()

    def note_stuck(self, key: StepKey, error: HandlerStillRunningError) -> None:
        """A handler of this step outlived its cancellation: it is not run again beside itself."""
        self._stuck[key] = error

    async def _invoke(self, attempt: Attempt) -> Any:
        if self.recorder.interrupted:
            raise Interrupted
        if (stuck := self._stuck.pop(attempt.step_key, None)) is not None:
            raise stuck
        try:
            return await self.parts.runner.invoke(attempt)
        except Exception as exc:
            if self.recorder.interrupted:  # it failed because it was asked to end, or might have: it is made again
                raise Interrupted from None
            if isinstance(exc, ENGINE_FAULTS):  # a handler's own, of another store: none of this engine's
                raise StepError(f"{type(exc).__name__}: {exc}") from exc
            raise

    async def _sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.recorder.draining:
            raise Interrupted
        self._sleepers.add(task)
        try:
            await self.parts.clock.sleep(seconds)
        finally:
            self._sleepers.discard(task)

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
