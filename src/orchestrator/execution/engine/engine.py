"""The engine: runs executions, resumes them, retries them, on an event loop.

A live execution and a resumed one take the same path: replay what there is, claim, follow what is outstanding
(`drive`). The engine decides nothing about the graph, keeps nothing beside the journal, and knows neither which store
it writes to nor where handlers run.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from orchestrator.clock import Clock, SystemClock, new_id
from orchestrator.errors import ConflictError, InputError, NotResumableError
from orchestrator.execution.engine.collecting import without_collection
from orchestrator.execution.engine.drive import Drive
from orchestrator.execution.engine.inbox import post_answer, require_known, waiting_for, waiting_steps
from orchestrator.execution.engine.outside import EngineParts, installed_parts
from orchestrator.execution.engine.performer import Parts
from orchestrator.execution.engine.pump import Pump
from orchestrator.execution.engine.recorders import ContextRecorder
from orchestrator.execution.engine.result import ExecutionResult
from orchestrator.execution.engine.rooms import NoteSubscriber, Rooms
from orchestrator.execution.integration import Session, Subscriber
from orchestrator.execution.progress import ExecutionProgress, ProgressTrackerProtocol
from orchestrator.execution.recovery import RecoveryManager, RecoveryStrategy
from orchestrator.execution.state import INITIAL, ExecutionContext, ExecutionState, checkpoint_id, execution_state
from orchestrator.execution.variables import VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import HEARTBEAT_SECONDS, Lease, Message, Note, Query, Summary
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.plan import Plan, Recorded, make_plan, recorded_plan
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: Steps under way at once in one execution.
MAX_RUNNING = 256
#: Threads for commits that would hold up the loop, large values, and the heartbeat.
_THREADS = 4
#: Notes reach the store, and the heartbeat is looked at, this often.
_TICK_SECONDS = 1.0

#: What a caller may choose as an execution's id.
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,119}", re.ASCII)

_ASK = RecoveryStrategy.MANUAL_INTERVENTION
T = TypeVar("T")
_log = logging.getLogger(__name__)


class StateGraphEngine:
    """Runs pipelines' graphs. Belongs to one event loop at a time; `answer` may be called from anywhere.

    Without `parts` it takes those that are installed: the default store and a runner for this machine. What is handed
    in by `set_variable_manager`, `set_progress_tracker` and `set_recovery_manager` serves the executions that begin
    (or are gone on with) afterwards.
    """

    def __init__(
        self,
        parts: EngineParts | None = None,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        subscribers: Sequence[Subscriber] = (),
        note_subscribers: Sequence[NoteSubscriber] = (),
        max_running: int = MAX_RUNNING,
    ) -> None:
        self._owns_parts = parts is None
        self._outside = parts = parts or installed_parts()
        self.store, self.runner, self.owner = parts.store, parts.runner, parts.owner
        self.clock = clock or SystemClock()
        self.subscribers, self.note_subscribers = subscribers, note_subscribers
        # Threads of its own: those of the loop may be taken by handlers, and a heartbeat must not wait for them.
        threads = ThreadPoolExecutor(_THREADS, "orchestrator-store")
        chance = random or Random()
        self._parts = Parts(self.store, self.runner, parts.kinds, self.clock, chance, threads, max_running, self._emit)
        self._rooms = Rooms()
        self._latest: ExecutionContext | None = None
        self._drives: set[Drive] = set()
        self._at_fault: list[object] = []
        self._interrupted = False
        self._pump: Pump | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._heartbeat_due = 0.0

    # -- what serves the executions ----------------------------------------------------------------------------------

    def set_variable_manager(self, manager: VariableManager) -> None:
        """Keep the variables of the executions in this manager. It serves one execution at a time.

        GLOBAL variables that it holds when an execution begins are recorded with its start.
        """
        self._rooms.variables = _checked(manager, VariableManager, "a variable manager")

    def set_progress_tracker(self, tracker: ProgressTrackerProtocol) -> None:
        """Tell this tracker of what happens, after it was recorded."""
        self._rooms.tracker = _checked(tracker, ProgressTrackerProtocol, "a progress tracker")

    def set_recovery_manager(self, manager: RecoveryManager) -> None:
        """Ask this manager what follows from a failed attempt; where it has nothing to say, the step's `retry` counts.

        Its `answer` reaches the steps that wait for a person.
        """
        self._rooms.recovery = _checked(manager, RecoveryManager, "a recovery manager")
        manager.on_answer = self._answer_step

    # -- running -----------------------------------------------------------------------------------------------------

    async def execute(
        self, pipeline: Definition | Plan, inputs: Mapping[str, Any] | None = None, execution_id: str | None = None
    ) -> ExecutionResult:
        """Run a pipeline from its start. Raises PipelineError or InputError before anything ran.

        Also where the execution id is taken. StoreError where the store fails; a step's failure is in the result.
        """
        if not isinstance(pipeline, Plan) and not hasattr(pipeline, "canonical"):
            raise InputError(f"a pipeline is a Pipeline (`Pipeline.load(path)` reads a file), not {pipeline!r}")
        plan = pipeline if isinstance(pipeline, Plan) else make_plan(pipeline)
        bound = bind_inputs(
            Recorded(plan.canonical, plan.base_dir), inputs or {}, base_dir=plan.base_dir, working_dir=Path.cwd()
        )
        self._refuse_forgotten_questions(plan)
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
            tuple((name, encode(value, put)) for name, value in bound.items()),
            base_dir,
            encode(plan.graph, put),
        )
        claimed = ev.ExecutionClaimed(str(self.owner), 1)
        brought = self._rooms.variables_brought(put)
        initial = ev.CheckpointCreated(checkpoint_id(3 + len(brought)), INITIAL)
        try:
            return await self._run(session, base_dir, (created, claimed, *brought, initial))
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
                    self._plan_of(
                        record.model, record.graph, record.fingerprint, record.base_dir
                    )  # its outputs may be of the handlers' classes
                return self.result_of(record)
            raise NotResumableError(
                execution_id, str(found.status), f"run it again with `orchestrator retry {execution_id}`"
            )
        session, base_dir = self._reopen(execution_id)
        return await self._go_on(session, base_dir, (self._claimed(session),))

    async def retry(self, execution_id: str, step: str | None = None) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept.

        Raises NotResumableError where it did not fail, InputError where the step did not.
        """
        found = require_known(self.store, execution_id)
        if found.status is not ExecutionStatus.FAILED:
            hint = self._what_else(found) if found.status in UNFINISHED else "there is nothing to retry"
            raise NotResumableError(execution_id, str(found.status), hint)
        session, base_dir = self._reopen(execution_id)
        try:
            keys = _keys_to_retry(session.machine.failed, step)
        except InputError:
            self.store.release(session.lease)
            raise
        return await self._go_on(session, base_dir, (ev.ExecutionRetried(keys), self._claimed(session)))

    def _what_else(self, found: Summary) -> str:
        """What to do with an unfinished execution instead of a retry."""
        if waiting := waiting_steps(self.store, found.execution_id):
            answer = f"orchestrator answer {found.execution_id} {waiting[0]} retry|skip|abort"
            return f"step {waiting[0]!r} waits: `{answer}`"
        return "use `orchestrator resume`"

    def interrupt(self) -> None:
        """Start nothing new, ask what runs to end, pause every execution in the time of grace. On the loop's thread."""
        if not self._interrupted:
            self._interrupted = True
            self.runner.interrupt()
            for running in list(self._drives):
                running.interrupt()

    def answer(self, execution_id: str, step: str, decision: str, value: Any = None, by: str | None = None) -> None:
        """Answer a step that waits for a person: `retry` it, `skip` it with this value, or `abort` it.

        The answer is kept in the store. An execution that runs here takes it at once, one that runs elsewhere within
        about a second, one that is paused when it is resumed. Raises UnknownExecutionError, and InputError where the
        step does not wait or the decision is none.
        """
        post_answer(self.store, execution_id, step, decision, value, by)
        self.look_into_inbox(execution_id)

    def look_into_inbox(self, execution_id: str) -> None:
        """A message was posted to an execution: take it at once, where it runs here. From any thread."""
        for running in list(self._drives):
            if running.session.lease.execution_id == execution_id:
                running.loop.call_soon_threadsafe(self._look_into_inbox, running)

    def _answer_step(self, step: str, decision: str, value: Any, by: str | None) -> bool:
        """An answer that names no execution: to the one that has such a step waiting."""
        running = [d.session.lease.execution_id for d in list(self._drives) if step in d.session.machine.waiting]
        found = running or waiting_for(self.store, step)
        if len(found) > 1:
            raise InputError(f"step {step!r} waits in {', '.join(found)}; use `engine.answer` and say in which")
        for execution_id in found:
            self.answer(execution_id, step, decision, value, by)
        return bool(found)

    # -- looking -----------------------------------------------------------------------------------------------------

    def get_execution_progress(self, execution_id: str | None = None) -> ExecutionProgress | None:
        """How far an execution is; by default the one that this engine began last. None before the first.

        Raises UnknownExecutionError.
        """
        for context in [d.session.context for d in list(self._drives)] + [self._latest]:
            if context is not None and execution_id in (None, context.execution_id):
                return ExecutionProgress.of(context.record, context.total_steps)
        if execution_id is None:
            return None
        total = require_known(self.store, execution_id).steps_total
        return ExecutionProgress.of(self.read(execution_id), total)

    def get_state(self, execution_id: str) -> ExecutionState:
        """One execution's state as a mapping for other graph engines, made from the journal. UnknownExecutionError."""
        record = self.read(execution_id)
        record.steps_total = require_known(self.store, execution_id).steps_total
        return execution_state(record, lambda value: decode(value, self.store.get_blob))

    def read(self, execution_id: str) -> ExecutionRecord:
        """The fold of an execution's journal. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        id_ = ExecutionId(execution_id)
        return ExecutionRecord.of(id_, entries(self.store.read(id_)))

    def result_of(self, record: ExecutionRecord) -> ExecutionResult:
        """The result that a record shows."""
        outputs = decode(record.outputs, self.store.get_blob) if record.outputs else {}
        waiting = {key: s.intervention.instructions for key, s in record.steps.items() if s.waiting and s.intervention}
        return ExecutionResult(record.execution_id, record.status, outputs, record.error, record.failed_step, waiting)

    def close(self) -> None:
        """Let go of the threads, and of the store where it was not handed in; nothing may be run afterwards."""
        self._parts.threads.shutdown(wait=self._owns_parts)
        if self._owns_parts:
            self.store.close()

    def _emit(self, execution_id: ExecutionId, note: Note) -> None:
        """Take a note, on any thread."""
        self.store.note(execution_id, (note,))
        for subscriber in (*self.note_subscribers, *self._rooms.note_subscribers):
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

    def _refuse_forgotten_questions(self, plan: Plan) -> None:
        """A store in memory would forget, with this process, who waits for a person."""
        asking = [step.id for step in plan.steps.values() for rule in step.on_error if rule.strategy == _ASK]
        if asking and not self.store.survives_process:
            raise InputError(
                f"step {asking[0]!r} may wait for a person, and what is kept in memory ends with this process; "
                "use durability disk or process"
            )

    def _claimed(self, session: Session) -> ev.ExecutionClaimed:
        return ev.ExecutionClaimed(str(self.owner), session.lease.epoch)

    def _session(self, lease: Lease, plan: Plan) -> Session:
        variables = self._rooms.variables
        if variables is not None and variables.recorder is not None:
            raise InputError("the engine's variable manager serves another execution now; give each one of its own")
        return Session.open(
            self.store, lease, plan, self.clock, self.subscribers, self._log_once, variables, ContextRecorder()
        )

    def _reopen(self, execution_id: str) -> tuple[Session, str]:
        """Claim an execution, end what a dead owner left behind, and replay its journal."""
        lease = self.store.claim(ExecutionId(execution_id), self.owner)
        try:
            with without_collection():
                return self._replayed(lease)
        except BaseException:
            self.store.release(lease)
            raise

    def _replayed(self, lease: Lease) -> tuple[Session, str]:
        if lease.previous is not None and self._outside.on_takeover is not None:
            self._outside.on_takeover(lease.previous)
        journal = list(entries(self.store.read(lease.execution_id)))
        created = journal[0].event
        assert isinstance(created, ev.ExecutionCreated)
        plan, faults = self._plan_of(created.model, created.graph, created.fingerprint, created.base_dir)
        session = self._session(lease, plan)
        session.replay(journal)
        for step_id, error in faults.items():
            if not session.machine.has_ended(StepKey(step_id)):
                raise error
        return session, created.base_dir

    def _plan_of(
        self, model: Encoded, graph: Encoded | None, fingerprint: str, base_dir: str
    ) -> tuple[Plan, Mapping[str, Exception]]:
        """The plan of a recorded model, and why which of its steps cannot run here."""
        definition, folder = decode(model, self.store.get_blob), Path(base_dir) if base_dir else None
        if graph is None:
            plan = make_plan(Recorded(definition, folder))
        else:
            plan = recorded_plan(definition, decode(graph, self.store.get_blob), fingerprint, folder)
        return plan, self._outside.on_reopen(plan) if self._outside.on_reopen is not None else {}

    async def _go_on(self, session: Session, base_dir: str, events: Sequence[Event]) -> ExecutionResult:
        """Run an execution that was there before, with what its inbox holds."""
        return await self._run(session, base_dir, events, self.store.inbox(session.lease.execution_id))

    async def _run(
        self, session: Session, base_dir: str, events: Sequence[Event], messages: Sequence[Message] = ()
    ) -> ExecutionResult:
        loop = asyncio.get_running_loop()
        if self._pump is None or self._pump.loop is not loop:
            self._pump = Pump(self.store, loop, self._parts.threads, self._stop)
        running = Drive(self._parts, session, base_dir, loop, self._pump, self._rooms.recovery)
        self._drives.add(running)
        self._latest = session.context
        leave = self._rooms.enter(running)
        if self._ticking is None:
            self._tick(loop)
        if self._interrupted:
            running.interrupt()
        try:
            await running.run(events, messages)
        finally:
            leave()
            self._drives.discard(running)
            if not self._drives and self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None
            if not self.store.flush(blocking=False):
                await loop.run_in_executor(self._parts.threads, self.store.flush)
            if not session.released and session.record.position:  # it broke off; a new one that never was has no lease
                self.store.release(session.lease)
            if self._owns_parts and not self._drives:
                await self.runner.close()
        return self.result_of(session.record)

    def _look_into_inbox(self, running: Drive) -> None:
        running.take(self.store.inbox(running.session.lease.execution_id))

    def _look_from_thread(self, running: Drive) -> None:
        messages = self.store.inbox(running.session.lease.execution_id)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            running.loop.call_soon_threadsafe(running.take, messages)

    def _stop(self, error: BaseException) -> None:
        for running in list(self._drives):
            running.stop(error)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second while anything runs: bring notes to the store, say that this owner lives."""
        assert self._pump is not None
        self._pump.request()
        for running in self._drives:
            if running.session.machine.waiting:
                loop.run_in_executor(self._parts.threads, self._look_from_thread, running)
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            self._heartbeat_due = now + HEARTBEAT_SECONDS
            loop.run_in_executor(self._parts.threads, self.store.extend, self.owner).add_done_callback(_log_failure)
        self._ticking = loop.call_later(_TICK_SECONDS, self._tick, loop)


def _log_failure(done: asyncio.Future[None]) -> None:
    """A heartbeat that failed is no reason to stop: the next commit tells whether the lease still stands."""
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.warning("heartbeat_failed: %s", error)


def _checked(given: T, kind: type, what: str) -> T:
    if not isinstance(given, kind):
        raise InputError(f"{what} is needed ({kind.__name__}), not a {type(given).__name__}")
    return given


def _checked_id(execution_id: str) -> str:
    if not _ID.fullmatch(execution_id):
        raise InputError(
            f"{execution_id[:80]!r} cannot be the id of an execution; "
            "use up to 120 letters, digits and any of _ - . : and begin with a letter or a digit"
        )
    return execution_id


def _keys_to_retry(failed: Sequence[StepKey], step: str | None) -> tuple[StepKey, ...]:
    if step is None:
        return tuple(failed)
    keys = tuple(key for key in failed if key == step or key.startswith(f"{step}["))
    if not keys:
        raise InputError(f"step {step!r} did not fail; these did: {', '.join(failed) or 'none'}")
    return keys
