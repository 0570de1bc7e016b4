"""Orchestrator: the one place that wires concrete parts together.

A store, a runner, the step kinds and the engine meet here and nowhere else. Opening costs little: the store's file is
opened at the first use, and processes are started when a step needs one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import HandlerNotFoundError, OrchestratorError
from orchestrator.execution.driver import Attempt
from orchestrator.execution.engine import (
    PATIENCE_SECONDS,
    CheckpointInfo,
    EngineParts,
    ExecutionPlan,
    ExecutionResult,
    NoteSubscriber,
    Question,
    StateGraphEngine,
    open_questions,
    post_answer,
    post_signal,
    require_known,
    steps_of,
)
from orchestrator.execution.engine.collecting import without_collection
from orchestrator.execution.integration import Subscriber
from orchestrator.execution.progress import ProgressTrackerProtocol
from orchestrator.execution.recovery import RecoveryManager
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.step_usage import ExecutionUsage, usage_of_execution
from orchestrator.journal.store import Note, Owner, Query, Store, Summary
from orchestrator.journal.usage import Usages, usage_of_store
from orchestrator.pipelines.plan import Plan, make_plan
from orchestrator.runners.handlers import resolve_handler, source_hash
from orchestrator.runners.leftovers import end_leftovers
from orchestrator.runners.local import LocalRunner
from orchestrator.status import ExecutionStatus
from orchestrator.steps import KINDS
from orchestrator.steps.handlers_check import check_with_handlers
from orchestrator.storage import open_store, this_owner
from orchestrator.types import ExecutionId

T = TypeVar("T")

if TYPE_CHECKING:  # pydantic is loaded when a pipeline is, not for a look at a store
    from orchestrator.pipelines.model import Pipeline


#: Plans that an Orchestrator keeps for the next execution of the same pipeline.
_PLANS_KEPT = 32


@dataclass(slots=True)
class _Lent:
    """The engine of one event loop, its runner, and how many executions use them now."""

    engine: StateGraphEngine
    runner: LocalRunner
    users: int = 0


class Orchestrator:
    """Runs pipelines and shows what became of them. Use it as a `with` block, or call `close`.

    `progress` is told of every execution, `recovery` is asked what follows when an attempt of a step failed.

    `store` is a path, a URL (`sqlite:PATH`, `memory:`) or an open Store; by default `.orchestrator/journal.db` in the
    working folder. `durability` is `disk` (each result is on the disk before the next step starts), `process`
    (survives the death of the process, not of the machine) or `none` (kept in memory). Raises StoreError where the
    store cannot be opened. An execution that waits for a time at most `patience_seconds` away waits here for it.
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
        self._patience_seconds = patience_seconds
        self._code = HandlerCode()
        self._lent: dict[asyncio.AbstractEventLoop, _Lent] = {}
        #: By what they were made of, the one that was used last at the end.
        self._plans: dict[tuple[bytes, Path | None], Plan] = {}
        self._lock = threading.Lock()
        self._owner = this_owner(self.clock)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(
        self,
        pipeline: Pipeline | str | Path,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run a pipeline (or the file of one) to its end, or until it waits for what is not near.

        With `wait` it stays until the end, however long that waits. An id that is taken is gone on with, where pipeline
        and inputs are the same. Raises PipelineError or InputError before anything ran; a failed step is in the result
        (`raise_for_status`).
        """
        return _run_to_end(lambda: self.arun(pipeline, inputs, execution_id=execution_id, wait=wait))

    async def arun(
        self,
        pipeline: Pipeline | str | Path,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
        wait: bool = False,
    ) -> ExecutionResult:
        """`run` for code on an event loop."""
        plan = self._loaded(pipeline)
        return await self._with_engine(lambda engine: engine.execute(plan, inputs, execution_id, wait=wait))

    def start(
        self,
        pipeline: Pipeline | str | Path,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
    ) -> ExecutionId:
        """Make an execution without running it; `resume` or a scheduler begins it. Raises as `run` does."""
        return _run_to_end(lambda: self.astart(pipeline, inputs, execution_id=execution_id))

    async def astart(
        self,
        pipeline: Pipeline | str | Path,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
    ) -> ExecutionId:
        """`start` for code on an event loop."""
        plan = self._loaded(pipeline)
        return await self._with_engine(lambda engine: engine.create(plan, inputs, execution_id))

    def _loaded(self, pipeline: Pipeline | str | Path) -> Plan:
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
        pipeline: Pipeline | str | Path | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Go on with an execution that was interrupted or whose process died; gives the result where it completed.

        With `pipeline` that definition holds from here on; where it changes steps that have ended, InputError tells
        which, unless `accept_changes` is set.
        """
        return _run_to_end(
            lambda: self.aresume(execution_id, pipeline=pipeline, accept_changes=accept_changes, wait=wait)
        )

    async def aresume(
        self,
        execution_id: str,
        *,
        pipeline: Pipeline | str | Path | None = None,
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
        pipeline: Pipeline | str | Path | None = None,
        accept_changes: bool = False,
        wait: bool = False,
    ) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept.

        `pipeline` and `accept_changes` are those of `resume`.
        """
        return _run_to_end(
            lambda: self.aretry(execution_id, step, pipeline=pipeline, accept_changes=accept_changes, wait=wait)
        )

    async def aretry(
        self,
        execution_id: str,
        step: str | None = None,
        *,
        pipeline: Pipeline | str | Path | None = None,
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
        return _run_to_end(lambda: self.arerun(execution_id, step, by=by, wait=wait))

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
        _run_to_end(lambda: self.acancel(execution_id, reason, by))

    async def acancel(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """`cancel` for code on an event loop."""
        await self._with_engine(lambda engine: engine.cancel(execution_id, reason, by), execution_id)

    def pause(self, execution_id: str, reason: str = "", by: str | None = None) -> None:
        """Start nothing new of an execution, and pause it when what runs has ended; `resume` alone goes on.

        Raises as `cancel` does.
        """
        _run_to_end(lambda: self.apause(execution_id, reason, by))

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
        parts = EngineParts(
            self.store, runner, KINDS, self._owner, _end_children, _import_handlers, self._code.hashes_of
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
        return _Lent(engine, runner)

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
        pipeline: Pipeline | str | Path | None = None,
    ) -> ExecutionPlan:
        """What `resume`, `retry` or `rerun` would do with each step, and why; nothing is changed.

        Raises UnknownExecutionError, and InputError where the verb does not fit.
        """
        plan = None if pipeline is None else self._loaded(pipeline)
        return self._with_idle_engine(lambda engine: engine.plan(execution_id, verb, step, plan))

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


class _RunnerAtNeed:
    """A runner that is made at the first attempt and again after it was closed: for an engine of many loops."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._runner: LocalRunner | None = None

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Run the attempt's work; awaiting it gives its value."""
        if self._runner is None:
            self._runner = LocalRunner(self._owner.token)
        return self._runner.invoke(attempt)

    def interrupt(self) -> None:
        """Ask everything that runs in processes to end."""
        if self._runner is not None:
            self._runner.interrupt()

    async def close(self) -> None:
        """End whatever is left."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.close()


def engine_parts() -> EngineParts:
    """What an engine takes that was given nothing: the default store, a runner for this machine."""
    clock = SystemClock()
    owner = this_owner(clock)
    store = open_store(None, durability="disk", clock=clock)
    hashes = HandlerCode().hashes_of
    return EngineParts(store, _RunnerAtNeed(owner), KINDS, owner, _end_children, _import_handlers, hashes)


def _run_to_end(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on an event loop of its own. Raises OrchestratorError inside of a running one, as in a notebook."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise OrchestratorError(
            "an event loop runs here already (a notebook?); use `await arun(...)` instead of `run(...)`"
        )
    # Not in an `except` block: whatever a handler raises would have that error as its context.
    return asyncio.run(make())


def _end_children(dead: Owner) -> None:
    end_leftovers(dead.token)


def _import_handlers(plan: Plan) -> Mapping[str, HandlerNotFoundError]:
    """Import what the steps call, which recorded values may be of.

    Gives which steps of the pipeline itself cannot have theirs; what a step inside of another lacks, it tells when it
    runs.
    """
    faults: dict[tuple[str, str], HandlerNotFoundError] = {}
    for member in (plan, *plan.pipelines.values()):
        folder = str(member.base_dir or "")
        for target in {step.target for step in steps_of(member) if step.target is not None}:
            try:
                resolve_handler(target, folder)
            except HandlerNotFoundError as error:
                faults[target, folder] = error
    folder = str(plan.base_dir or "")
    return {
        step.id: faults[step.target, folder]
        for step in plan.steps.values()
        if step.target is not None and (step.target, folder) in faults
    }


class HandlerCode:
    """Short hashes of the handlers' source, each read once. Two threads that ask at once read the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        #: Of the plans that were asked for last: a pipeline is often run many times.
        self._of_plans: dict[tuple[str, Path | None], Mapping[str, str]] = {}

    def hashes_of(self, plan: Plan) -> Mapping[str, str]:
        """`module:function` -> hash, for every handler whose source can be had."""
        key = (plan.fingerprint, plan.base_dir)
        found = self._of_plans.get(key)
        if found is None:
            found = self._of_plans[key] = self._read(plan)
            if len(self._of_plans) > _PLANS_KEPT:
                self._of_plans.pop(next(iter(self._of_plans)), None)
        return found

    def _read(self, plan: Plan) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for member in {id(member): member for member in (plan, *plan.pipelines.values())}.values():
            folder = str(member.base_dir or "")
            for step in steps_of(member):
                if step.target is not None and (value := self._hash(step.target, folder)):
                    found[step.target] = value
        return found

    def _hash(self, target: str, folder: str) -> str:
        known = self._known.get((target, folder))
        if known is None:
            known = self._known[target, folder] = source_hash(target, folder)
        return known


def validate(pipeline: Pipeline) -> None:
    """Check a pipeline as far as is possible without running it: names, scopes, graph, handlers and their arguments.

    Imports the modules of its handlers. Raises PipelineFileError with every fault.
    """
    plan_checked(pipeline)


def plan_checked(pipeline: Pipeline) -> Plan:
    """The plan of a pipeline that `validate` finds nothing wrong with. Raises as that does."""
    with without_collection():
        return make_plan(
            pipeline, check_with_handlers(pipeline, lambda target, folder: resolve_handler(target, str(folder or "")))
        )


def run(
    pipeline: Pipeline | str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> ExecutionResult:
    """Run a pipeline (or the file of one) to its end. Raises ExecutionFailedError where a step failed for good."""
    with Orchestrator(store, durability=durability) as orchestrator:
        return orchestrator.run(pipeline, inputs, execution_id=execution_id).raise_for_status()


async def arun(
    pipeline: Pipeline | str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> ExecutionResult:
    """`run` for code on an event loop."""
    with Orchestrator(store, durability=durability) as orchestrator:
        return (await orchestrator.arun(pipeline, inputs, execution_id=execution_id)).raise_for_status()


def resume(execution_id: str, *, store: str | Path | Store | None = None, durability: str = "disk") -> ExecutionResult:
    """Go on with an execution that was interrupted or whose process died."""
    with Orchestrator(store, durability=durability) as orchestrator:
        return orchestrator.resume(execution_id).raise_for_status()
