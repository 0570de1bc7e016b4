"""Orchestrator: the one place that wires concrete parts together.

A store, a runner, the step kinds and the engine meet here and nowhere else. Opening costs little: the store's file is
opened at the first use, and processes are started when a step needs one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import HandlerNotFoundError, OrchestratorError
from orchestrator.execution.driver import Attempt
from orchestrator.execution.engine import (
    EngineParts,
    ExecutionResult,
    NoteSubscriber,
    StateGraphEngine,
    post_answer,
    require_known,
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
from orchestrator.runners.handlers import resolve_handler
from orchestrator.runners.leftovers import end_leftovers
from orchestrator.runners.local import LocalRunner
from orchestrator.steps import KINDS
from orchestrator.steps.handlers_check import check_with_handlers
from orchestrator.storage import open_store, this_owner
from orchestrator.types import ExecutionId

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
    store cannot be opened.
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
    ) -> ExecutionResult:
        """Run a pipeline (or the file of one) to its end.

        Raises PipelineError or InputError before anything ran; a failed step is in the result (`raise_for_status`).
        """
        return _run_to_end(lambda: self.arun(pipeline, inputs, execution_id=execution_id))

    async def arun(
        self,
        pipeline: Pipeline | str | Path,
        inputs: Mapping[str, Any] | None = None,
        *,
        execution_id: str | None = None,
    ) -> ExecutionResult:
        """`run` for code on an event loop."""
        from orchestrator.pipelines.model import Pipeline

        definition = Pipeline.load(Path(pipeline)) if isinstance(pipeline, str | Path) else pipeline
        plan = self._planned(definition)
        return await self._with_engine(lambda engine: engine.execute(plan, inputs, execution_id))

    def _planned(self, pipeline: Pipeline) -> Plan:
        """The plan of a pipeline: made once, however often the same one is run."""
        key = (pack(pipeline.canonical()), pipeline.base_dir)
        plan = self._plans.pop(key, None) or plan_checked(pipeline)
        self._plans[key] = plan
        if len(self._plans) > _PLANS_KEPT:
            del self._plans[next(iter(self._plans))]
        return plan

    def resume(self, execution_id: str) -> ExecutionResult:
        """Go on with an execution that was interrupted or whose process died; gives the result where it completed."""
        return _run_to_end(lambda: self.aresume(execution_id))

    async def aresume(self, execution_id: str) -> ExecutionResult:
        """`resume` for code on an event loop."""
        return await self._with_engine(lambda engine: engine.resume(execution_id))

    def retry(self, execution_id: str, step: str | None = None) -> ExecutionResult:
        """Run the failed steps of a failed execution again, or the one named; what succeeded is kept."""
        return _run_to_end(lambda: self.aretry(execution_id, step))

    async def aretry(self, execution_id: str, step: str | None = None) -> ExecutionResult:
        """`retry` for code on an event loop."""
        return await self._with_engine(lambda engine: engine.retry(execution_id, step))

    def answer(self, execution_id: str, step: str, decision: str, value: Any = None, by: str | None = None) -> None:
        """Answer a step that waits for a person: `retry` it, `skip` it with this value, or `abort` it.

        The answer is kept. An execution that runs takes it within about a second, one that is paused when it is
        resumed. Raises UnknownExecutionError, and InputError where the step does not wait.
        """
        require_known(self.store, execution_id)
        post_answer(self.store, execution_id, step, decision, value, by)
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

    async def _with_engine(
        self, do: Callable[[StateGraphEngine], Coroutine[Any, Any, ExecutionResult]]
    ) -> ExecutionResult:
        """Lend the engine of the running loop, which all executions on that loop share; the last one closes it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            lent = self._lent.get(loop) or self._lent.setdefault(loop, self._open_engine())
            lent.users += 1
        try:
            return await do(lent.engine)
        finally:
            with self._lock:
                lent.users -= 1
                last = not lent.users
                if last:
                    del self._lent[loop]
            if last:
                await lent.runner.close()
                lent.engine.close()

    def _open_engine(self) -> _Lent:
        runner = LocalRunner(
            self._owner.token,
            clock=self.clock,
            capture_prints=self._capture_prints,
            mark_environment=self._capture_prints,
        )
        parts = EngineParts(self.store, runner, KINDS, self._owner, _end_children, _import_handlers)
        engine = StateGraphEngine(parts, clock=self.clock, subscribers=self._on_event, note_subscribers=self._on_note)
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
    return EngineParts(store, _RunnerAtNeed(owner), KINDS, owner, _end_children, _import_handlers)


def _run_to_end(make: Callable[[], Coroutine[Any, Any, ExecutionResult]]) -> ExecutionResult:
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
    """Import what the steps call, which recorded values may be of; gives which steps' handlers cannot be had."""
    steps = {step.id: step.target for step in plan.steps.values() if step.target is not None}
    faults: dict[str, HandlerNotFoundError] = {}
    for target in set(steps.values()):
        try:
            resolve_handler(target, str(plan.base_dir or ""))
        except HandlerNotFoundError as error:
            faults[target] = error
    return {step_id: faults[target] for step_id, target in steps.items() if target in faults}


def validate(pipeline: Pipeline) -> None:
    """Check a pipeline as far as is possible without running it: names, scopes, graph, handlers and their arguments.

    Imports the modules of its handlers. Raises PipelineFileError with every fault.
    """
    plan_checked(pipeline)


def plan_checked(pipeline: Pipeline) -> Plan:
    """The plan of a pipeline that `validate` finds nothing wrong with. Raises as that does."""
    base_dir = str(pipeline.base_dir or "")
    with without_collection():
        return make_plan(pipeline, check_with_handlers(pipeline, lambda target: resolve_handler(target, base_dir)))


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
