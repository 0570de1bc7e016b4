"""Orchestrator: the one place that wires concrete parts together.

A store, a runner, the step kinds and the engine meet here and nowhere else. Opening costs little: the store's file is
opened at the first use, and processes are started when a step needs one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from orchestrator.app.checking import plan_checked
from orchestrator.app.handlers import DurableFunctions, HandlerCode, import_handlers
from orchestrator.app.parts import end_children, run_to_end
from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import OrchestratorError
from orchestrator.execution.driver import Runner
from orchestrator.execution.engine import (
    PATIENCE_SECONDS,
    CheckpointInfo,
    EngineParts,
    ExecutionPlan,
    ExecutionResult,
    NoteSubscriber,
    Question,
    ReplayCheck,
    StateGraphEngine,
    open_questions,
    post_answer,
    post_signal,
    require_known,
)
from orchestrator.execution.integration import Subscriber
from orchestrator.execution.progress import ProgressTrackerProtocol
from orchestrator.execution.recovery import RecoveryManager
from orchestrator.functions import PipelineFunction
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.step_usage import ExecutionUsage, usage_of_execution
from orchestrator.journal.store import Note, Query, Store, Summary
from orchestrator.journal.usage import Usages, usage_of_store
from orchestrator.pipelines.plan import Plan
from orchestrator.runners.local import LocalRunner
from orchestrator.status import ExecutionStatus
from orchestrator.steps import KINDS
from orchestrator.storage import open_store, this_owner
from orchestrator.types import ExecutionId

T = TypeVar("T")

if TYPE_CHECKING:  # pydantic is loaded when a pipeline is, not for a look at a store
    from orchestrator.pipelines.model import Pipeline


#: What can be run: a pipeline, the file of one, or a durable function.
Runnable: TypeAlias = "Pipeline | PipelineFunction[..., Any] | str | Path"

#: Plans that an Orchestrator keeps for the next execution of the same pipeline.
_PLANS_KEPT = 32


@dataclass(slots=True)
class _Lent:
    """The engine of one event loop, its runner, and how many executions use them now."""

    engine: StateGraphEngine
    runner: Runner
    users: int = 0


class Orchestrator:
    """Runs pipelines and shows what became of them. Use it as a `with` block, or call `close`.

    `progress` is told of every execution, `recovery` is asked what follows when an attempt of a step failed.

    `store` is a path, a URL (`sqlite:PATH`, `memory:`) or an open Store; by default `.orchestrator/journal.db` in the
    working folder. `durability` is `disk` (each result is on the disk before the next step starts), `process`
    (survives the death of the process, not of the machine) or `none` (kept in memory). Raises StoreError where the
    store cannot be opened. An execution that waits for a time at most `patience_seconds` away waits here for it.
    `runner` wraps what runs the handlers; for tests.
    """

    def __init__(
        self,
        store: str | Path | Store | None = None,
        *,
        durability: str = "disk",
        clock: Clock | None = None,
        capture_prints: bool = False,
        on_event: Iterable[Subscriber] = (),
        on_note: Iterable[NoteSubscriber] = (),
        progress: ProgressTrackerProtocol | None = None,
        recovery: RecoveryManager | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        runner: Callable[[LocalRunner], Runner] | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._owns_store = store is None or isinstance(store, str | Path)
        self.store: Store = (
            open_store(None if store is None else str(store), durability=durability, clock=self.clock)
            if store is None or isinstance(store, str | Path)
            else store
        )
        self._capture_prints = capture_prints
        self._on_event: Sequence[Subscriber] = tuple(on_event)
        self._on_note: Sequence[NoteSubscriber] = tuple(on_note)
        self._progress, self._recovery = progress, recovery
        self._patience_seconds, self._wrap_runner = patience_seconds, runner
        self._functions = DurableFunctions()
        self._code = HandlerCode(self._functions)
        #: Executions that durable functions have started and left, while they run here.
        self._children: set[asyncio.Task[Any]] = set()
        self._lent: dict[asyncio.AbstractEventLoop, _Lent] = {}
        #: By what they were made of, the one that was used last at the end.
        self._plans: dict[tuple[bytes, Path | None], Plan] = {}
        self._lock = threading.Lock()
        self._owner = this_owner(self.clock)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(
        self,
        pipeline: Runnable,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run a pipeline (the file of one, a durable function) to its end, or until it waits for what is not near.

        With `wait` it stays until the end, however long that waits. An id that is taken is gone on with, where pipeline
        and inputs are the same. Raises PipelineError or InputError before anything ran; a failed step is in the result
        (`raise_for_status`).
        """
        return run_to_end(lambda: self.arun(pipeline, inputs, execution_id=execution_id, wait=wait))

    async def arun(
        self,
        pipeline: Runnable,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
        wait: bool = False,
    ) -> ExecutionResult:
        """`run` for code on an event loop."""
        plan, given = self._loaded(pipeline), _inputs_of(pipeline, inputs)
        return await self._with_engine(lambda engine: engine.execute(plan, given, execution_id, wait=wait))

    def start(
        self,
        pipeline: Runnable,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
    ) -> ExecutionId:
        """Make an execution without running it; `resume` or a scheduler begins it. Raises as `run` does."""
        return run_to_end(lambda: self.astart(pipeline, inputs, execution_id=execution_id))

    async def astart(
        self,
        pipeline: Runnable,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
    ) -> ExecutionId:
        """`start` for code on an event loop."""
        plan, given = self._loaded(pipeline), _inputs_of(pipeline, inputs)
        return await self._with_engine(lambda engine: engine.create(plan, given, execution_id))

    def knows(self, function: PipelineFunction[..., Any]) -> None:
        """Executions of this durable function can be gone on with, wherever it stands."""
        self._functions.take(function)

    def _loaded(self, pipeline: Runnable) -> Plan:
        if isinstance(pipeline, PipelineFunction):
            self.knows(pipeline)
            return pipeline.plan
        from orchestrator.pipelines.model import Pipeline

        return self._planned(Pipeline.load(Path(pipeline)) if isinstance(pipeline, str | Path) else pipeline)

    def _planned(self, pipeline: Pipeline) -> Plan:
        """The plan of a pipeline: made once, however often the same one is run."""
        key = (pack(pipeline.canonical()), pipeline.base_dir)
        plan = self._plans.pop(key, None) or plan_checked(pipeline)
        self._plans[key] = plan
        if len(self._plans) > _PLANS_KEPT:
            del self._plans[next(iter(self._plans))]
        return plan

    def resume(
        self,
        execution_id: str,
        *,
        pipeline: Runnable | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Go on with an execution that was interrupted or whose process died; gives the result where it completed.

        With `pipeline` that definition holds from here on; where it changes steps that have ended, InputError tells
        which, unless `accept_changes` is set.
        """
        return run_to_end(
            lambda: self.aresume(execution_id, pipeline=pipeline, accept_changes=accept_changes, wait=wait)
        )

    async def aresume(
        self,
        execution_id: str,
        *,
        pipeline: Runnable | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """`resume` for code on an event loop."""
        plan = None if pipeline is None else self._loaded(pipeline)
        return await self._with_engine(
            lambda engine: engine.resume(execution_id, pipeline=plan, accept_changes=accept_changes, wait=wait)
        )

    async def awake(self, execution_id: str, *, patience_seconds: float = 0.0) -> ExecutionResult:
        """Go on with one that is due, queued or abandoned, as a scheduler does; see `scheduling.Scheduler`.

        What waits again is let go of, unless for a time within `patience_seconds`. Raises as `resume` does, and
        NotResumableError also where it has ended, or somebody has paused it.
        """
        return await self._with_engine(lambda engine: engine.wake(execution_id, patience_seconds=patience_seconds))

    def retry(
        self,
        execution_id: str,
        step: str | None = None,
        *,
        pipeline: Runnable | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept.

        `pipeline` and `accept_changes` are those of `resume`.
        """
        return run_to_end(
            lambda: self.aretry(execution_id, step, pipeline=pipeline, accept_changes=accept_changes, wait=wait)
        )

    async def aretry(
        self,
        execution_id: str,
        step: str | None = None,
        *,
        pipeline: Runnable | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """`retry` for code on an event loop."""
        plan = None if pipeline is None else self._loaded(pipeline)
        return await self._with_engine(
            lambda engine: engine.retry(execution_id, step, pipeline=plan, accept_changes=accept_changes, wait=wait)
        )

    def rerun(self, execution_id: str, step: str, *, by: str = "", wait: bool = False) -> ExecutionResult:
        """Run a step and all that depends on it afresh, whatever they came to; the rest is kept."""
        return run_to_end(lambda: self.arerun(execution_id, step, by=by, wait=wait))

    async def arerun(self, execution_id: str, step: str, *, by: str = "", wait: bool = False) -> ExecutionResult:
        """`rerun` for code on an event loop."""
        return await self._with_engine(lambda engine: engine.rerun(execution_id, step, by=by, wait=wait))

    # -- from outside ------------------------------------------------------------------------------------------------

    def answer(self, execution_id: str, step: str, decision: str, value: Any = None, by: str | None = None) -> None:
        """Answer a step that waits for a person.

        An approval: one of its choices, with the fields of its form as `value`. A step that failed: `retry` it, `skip`
        it with this value, or `abort` it. Answers are kept. An execution that runs takes it within about a second, one
        that waits when it is resumed, by hand or by a scheduler. Raises UnknownExecutionError, and InputError where the
        step does not wait, or that is no answer.
        """
        post_answer(self.store, execution_id, step, decision, value, by)
        self._look_into_inbox(execution_id)

    def signal(self, execution_id: str, name: str, payload: Any = None, by: str | None = None) -> None:
        """Send a signal: the step that waits for it takes it, or the first that will; until then it is kept.

        Raises UnknownExecutionError, and NotResumableError where the execution has ended.
        """
        post_signal(self.store, execution_id, name, payload, by)
        self._look_into_inbox(execution_id)

    def cancel(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """Give an execution up: what runs of it is ended, its `finally` steps run, and then it is CANCELLED.

        Whoever runs it does so within about a second; where nobody does it is done here. Raises UnknownExecutionError,
        and NotResumableError where it has ended.
        """
        run_to_end(lambda: self.acancel(execution_id, reason, by))

    async def acancel(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """`cancel` for code on an event loop."""
        await self._with_engine(lambda engine: engine.cancel(execution_id, reason, by), execution_id)

    def pause(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """Start nothing new of an execution, and pause it when what runs has ended; `resume` alone goes on.

        Raises as `cancel` does.
        """
        run_to_end(lambda: self.apause(execution_id, reason, by))

    async def apause(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """`pause` for code on an event loop."""
        await self._with_engine(lambda engine: engine.pause(execution_id, reason, by), execution_id)

    def restore(self, execution_id: str, checkpoint: str) -> None:
        """Set an execution back to a checkpoint: it is PAUSED then, and `resume` goes on from there.

        Raises UnknownExecutionError, OwnedElsewhereError, and InputError where there is no such checkpoint any more.
        """
        self._with_idle_engine(lambda engine: engine.restore(execution_id, checkpoint))

    def fork(
        self,
        execution_id: str,
        *,
        at: str | int | None = None,
        fork_id: str | None = None,
        variables: Mapping[str, Any] | None = None,
        from_step: str | None = None,
    ) -> ExecutionId:
        """A new execution whose journal begins with another's up to a checkpoint or position; it is PAUSED.

        `variables` are set in it; `from_step`, with all that depends on it, begins anew. Raises UnknownExecutionError
        and InputError.
        """
        return self._with_idle_engine(
            lambda engine: engine.fork(execution_id, at=at, fork_id=fork_id, variables=variables, from_step=from_step)
        )

    async def _spawn(self, function: PipelineFunction[..., Any], given: Mapping[str, Any], execution_id: str) -> str:
        """Start an execution for a durable function that goes on without it."""
        id_ = await self.astart(function, given, execution_id=execution_id)
        task = asyncio.get_running_loop().create_task(self._run_child(id_))
        self._children.add(task)
        task.add_done_callback(self._children.discard)
        return id_

    async def _run_child(self, id_: ExecutionId) -> None:
        with suppress(OrchestratorError):  # another process has it, or it has ended
            await self._with_engine(lambda engine: engine.wake(id_, hands_back=True))

    def ask_to_cancel(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """`cancel` for one that runs in this process: whoever runs it does so; returns at once."""
        require_known(self.store, execution_id)
        self.store.post(ExecutionId(execution_id), "cancel", {"reason": reason, "by": by})
        self._look_into_inbox(execution_id)

    def _look_into_inbox(self, execution_id: str) -> None:
        with self._lock:
            lent = list(self._lent.values())
        for one in lent:
            one.engine.look_into_inbox(execution_id)

    def interrupt(self) -> None:
        """Pause what runs: nothing new starts, what runs gets ten seconds. May be called from any thread."""
        with self._lock:
            lent = dict(self._lent)
        for loop, one in lent.items():
            loop.call_soon_threadsafe(one.engine.interrupt)

    def hand_back(self, execution_ids: Collection[str]) -> None:
        """Start nothing new of these, which run on this loop, and give them back: a scheduler goes on with them.

        What runs of them gets ten seconds.
        """
        with self._lock:
            lent = self._lent.get(asyncio.get_running_loop())
        if lent is not None:
            lent.engine.hand_back(execution_ids)

    @asynccontextmanager
    async def staying_open(self) -> AsyncIterator[None]:
        """Keep what runs executions on this loop from being closed in between, for who runs one after the other."""
        async with self._lending():
            yield

    async def _with_engine(
        self, do: Callable[[StateGraphEngine], Coroutine[Any, Any, T]], look_at: str | None = None
    ) -> T:
        """Do something with the engine of the running loop.

        Engines of other loops are told to look into the inbox of the execution `look_at`.
        """
        async with self._lending() as engine:
            result = await do(engine)
            if look_at is not None:
                self._look_into_inbox(look_at)
            return result

    @asynccontextmanager
    async def _lending(self) -> AsyncIterator[StateGraphEngine]:
        """Lend the engine of the running loop, which all executions on that loop share; the last one closes it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            lent = self._lent.get(loop) or self._lent.setdefault(loop, self._open_engine())
            lent.users += 1
        try:
            yield lent.engine
        finally:
            with self._lock:
                lent.users -= 1
                last = not lent.users
                if last:
                    del self._lent[loop]
            if last:
                await lent.runner.close()
                lent.engine.close()

    def _with_idle_engine(self, do: Callable[[StateGraphEngine], T]) -> T:
        """Do something with an engine that runs nothing."""
        lent = self._open_engine()
        try:
            return do(lent.engine)
        finally:
            lent.engine.close()

    def _open_engine(self) -> _Lent:
        runner = LocalRunner(
            self._owner.token,
            clock=self.clock,
            capture_prints=self._capture_prints,
            mark_environment=self._capture_prints,
        )
        wrapped: Runner = runner if self._wrap_runner is None else self._wrap_runner(runner)
        if (watching := getattr(self.clock, "watching", None)) is not None:  # one that jumps, when nothing is at work
            wrapped = watching(wrapped)
        parts = EngineParts(
            self.store,
            wrapped,
            KINDS,
            self._owner,
            end_children,
            partial(import_handlers, functions=self._functions),
            self._code.hashes_of,
            self._functions.find,
            self._spawn,
        )
        engine = StateGraphEngine(
            parts,
            clock=self.clock,
            subscribers=self._on_event,
            note_subscribers=self._on_note,
            patience_seconds=self._patience_seconds,
        )
        if self._progress is not None:
            engine.set_progress_tracker(self._progress)
        if self._recovery is not None:
            engine.set_recovery_manager(self._recovery)
        return _Lent(engine, wrapped)

    # -- looking -----------------------------------------------------------------------------------------------------

    def list(self, query: Query | None = None) -> Sequence[Summary]:
        """The executions that match, newest first."""
        return self.store.find(query or Query())

    def show(self, execution_id: str) -> ExecutionRecord:
        """What is known of one execution. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        return ExecutionRecord.of(ExecutionId(execution_id), entries(self.store.read(ExecutionId(execution_id))))

    def history(self, execution_id: str) -> Sequence[Entry]:
        """The events of one execution, in order. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        return [*entries(self.store.read(ExecutionId(execution_id)))]

    def logs(self, execution_id: str, step: str | None = None) -> Sequence[Note]:
        """Progress and output lines that were kept, in order. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        return self.store.notes(ExecutionId(execution_id), step)

    def approvals(self, execution_id: str | None = None) -> Sequence[Question]:
        """What waits for a person and was not answered, oldest first; of one execution or of all."""
        if execution_id is not None:
            require_known(self.store, execution_id)
            return open_questions(self.store, execution_id)
        statuses = frozenset({ExecutionStatus.PAUSED, ExecutionStatus.RUNNING})
        found = [
            q for s in self.store.find(Query(statuses, limit=None)) for q in open_questions(self.store, s.execution_id)
        ]
        return sorted(found, key=lambda question: question.since)

    def checkpoints(self, execution_id: str) -> Sequence[CheckpointInfo]:
        """The checkpoints of an execution, oldest first. Raises UnknownExecutionError."""
        return self._with_idle_engine(lambda engine: engine.checkpoints(execution_id))

    def plan(
        self,
        execution_id: str,
        verb: str = "resume",
        step: str | None = None,
        pipeline: Runnable | None = None,
    ) -> ExecutionPlan:
        """What `resume`, `retry` or `rerun` would do with each step, and why; nothing is changed.

        Raises UnknownExecutionError, and InputError where the verb does not fit.
        """
        plan = None if pipeline is None else self._loaded(pipeline)
        return self._with_idle_engine(lambda engine: engine.plan(execution_id, verb, step, plan))

    def check_replay(self, execution_id: str) -> ReplayCheck:
        """Whether today's code of a durable function follows what is recorded of an execution; nothing is changed.

        Raises UnknownExecutionError, InputError for an execution of a pipeline that is no function, and
        HandlerNotFoundError where the function cannot be had.
        """
        return run_to_end(lambda: self._with_engine(lambda engine: engine.check_replay(execution_id)))

    def usage(self) -> Usages:
        """How many bytes each execution takes, and the store as a whole."""
        return usage_of_store(self.store)

    def usage_of(self, execution_id: str) -> ExecutionUsage:
        """How many bytes one execution takes, by step and by variable. Raises UnknownExecutionError."""
        require_known(self.store, execution_id)
        return usage_of_execution(self.store, ExecutionId(execution_id))

    def value(self, encoded: Encoded) -> Any:
        """The value of a recorded form, to be shown: an object of a class not imported here comes as its fields."""
        return decode(encoded, self.store.get_blob, plain=True)

    def close(self) -> None:
        """Bring everything to the disk and close the store, where it was opened here."""
        if self._owns_store:
            self.store.sync()
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _inputs_of(pipeline: Runnable, inputs: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return pipeline.bind_named(inputs or {}) if isinstance(pipeline, PipelineFunction) else inputs
