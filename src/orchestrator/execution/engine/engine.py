"""The engine: what may be asked of executions: begin, go on, try again, run afresh, give up, set back, fork, foresee.

Each verb decides which events take an execution up, and lets the host run it (`hosting`). An execution that nobody has
is taken up here; one that runs elsewhere is asked by a message in its inbox.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.clock import new_id
from orchestrator.errors import ConcurrencyBusyError, ConflictError, InputError, NotResumableError, OwnedElsewhereError
from orchestrator.execution.engine.again import events_to_retry, keys_to_rerun, rerun_events
from orchestrator.execution.engine.beginning import (
    bound_inputs,
    checked_id,
    concurrency_key,
    planned,
    refuse_forgotten_waits,
    when_busy,
)
from orchestrator.execution.engine.changing import changed_steps, new_inputs, told_changes
from orchestrator.execution.engine.checking import ReplayCheck, check
from orchestrator.execution.engine.foresight import ExecutionPlan, foresee
from orchestrator.execution.engine.hosting import Host
from orchestrator.execution.engine.inbox import (
    CANCEL,
    PAUSE,
    open_questions,
    post_signal,
    require_known,
)
from orchestrator.execution.engine.places import Places
from orchestrator.execution.engine.result import ExecutionResult
from orchestrator.execution.engine.timetravel import (
    CheckpointInfo,
    checkpoints_of,
    commit_fork,
    prefix_of,
    restore_to,
)
from orchestrator.execution.integration import Session
from orchestrator.execution.progress import ExecutionProgress
from orchestrator.execution.state import INITIAL, ExecutionState, checkpoint_id, execution_state
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.codec import decode
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import Lease, Query, Summary
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.plan import Plan
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey

#: How often a queue for a concurrency key is looked at, in seconds.
_QUEUE_SECONDS = 0.25


class StateGraphEngine(Host):
    """Runs pipelines' graphs. Belongs to one event loop at a time; `answer` and `signal` may be called from anywhere.

    Without `parts` it takes those that are installed: the default store and a runner for this machine. What is handed
    in by `set_variable_manager`, `set_progress_tracker` and `set_recovery_manager` serves the executions that begin
    (or are gone on with) afterwards.
    """

    # -- running -----------------------------------------------------------------------------------------------------

    async def execute(
        self,
        pipeline: Definition | Plan,
        inputs: Mapping[str, Any] | None = None,
        execution_id: str | None = None,
        *,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run a pipeline from its start. Raises PipelineError or InputError before anything ran.

        Where there is an execution of that id already, with the same pipeline and inputs, this goes on with it, gives
        its result, or waits for it where another process runs it; with others it is refused. A step's failure is in the
        result; StoreError where the store fails. With `wait` it returns when the execution has ended, however long that
        waits for something; else it leaves one that waits for a person, a signal, or a time that is not near.
        """
        plan = planned(pipeline)
        bound = bound_inputs(plan, inputs or {})
        id_ = ExecutionId(new_id(self.clock) if execution_id is None else checked_id(execution_id))
        refuse_forgotten_waits(plan, self.store)
        if execution_id is not None and self.store.find(Query(execution_id=id_)):
            return await self._attach(id_, plan, bound, wait)
        key = concurrency_key(plan, bound)
        if key is not None:
            try:
                await self._create_queued(id_, plan, bound, key)
            except ConflictError:  # begun at this moment by somebody else
                return await self._attach(id_, plan, bound, wait)
            return await self._go_on_when_free(id_, wait, refuses=when_busy(plan) == "refuse")
        session = self._session(Lease(id_, self.owner, 1), plan)
        claimed = ev.ExecutionClaimed(str(self.owner), 1)
        first, *brought = self._beginning(id_, plan, bound)
        initial = ev.CheckpointCreated(checkpoint_id(3 + len(brought)), INITIAL)
        try:
            events, patience = (first, claimed, *brought, initial), math.inf if wait else None
            return await self._run(session, str(plan.base_dir or ""), events, patience_seconds=patience)
        except ConflictError:
            if session.record.position or execution_id is None:
                raise
            return await self._attach(id_, plan, bound, wait)  # begun at this moment by somebody else

    async def create(
        self, pipeline: Definition | Plan, inputs: Mapping[str, Any] | None = None, execution_id: str | None = None
    ) -> ExecutionId:
        """Make an execution without running it: `resume`, or a scheduler, begins it. Raises as `execute` does.

        One of that id, with the same pipeline and inputs, may be there already.
        """
        plan = planned(pipeline)
        bound = bound_inputs(plan, inputs or {})
        id_ = ExecutionId(new_id(self.clock) if execution_id is None else checked_id(execution_id))
        if execution_id is not None and self.store.find(Query(execution_id=id_)):
            self._the_same(id_, plan, bound)
            return id_
        try:
            await self._create_queued(id_, plan, bound, concurrency_key(plan, bound))
        except ConflictError:  # begun at this moment by somebody else
            self._the_same(id_, plan, bound)
        return id_

    def _beginning(self, id_: ExecutionId, plan: Plan, bound: Mapping[str, Any]) -> Sequence[Event]:
        """How an execution was asked for, and what the variable manager brings into it."""
        put = self._parts.put_blob
        created = ev.ExecutionCreated(
            id_,
            plan.pipeline_id,
            encode(plan.canonical, put),
            plan.fingerprint,
            tuple((name, encode(value, put)) for name, value in bound.items()),
            str(plan.base_dir or ""),
            encode(plan.graph, put),
        )
        code = self._code_seen(plan, {})
        return (created, *code, *self._rooms.variables_brought(put))

    async def _create_queued(self, id_: ExecutionId, plan: Plan, bound: Mapping[str, Any], key: str | None) -> None:
        """Make an execution that nobody has. Raises ConcurrencyBusyError where its key is taken and it cannot wait."""
        busy = when_busy(plan)
        holders = self.store.find(Query(concurrency_key=key, limit=None)) if key is not None else []
        if holders and busy == "refuse":
            raise ConcurrencyBusyError(id_, key or "", holders[0].execution_id)
        session = self._session(Lease(id_, self.owner, 1), plan, key)
        events = self._beginning(id_, plan, bound)
        initial = ev.CheckpointCreated(checkpoint_id(1 + len(events)), INITIAL)
        session.add((*events, initial))
        session.seal(lambda _commit: None, releases=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._parts.threads, self.store.flush)
        session.settle()
        if busy == "cancel_older":
            for holder in holders:
                with suppress(NotResumableError):  # it has ended meanwhile
                    await self.cancel(holder.execution_id, f"{id_} is newer", "its concurrency key")

    async def _go_on_when_free(self, id_: ExecutionId, wait: bool, refuses: bool = False) -> ExecutionResult:
        """Go on with an execution when its turn has come, and nobody else runs it; gives its result where somebody did.

        With `refuses` it was just made, and does not queue.
        """
        followed = False
        while not self._interrupted:
            found = require_known(self.store, id_)
            if found.status not in UNFINISHED or (followed and not _is_to_go_on(found, wait)):
                break
            try:
                session, base_dir = self._reopen(id_)
            except OwnedElsewhereError:
                followed = True
            except ConcurrencyBusyError as busy:
                if refuses:
                    with suppress(NotResumableError):
                        await self.cancel(id_, f"execution {busy.holder} has its concurrency key")
                    raise
            else:
                if session.record.status in UNFINISHED and (not followed or session.record.status is found.status):
                    return await self._go_on(session, base_dir, (self._claimed(session),), wait=wait)
                self.store.release(session.lease)
                continue
            await self.clock.sleep(_QUEUE_SECONDS)
        return self.result_of(self.read(id_))

    async def _attach(self, id_: ExecutionId, plan: Plan, bound: Mapping[str, Any], wait: bool) -> ExecutionResult:
        """Go on with an execution that was asked for before in the same words. Raises InputError for other ones."""
        record = self._the_same(id_, plan, bound)
        if record.status not in UNFINISHED:
            return self._result_again(id_)
        return await self._go_on_when_free(id_, wait)

    def _the_same(self, id_: ExecutionId, plan: Plan, bound: Mapping[str, Any]) -> ExecutionRecord:
        """The record of an execution that was asked for in these words. Raises InputError for other ones."""
        record = self.read(id_)
        put = self._parts.put_blob
        given = {name: encode(value, put) for name, value in bound.items()}
        known = {name: value for name, (value, _) in record.variables.items() if name in given} | dict(record.inputs)
        if record.fingerprint != plan.fingerprint or known != given:
            what = "other inputs" if record.fingerprint == plan.fingerprint else "another pipeline"
            raise InputError(
                f"there is an execution {id_!r} already, with {what}; choose another id, or "
                f"`orchestrator resume {id_}` to go on with it as it was"
            )
        return record

    async def resume(
        self,
        execution_id: str,
        *,
        pipeline: Definition | Plan | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Go on with what is unfinished; gives the result again where it completed.

        With `pipeline` that definition holds from here on; where it changes steps that have ended, `accept_changes` is
        needed. Raises UnknownExecutionError, OwnedElsewhereError, InputError for changes that were not accepted, and
        NotResumableError where it failed or was cancelled.
        """
        if require_known(self.store, execution_id).status not in UNFINISHED:
            return self._ended(execution_id)
        session, base_dir = self._reopen(execution_id, planned(pipeline) if pipeline is not None else None)
        if session.record.status not in UNFINISHED:  # meanwhile
            self.store.release(session.lease)
            return self._ended(execution_id)
        try:
            changed = self._changed(session, base_dir, accept_changes) if pipeline is not None else ()
        except BaseException:
            self.store.release(session.lease)
            raise
        base_dir = str(session.plan.base_dir or "") if changed else base_dir
        return await self._go_on(session, base_dir, (*changed, self._claimed(session)), wait=wait)

    async def wake(
        self, execution_id: str, *, patience_seconds: float = 0.0, hands_back: bool = False
    ) -> ExecutionResult:
        """Go on with one that is due, queued or abandoned, as a scheduler does: nobody asks for that one.

        What waits again is let go of, unless for a time within `patience_seconds`. With `hands_back` it is due at once
        for a scheduler, where it is cut off here. Raises as `resume` does, and
        NotResumableError also where it has ended, or somebody has paused it.
        """
        found = require_known(self.store, execution_id)
        if found.status not in UNFINISHED:
            raise NotResumableError(execution_id, str(found.status), "it has ended")
        session, base_dir = self._reopen(execution_id)
        record = session.record
        if record.status not in UNFINISHED or (record.status is ExecutionStatus.PAUSED and not record.waits):
            self.store.release(session.lease)
            raise NotResumableError(execution_id, str(record.status), f"`{_command('resume', execution_id)}` goes on")
        claimed = (self._claimed(session),)
        return await self._go_on(session, base_dir, claimed, patience_seconds=patience_seconds, hands_back=hands_back)

    def hand_back(self, execution_ids: Collection[str]) -> None:
        """Start nothing new of these and give them back when what runs has ended, or the time of grace is over.

        They are due at once then, for whichever scheduler comes next. On the loop's thread.
        """
        for running in list(self._drives):
            if running.session.lease.execution_id in execution_ids:
                running.interrupt(hands_back=True)

    def _ended(self, execution_id: str) -> ExecutionResult:
        """What a resume gives of an execution that has ended. Raises NotResumableError where it did not complete."""
        status = require_known(self.store, execution_id).status
        if status is ExecutionStatus.COMPLETED:
            return self._result_again(execution_id)
        hint = "retry" if status is ExecutionStatus.FAILED else "rerun --from STEP"
        raise NotResumableError(execution_id, str(status), f"run it again with `{_command(hint, execution_id)}`")

    def _result_again(self, execution_id: str) -> ExecutionResult:
        record = self.read(execution_id)
        if record.model is not None:  # its outputs may be of the handlers' classes
            self._plan_of(record.model, record.graph, record.fingerprint, record.base_dir)
        return self.result_of(record)

    def _changed(self, session: Session, base_dir: str, accepted: bool) -> Sequence[Event]:
        """The change of definition that a session was opened with, and the inputs that are new in it.

        Raises InputError where it must be accepted, and where there is no value for an input.
        """
        plan, put = session.plan, self._parts.put_blob
        if plan.fingerprint == session.record.fingerprint and str(plan.base_dir or "") == base_dir:
            return ()
        before = decode(session.record.model, self.store.get_blob) if session.record.model is not None else {}
        changed = changed_steps(before, plan.canonical, session.record)
        added = new_inputs(plan, session.record, lambda value: decode(value, self.store.get_blob))
        if changed and not accepted:
            raise InputError(told_changes(session.lease.execution_id, changed))
        model, graph = encode(plan.canonical, put), encode(plan.graph, put)
        names = tuple(change.key for change in changed)
        writes = tuple((name, encode(value, put)) for name, value in added.items())
        change = ev.PipelineChanged(model, graph, plan.fingerprint, str(plan.base_dir or ""), names)
        return (change, ev.VariablesChanged(writes)) if writes else (change,)

    async def retry(
        self,
        execution_id: str,
        step: str | None = None,
        *,
        pipeline: Definition | Plan | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept.

        With `pipeline` that definition holds from here on, as for `resume`. Raises NotResumableError where it did not
        fail, InputError where the step did not, and for changes that were not accepted.
        """
        found = require_known(self.store, execution_id)
        if found.status is not ExecutionStatus.FAILED:
            hint = self._what_else(found) if found.status in UNFINISHED else "there is nothing to retry"
            raise NotResumableError(execution_id, str(found.status), hint)
        session, base_dir = self._reopen(execution_id, planned(pipeline) if pipeline is not None else None)

        def again() -> Sequence[Event]:
            changed = self._changed(session, base_dir, accept_changes) if pipeline is not None else ()
            return (*changed, *events_to_retry(session, self._journal(execution_id), step))

        folder = base_dir if pipeline is None else str(session.plan.base_dir or "")
        return await self._begin_again(session, folder, again, wait)

    async def rerun(self, execution_id: str, step: str, *, by: str = "", wait: bool = False) -> ExecutionResult:
        """Run a step and all that depends on it afresh, whatever they came to; the rest is kept.

        Raises InputError where there is no such step, or it has not begun.
        """
        require_known(self.store, execution_id)
        session, base_dir = self._reopen(execution_id)
        return await self._begin_again(
            session,
            base_dir,
            lambda: self._rerun_events(session, self._journal(execution_id), StepKey(step), by),
            wait,
        )

    def _rerun_events(self, session: Session, journal: Sequence[Entry], key: StepKey, by: str) -> Sequence[Event]:
        return rerun_events(session, journal, keys_to_rerun(session, self._places(session), journal, key), by)

    async def _begin_again(
        self, session: Session, base_dir: str, decide: Callable[[], Sequence[Event]], wait: bool
    ) -> ExecutionResult:
        try:
            events = decide()
        except BaseException:
            self.store.release(session.lease)
            raise
        return await self._go_on(session, base_dir, (*events, self._claimed(session)), wait=wait)

    def _journal(self, execution_id: str) -> Sequence[Entry]:
        return [*entries(self.store.read(ExecutionId(execution_id)))]

    async def cancel(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """Give an execution up: what runs of it is ended, its `finally` steps run, and then it is CANCELLED.

        Where another process runs it, that one does so; else it is done here. Raises UnknownExecutionError, and
        NotResumableError where it has ended.
        """
        await self._ask(execution_id, CANCEL, {"reason": reason, "by": by})

    async def pause(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """Start nothing new of an execution and pause it when what runs has ended; nothing wakes it but `resume`.

        Raises UnknownExecutionError, and NotResumableError where it has ended.
        """
        await self._ask(execution_id, PAUSE, {"reason": reason, "by": by})

    async def _ask(self, execution_id: str, kind: str, payload: Mapping[str, Any]) -> None:
        """Post what somebody wants of an execution, and do it here where nobody else does."""
        found = require_known(self.store, execution_id)
        if found.status not in UNFINISHED:
            raise NotResumableError(execution_id, str(found.status), f"there is nothing to {kind}")
        message = self.store.post(ExecutionId(execution_id), kind, payload)
        self.look_into_inbox(execution_id)
        try:
            session, base_dir = self._reopen(execution_id, force=True)
        except OwnedElsewhereError:
            return
        if session.record.status not in UNFINISHED:  # meanwhile
            self.store.release(session.lease)
            raise NotResumableError(execution_id, str(session.record.status), f"there is nothing to {kind}")
        await self._go_on(session, base_dir, (self._claimed(session),), asked=message)

    def signal(self, execution_id: str, name: str, payload: Any = None, by: str | None = None) -> None:
        """Send a signal: the step that waits for it takes it, or the first that will; until then it is kept.

        Raises UnknownExecutionError, and NotResumableError where the execution has ended.
        """
        post_signal(self.store, execution_id, name, payload, by)
        self.look_into_inbox(execution_id)

    def restore(self, execution_id: str, checkpoint: str) -> None:
        """Set an execution back to a checkpoint: it is PAUSED then, and `resume` goes on from there.

        Raises UnknownExecutionError, OwnedElsewhereError, and InputError where there is no such checkpoint any more.
        """
        require_known(self.store, execution_id)
        session, _ = self._reopen(execution_id)
        try:
            restore_to(session, checkpoint)
        finally:
            self.store.release(session.lease)

    def fork(
        self,
        execution_id: str,
        *,
        at: str | int | None = None,
        fork_id: str | None = None,
        variables: Mapping[str, Any] | None = None,
        from_step: str | None = None,
    ) -> ExecutionId:
        """A new execution whose journal begins with another's up to a checkpoint, or to a position; PAUSED.

        `variables` are set in it, and `from_step` with all that depends on it begins anew. Raises UnknownExecutionError
        and InputError.
        """
        found = require_known(self.store, execution_id)
        id_ = ExecutionId(new_id(self.clock) if fork_id is None else checked_id(fork_id))
        if self.store.find(Query(execution_id=id_)):
            raise InputError(f"there is an execution {id_!r} already")
        journal = prefix_of([*entries(self.store.read(ExecutionId(execution_id)))], at)
        plan, _ = self._plan_of_journal(journal)
        session = self._session(Lease(id_, self.owner, 1), plan, found.concurrency_key)
        commit_fork(session, self._places(session), journal, ExecutionId(execution_id), variables or {}, from_step)
        return id_

    def checkpoints(self, execution_id: str) -> Sequence[CheckpointInfo]:
        """The checkpoints of an execution, oldest first. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        journal = [*entries(self.store.read(ExecutionId(execution_id)))]
        plan, _ = self._plan_of_journal(journal)
        session = self._session(Lease(ExecutionId(execution_id), self.owner, 0), plan)
        session.replay(journal)
        return checkpoints_of(journal, session.context)

    def plan(
        self,
        execution_id: str,
        verb: str = "resume",
        step: str | None = None,
        pipeline: Definition | Plan | None = None,
    ) -> ExecutionPlan:
        """What `resume`, `retry` or `rerun` would do with each step, and why; nothing is changed.

        Raises UnknownExecutionError, and InputError where the verb does not fit.
        """
        require_known(self.store, execution_id)
        journal = [*entries(self.store.read(ExecutionId(execution_id)))]
        plan = planned(pipeline) if pipeline is not None else self._plan_of_journal(journal)[0]
        session = self._session(Lease(ExecutionId(execution_id), self.owner, 0), plan)
        session.replay(journal, changed=pipeline is not None)
        hashes = self._outside.code_hashes(plan) if self._outside.code_hashes is not None else {}
        before = decode(session.record.model, self.store.get_blob) if session.record.model is not None else {}
        refused = ""
        if plan.fingerprint != session.record.fingerprint:
            session.machine.settle_on_definition()
            try:
                new_inputs(plan, session.record, lambda value: decode(value, self.store.get_blob))
            except InputError as exc:
                refused = str(exc)
        return foresee(session, self._places(session), verb, step, before, hashes, journal, refused)

    async def check_replay(self, execution_id: str) -> ReplayCheck:
        """Whether today's code of a durable function follows what is recorded; no step runs, and nothing is written.

        Raises UnknownExecutionError, InputError for an execution of a pipeline that is no function, and
        HandlerNotFoundError where the function cannot be had.
        """
        require_known(self.store, execution_id)
        journal = self._journal(execution_id)
        plan, faults = self._plan_of_journal(journal)
        if plan.function is None:
            raise InputError(f"execution {execution_id} is of a pipeline, not of a durable function")
        for error in faults.values():
            raise error
        session = self._session(Lease(ExecutionId(execution_id), self.owner, 0), plan)
        session.replay(journal)
        return await check(session, self._parts, session.record.base_dir)

    def _places(self, session: Session) -> Places:
        """Where the steps of a session stand; for who only looks."""
        return Places(session.plan, session.record, session.variables, self.store.get_blob, lambda _: {})

    def _what_else(self, found: Summary) -> str:
        """What to do with an unfinished execution instead of a retry."""
        if waiting := open_questions(self.store, found.execution_id):
            answer = f"orchestrator answer {found.execution_id} {waiting[0].key} {'|'.join(waiting[0].choices)}"
            return f"step {waiting[0].key!r} waits: `{answer}`"
        return "use `orchestrator resume`"

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


def _is_to_go_on(found: Summary, wait: bool) -> bool:
    """Whether somebody who only follows an execution is to run it: not where it is paused, unless he waits with it."""
    return found.status is not ExecutionStatus.PAUSED or (wait and found.next_due is not None)


def _command(verb: str, execution_id: str) -> str:
    name, _, rest = verb.partition(" ")
    return f"orchestrator {name} {execution_id}" + (f" {rest}" if rest else "")
