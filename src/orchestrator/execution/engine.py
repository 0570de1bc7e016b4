"""The engine: runs executions, resumes them, retries them, on an event loop.

A live execution and a resumed one take the same path: replay what there is, claim, follow what is outstanding
(`drive`). The engine decides nothing about the graph, keeps nothing beside the journal, and knows neither which store
it writes to nor where handlers run.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from orchestrator.clock import Clock, SystemClock, new_id
from orchestrator.errors import (
    ConflictError,
    ExecutionFailedError,
    InputError,
    InterruptedExecution,
    NotResumableError,
    UnknownExecutionError,
)
from orchestrator.execution.drive import Drive, Kind, Parts
from orchestrator.execution.driver import Runner
from orchestrator.execution.integration import Session, Subscriber
from orchestrator.execution.pump import Pump
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import HEARTBEAT_SECONDS, Lease, Note, Owner, Query, Store, Summary
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.plan import Plan, Recorded, make_plan
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: Is called with each note (progress, output line), from any thread.
NoteSubscriber: TypeAlias = Callable[[ExecutionId, Note], None]

#: Steps under way at once in one execution.
MAX_RUNNING = 256
#: Threads for commits that would hold up the loop, large values, and the heartbeat.
_THREADS = 4
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
        on_reopen: Callable[[Plan], Mapping[str, Exception]] | None = None,
        max_running: int = MAX_RUNNING,
    ) -> None:
        self.store, self.runner, self.owner = store, runner, owner
        self.clock = clock or SystemClock()
        self.subscribers, self.note_subscribers = subscribers, note_subscribers
        self.on_takeover, self.on_reopen = on_takeover, on_reopen
        # Threads of its own: those of the loop may be taken by handlers, and a heartbeat must not wait for them.
        threads = ThreadPoolExecutor(_THREADS, "orchestrator-store")
        chance = random or Random()
        self._parts = Parts(store, runner, kinds, self.clock, chance, threads, max_running, self._emit)
        self._drives: set[Drive] = set()
        self._at_fault: list[object] = []
        self._interrupted = False
        self._pump: Pump | None = None
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
        put = self._parts.put_blob
        created = ev.ExecutionCreated(
            id_,
            plan.pipeline_id,
            encode(plan.canonical, put),
            plan.fingerprint,
            tuple((name, encode(value, put)) for name, value in inputs.items()),
            base_dir,
        )
        try:
            return await self._run(session, base_dir, (created, ev.ExecutionClaimed(str(self.owner), 1)))
        except ConflictError as exc:
            if session.record.position:
                raise
            raise InputError(f"there is an execution {id_!r} already, begun at this moment") from exc

    async def resume(self, execution_id: str) -> ExecutionResult:
        """Go on with what is unfinished; gives the result again where it completed.

        Raises UnknownExecutionError, OwnedElsewhereError, and NotResumableError where it failed or was cancelled.
        """
        found = require_known(self.store, execution_id)
        if found.status not in UNFINISHED:
            if found.status is ExecutionStatus.COMPLETED:
                record = self.read(execution_id)
                if record.model is not None:
                    self._plan_of(record.model, record.base_dir)  # its outputs may be of the handlers' classes
                return self.result_of(record)
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

    def close(self) -> None:
        """Let go of the threads; nothing may be run afterwards."""
        self._parts.threads.shutdown(wait=False)

    def _emit(self, execution_id: ExecutionId, note: Note) -> None:
        """Take a note, on any thread."""
        self.store.note(execution_id, (note,))
        for subscriber in self.note_subscribers:
            try:
                subscriber(execution_id, note)
            except Exception:  # noqa: BLE001 - logged; a view may fail alone
                self._log_once(subscriber)

    def _log_once(self, subscriber: object) -> None:
        """Log the exception that is being handled, the first time that this subscriber raises."""
        if subscriber not in self._at_fault:
            self._at_fault.append(subscriber)
            _log.exception("subscriber_failed: %r is told on, but its errors are not shown again", subscriber)

    # -- within ----------------------------------------------------------------------------------------------------

    def _claimed(self, session: Session) -> ev.ExecutionClaimed:
        return ev.ExecutionClaimed(str(self.owner), session.lease.epoch)

    def _session(self, lease: Lease, plan: Plan) -> Session:
        return Session.open(self.store, lease, plan, self.clock, self.subscribers, self._log_once)

    def _reopen(self, execution_id: str) -> tuple[Session, str]:
        """Claim an execution, end what a dead owner left behind, and replay its journal."""
        lease = self.store.claim(ExecutionId(execution_id), self.owner)
        try:
            return self._replayed(lease)
        except BaseException:
            self.store.release(lease)
            raise

    def _replayed(self, lease: Lease) -> tuple[Session, str]:
        if lease.previous is not None and self.on_takeover is not None:
            self.on_takeover(lease.previous)
        journal = entries(self.store.read(lease.execution_id))
        first = next(journal)
        assert isinstance(first.event, ev.ExecutionCreated)
        created = first.event
        plan, faults = self._plan_of(created.model, created.base_dir)
        session = self._session(lease, plan)
        session.replay(first)
        for entry in journal:
            session.replay(entry)
        for step_id, error in faults.items():
            if not session.machine.has_ended(StepKey(step_id)):
                raise error
        return session, created.base_dir

    def _plan_of(self, model: Encoded, base_dir: str) -> tuple[Plan, Mapping[str, Exception]]:
        """The plan of a recorded model, and why which of its steps cannot run here."""
        plan = make_plan(Recorded(decode(model, self.store.get_blob), Path(base_dir) if base_dir else None))
        return plan, self.on_reopen(plan) if self.on_reopen is not None else {}

    async def _run(self, session: Session, base_dir: str, events: Sequence[Event]) -> ExecutionResult:
        loop = asyncio.get_running_loop()
        if self._pump is None or self._pump.loop is not loop:
            self._pump = Pump(self.store, loop, self._parts.threads, self._stop)
        running = Drive(self._parts, session, base_dir, loop, self._pump)
        self._drives.add(running)
        if self._ticking is None:
            self._tick(loop)
        if self._interrupted:
            running.interrupt()
        try:
            await running.run(events)
        finally:
            self._drives.discard(running)
            if not self._drives and self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None
            if not self.store.flush(blocking=False):
                await loop.run_in_executor(self._parts.threads, self.store.flush)
            if not session.released and session.record.position:  # it broke off; a new one that never was has no lease
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
            loop.run_in_executor(self._parts.threads, self.store.extend, self.owner).add_done_callback(_log_failure)
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
