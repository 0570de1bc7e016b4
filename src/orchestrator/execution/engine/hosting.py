"""The host: opens executions under a lease, drives them on an event loop, and lets them go.

A live execution and a resumed one take the same path: replay what there is, claim, follow what is outstanding
(`drive`). The host decides nothing about the graph, keeps nothing beside the journal, and knows neither which store it
writes to nor where handlers run. What may be asked of executions is said in `engine`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import InputError
from orchestrator.execution.engine.collecting import without_collection
from orchestrator.execution.engine.drive import Drive
from orchestrator.execution.engine.inbox import (
    post_answer,
    require_known,
    waiting_for,
)
from orchestrator.execution.engine.outside import EngineParts, installed_parts
from orchestrator.execution.engine.performer import Parts
from orchestrator.execution.engine.pump import Pump
from orchestrator.execution.engine.questions import questions_of
from orchestrator.execution.engine.recorders import ContextRecorder
from orchestrator.execution.engine.result import ExecutionResult
from orchestrator.execution.engine.rooms import NoteSubscriber, Rooms
from orchestrator.execution.integration import Session, Subscriber
from orchestrator.execution.progress import ProgressTrackerProtocol
from orchestrator.execution.recovery import RecoveryManager
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import HEARTBEAT_SECONDS, Lease, Message, Note, Query
from orchestrator.pipelines.plan import Plan, Recorded, make_plan, recorded_plan
from orchestrator.types import ExecutionId, StepKey

#: Steps under way at once in one execution.
MAX_RUNNING = 256
#: Threads for commits that would hold up the loop, large values, and the heartbeat.
_THREADS = 4
#: Notes reach the store, and the heartbeat is looked at, this often.
_TICK_SECONDS = 1.0
#: An execution that waits for a time no further away than this is not unloaded until then.
PATIENCE_SECONDS = 60.0

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Host:
    """Hosts executions. Belongs to one event loop at a time; `answer` may be called from anywhere.

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
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._owns_parts = parts is None
        self._outside = parts = parts or installed_parts()
        self.store, self.runner, self.owner = parts.store, parts.runner, parts.owner
        self.clock = clock or SystemClock()
        self.patience_seconds = patience_seconds
        self.subscribers, self.note_subscribers = subscribers, note_subscribers
        # Threads of its own: those of the loop may be taken by handlers, and a heartbeat must not wait for them.
        threads = ThreadPoolExecutor(_THREADS, "orchestrator-store")
        chance = random or Random()
        self._parts = Parts(
            self.store,
            self.runner,
            parts.kinds,
            self.clock,
            chance,
            threads,
            max_running,
            self._emit,
            parts.function_of,
            parts.spawn,
        )
        self._rooms = Rooms()
        self._latest: ExecutionContext | None = None
        self._drives: set[Drive] = set()
        self._at_fault: list[object] = []
        self._interrupted = False
        self._pump: Pump | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._heartbeat_due = 0.0
        #: Up to which message all that run here have been told.
        self._newest_message = 0

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

    def _code_seen(self, plan: Plan, known: Mapping[str, str]) -> Sequence[Event]:
        """What is new of the handlers' code."""
        if self._outside.code_hashes is None:
            return ()
        hashes = self._outside.code_hashes(plan)
        new = {target: value for target, value in hashes.items() if known.get(target) != value}
        return (ev.CodeSeen(new),) if new else ()

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

    def read(self, execution_id: str) -> ExecutionRecord:
        """The fold of an execution's journal. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        id_ = ExecutionId(execution_id)
        return ExecutionRecord.of(id_, entries(self.store.read(id_)))

    def result_of(self, record: ExecutionRecord) -> ExecutionResult:
        """The result that a record shows."""
        outputs = decode(record.outputs, self.store.get_blob) if record.outputs else {}
        questions = {question.key: question for question in questions_of(record)}
        return ExecutionResult(
            record.execution_id,
            record.status,
            outputs,
            record.error,
            record.failed_step,
            {key: question.prompt for key, question in questions.items()},
            {key: question.choices for key, question in questions.items()},
            record.pause_reason,
            record.waits,
            record.waits_until,
        )

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

    def _claimed(self, session: Session) -> ev.ExecutionClaimed:
        return ev.ExecutionClaimed(str(self.owner), session.lease.epoch)

    def _session(self, lease: Lease, plan: Plan, key: str | None = None) -> Session:
        variables = self._rooms.variables
        if variables is not None and variables.recorder is not None:
            raise InputError("the engine's variable manager serves another execution now; give each one of its own")
        session = Session.open(
            self.store, lease, plan, self.clock, self.subscribers, self._log_once, variables, ContextRecorder()
        )
        session.concurrency_key = key
        return session

    def _reopen(self, execution_id: str, plan: Plan | None = None, force: bool = False) -> tuple[Session, str]:
        """Claim an execution, end what a dead owner left behind, and replay its journal.

        `plan` takes the place of the recorded one. With `force` it does not queue for its concurrency key.
        """
        lease = self.store.claim(ExecutionId(execution_id), self.owner, queues=not force)
        try:
            with without_collection():
                return self._replayed(lease, plan)
        except BaseException:
            self.store.release(lease)
            raise

    def _replayed(self, lease: Lease, changed: Plan | None) -> tuple[Session, str]:
        if lease.previous is not None and self._outside.on_takeover is not None:
            self._outside.on_takeover(lease.previous)
        journal = list(entries(self.store.read(lease.execution_id)))
        plan, faults = self._plan_of_journal(journal)
        if changed is not None:
            plan = changed
            faults = self._outside.on_reopen(plan) if self._outside.on_reopen is not None else {}
        found = self.store.find(Query(execution_id=lease.execution_id))
        session = self._session(lease, plan, found[0].concurrency_key if found else None)
        session.replay(journal, changed=changed is not None)
        if plan.fingerprint == session.record.fingerprint:
            session.machine.lenient = False
        for step_id, error in faults.items():
            if not session.machine.has_ended(StepKey(step_id)):
                raise error
        return session, session.record.base_dir

    def _plan_of_journal(self, journal: Sequence[Entry]) -> tuple[Plan, Mapping[str, Exception]]:
        """The plan of the definition that holds at the end of a journal."""
        holding: ev.ExecutionCreated | ev.PipelineChanged | None = None
        for entry in journal:
            if isinstance(entry.event, ev.ExecutionCreated | ev.PipelineChanged):
                holding = entry.event
        assert holding is not None
        return self._plan_of(holding.model, holding.graph, holding.fingerprint, holding.base_dir)

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

    async def _go_on(
        self,
        session: Session,
        base_dir: str,
        events: Sequence[Event],
        *,
        wait: bool = False,
        asked: int | None = None,
        patience_seconds: float | None = None,
        hands_back: bool = False,
    ) -> ExecutionResult:
        """Run an execution that was there before, with what its inbox holds; `asked` is the message that made us."""
        code = self._code_seen(session.plan, session.record.code)
        messages = self.store.inbox(session.lease.execution_id)
        patience = math.inf if wait else patience_seconds
        return await self._run(
            session,
            base_dir,
            (*events, *code),
            messages,
            patience_seconds=patience,
            asked=asked,
            hands_back=hands_back,
        )

    async def _run(
        self,
        session: Session,
        base_dir: str,
        events: Sequence[Event],
        messages: Sequence[Message] = (),
        *,
        patience_seconds: float | None = None,
        asked: int | None = None,
        hands_back: bool = False,
    ) -> ExecutionResult:
        loop = asyncio.get_running_loop()
        if self._pump is None or self._pump.loop is not loop:
            self._pump = Pump(self.store, loop, self._parts.threads, self._stop)
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        running = Drive(self._parts, session, base_dir, loop, self._pump, self._rooms.recovery, patience)
        running.hands_back = hands_back
        self._drives.add(running)
        self._latest = session.context
        leave = self._rooms.enter(running)
        if self._ticking is None:
            self._tick(loop)
        if self._interrupted:
            loop.call_soon(running.interrupt)  # when it has recorded what it was begun for
        try:
            await running.run(events, messages, asked)
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

    def _look_for_mail(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: one question for all that runs here."""
        posted = self.store.posted_since(self._newest_message)
        if posted:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._open_mail, posted)

    def _open_mail(self, posted: Sequence[tuple[int, ExecutionId]]) -> None:
        """Look into the inboxes that got something. Who is claimed from now on looks into its own."""
        self._newest_message = max(self._newest_message, posted[-1][0])
        addressed = {execution_id for _, execution_id in posted}
        for running in list(self._drives):
            if running.session.lease.execution_id in addressed:
                looking = running.loop.run_in_executor(self._parts.threads, self._look_from_thread, running)
                looking.add_done_callback(self._looked)

    def _looked(self, done: asyncio.Future[None]) -> None:
        """An inbox that could not be read is looked into again, with all others, by the next tick."""
        if not done.cancelled() and done.exception() is not None:
            self._newest_message = 0
        _log_failure(done)

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
        loop.run_in_executor(self._parts.threads, self._look_for_mail, loop).add_done_callback(_log_failure)
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            self._heartbeat_due = now + HEARTBEAT_SECONDS
            loop.run_in_executor(self._parts.threads, self.store.extend, self.owner).add_done_callback(_log_failure)
        self._ticking = loop.call_later(_TICK_SECONDS, self._tick, loop)


def _log_failure(done: asyncio.Future[None]) -> None:
    """A tick that failed is no reason to stop: the next commit tells whether the lease and the store still stand."""
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.warning("tick_failed: %s", error)


def _checked(given: T, kind: type, what: str) -> T:
    if not isinstance(given, kind):
        raise InputError(f"{what} is needed ({kind.__name__}), not a {type(given).__name__}")
    return given
