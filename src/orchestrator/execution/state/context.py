"""The execution context: the verbs that change one execution's state. Those that look at it are the reader's.

A verb decides its events (`deciding`) and records them. Alone, a context applies them at once. With a *recorder* it
hands them over, and whoever has made them durable calls `apply` and `deliver`: then a verb returns when its recorder
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import InputError
from orchestrator.execution.state import deciding, restoring, transfer
from orchestrator.execution.state.applied import Applied
from orchestrator.execution.state.applying import apply, join
from orchestrator.execution.state.checking import Part, check_count, check_id
from orchestrator.execution.state.checkpoints import INITIAL, Checkpoint, checkpoint_due
from orchestrator.execution.state.handlers import WithFirst
from orchestrator.execution.state.reading import ContextReader
from orchestrator.execution.state.step_contexts import StepContexts
from orchestrator.execution.variables import Change, GetBlob, VariableContext, VariableManager
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ENDED, ExecutionStatus
from orchestrator.types import ExecutionId, StepKey


class Recorder(Protocol):
    """Makes events durable, then has the context apply them."""

    def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
        """Take the events of one verb, which belong together; return when applied. Called with no lock held."""
        ...


class StateManager(Protocol):
    """Where states are kept."""

    def save_state(self, context: ExecutionContext) -> bool:
        """Keep the context's state in place of an earlier one."""
        ...

    def load_state(self, execution_id: str) -> ExecutionContext | None:
        """The context as it was last saved; None where it never was."""
        ...


class ExecutionContext(ContextReader):
    """One execution: its life, steps, variables, checkpoints and nested contexts. Thread-safe.

    An id of a step is any text. Many steps may run at once; a step that ended may be started again, and counts where it
    stands now. Illegal moves raise IllegalMoveError; `pause_execution` and `resume_execution` return False instead.

    Handlers are called in order, with no lock held, and have run when an uncontended verb returns.
    """

    __slots__ = (
        "_auto_save",
        "_recorder",
        "_state_manager",
        "parent_context",
    )

    def __init__(
        self,
        execution_id: str,
        pipeline_id: str,
        parent_context: ExecutionContext | None = None,
        *,
        clock: Clock | None = None,
        variable_manager: VariableManager | None = None,
        recorder: Recorder | None = None,
        get_blob: GetBlob | None = None,
    ) -> None:
        check_id("execution_id", execution_id)
        check_id("pipeline_id", pipeline_id)
        parent = None if parent_context is None else parent_context._state
        clock = clock or (parent.clock if parent is not None else SystemClock())
        self.parent_context = parent_context
        self._recorder = recorder
        self._state_manager: StateManager | None = None
        self._auto_save: Callable[[], None] | None = None
        manager = variable_manager or VariableManager(
            pipeline_id, clock=clock, parent=parent_context.variable_manager if parent_context is not None else None
        )
        record = ExecutionRecord(ExecutionId(execution_id), pipeline_id)
        super().__init__(Applied(self, record, manager, clock, parent, recorder is None, get_blob))
        contexts = StepContexts(self._state)
        manager.running_step, manager.entering_step = contexts.present, contexts.enter
        if parent is not None:
            join(self._state, parent)

    # -- its life ----------------------------------------------------------------------------------------------------

    def start_execution(self) -> None:
        """Begin, and make the initial checkpoint. A failed execution begins again.

        Raises IllegalMoveError, also where a context around it is paused or cancelled.
        """
        self._record(self._start)

    def _start(self) -> list[Event]:
        events = deciding.start(self.record)
        deciding.check_around(self.record, self._around())
        return [*events, *([] if self._state.marks.initial else [self._state.new_checkpoint(INITIAL)])]

    def _around(self) -> Iterator[ExecutionRecord]:
        """The contexts that this one is nested in, the nearest first.

        They are read without their locks, which come before this one's: one that is paused or cancelled right now
        tells this one next.
        """
        parent = self._state.parent
        while parent is not None:
            yield parent.record
            parent = parent.parent

    def complete_execution(self, success: bool = True) -> None:
        """End it: COMPLETED or FAILED. Raises IllegalMoveError, for example where it was not started."""
        self._record(lambda: deciding.complete(self.record, None if success else {}))

    def pause_execution(self, reason: str = "") -> bool:
        """Pause it and the contexts nested in it; False where it does not run."""
        return self._record(lambda: deciding.pause(self.record, reason))

    def resume_execution(self) -> bool:
        """Go on, with the nested contexts that were paused with it; False where it is not paused.

        False as well where a context around it is paused or cancelled.
        """
        return self._record(lambda: deciding.resume(self.record, self._around()))

    def cancel_execution(self, reason: str = "") -> None:
        """Give it up: what runs of it is cancelled, and so are the contexts nested in it. Raises IllegalMoveError."""
        self._record(lambda: deciding.cancel(self.record, reason))

    start = start_execution
    complete = complete_execution

    def __enter__(self) -> ExecutionContext:
        self.start_execution()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._record(lambda: self._end_block(error))

    def _end_block(self, error: BaseException | None) -> list[Event]:
        """A block that ended its execution itself, or left it paused, has said how it stands."""
        if self.status in ENDED or (error is None and self.status is ExecutionStatus.PAUSED):
            return []
        return deciding.complete(self.record, None if error is None else self._error_data(error))

    # -- its steps ---------------------------------------------------------------------------------------------------

    def start_step(self, step_id: str, name: str = "") -> None:
        """Start a step; a further attempt where it runs, a new round where it has ended."""
        self._record(lambda: deciding.start_step(self.record, step_id, name))

    def complete_step(self, step_id: str, success: bool = True, error: object = None) -> None:
        """End a step: completed or failed. One that was not started starts first. Raises IllegalMoveError.

        `error` is an exception, an ErrorInfo or a text; it counts where `success` is False.
        """
        self._record(lambda: self._complete_step(step_id, success, error))

    def _complete_step(self, step_id: str, success: bool, error: object) -> list[Event]:
        events = deciding.complete_step(self.record, step_id, None if success else self._error_data(error, step_id))
        due = success and checkpoint_due(self.completed_steps + 1, self._state.every)
        return [*events, self._state.new_checkpoint("", StepKey(step_id))] if due else events

    def skip_step(self, step_id: str, reason: str = "") -> None:
        """Leave a step out. Raises IllegalMoveError where it has ended."""
        self._record(lambda: deciding.skip_step(self.record, step_id, reason))

    def retry_step(self, step_id: str, error: object = None, delay_seconds: float = 0.0) -> None:
        """Note that a step's attempt failed and another one is due. Raises IllegalMoveError where it has ended."""
        due_at = self.clock.time() + delay_seconds
        self._record(lambda: deciding.retry_step(self.record, step_id, self._error_data(error, step_id), due_at))

    def _error_data(self, error: object, step_id: str | None = None) -> Mapping[str, Any]:
        return deciding.error_data(error, self.clock, self.execution_id, step_id)

    @property
    def total_steps(self) -> int:
        """How many steps there are: what was set, or more, where more have begun."""
        return self.metrics.steps_total

    @total_steps.setter
    def total_steps(self, total: int) -> None:
        check_count("total_steps", total, 0)
        with self._state.lock:
            self._state.tally.expected = total
            self._state.tally.count_total()
            self._state.touch()

    # -- checkpoints -------------------------------------------------------------------------------------------------

    @property
    def max_checkpoints(self) -> int:
        """How many are kept, the initial one included: it is never dropped, nor are the newest and the pinned ones.

        One that is lowered drops at once.
        """
        return self._state.max_kept

    @max_checkpoints.setter
    def max_checkpoints(self, most: int) -> None:
        check_count("max_checkpoints", most, 1)
        self._state.max_kept = most
        self._state.drop_surplus()

    @property
    def pinned_checkpoints(self) -> frozenset[str]:
        """Ids and descriptions whose checkpoints are never dropped; of one description that is the newest."""
        return self._state.pinned

    @pinned_checkpoints.setter
    def pinned_checkpoints(self, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise InputError("pinned_checkpoints is a set of texts, as in {'loaded'}")
        self._state.pinned = frozenset(names)

    @property
    def auto_checkpoint_steps(self) -> int:
        """After how many completed steps a checkpoint is made by itself; 0 for never."""
        return self._state.every

    @auto_checkpoint_steps.setter
    def auto_checkpoint_steps(self, every: int) -> None:
        check_count("auto_checkpoint_steps", every, 0)
        self._state.every = every

    def create_checkpoint(self, description: str | None = None) -> Checkpoint:
        """Remember how everything stands now, to come back to. What it costs is what changes from here on."""
        created = self.new_checkpoint(description or "", self.current_step_id)
        awaited, found = self._state.awaited, list[Checkpoint]()
        awaited[created.checkpoint] = found.append
        try:
            self._record(lambda: [created])
        finally:
            del awaited[created.checkpoint]
        return found[0]

    def new_checkpoint(self, description: str = "", step_id: str | None = None) -> ev.CheckpointCreated:
        """The event of a checkpoint under a new id, for whoever records events itself; nothing is changed."""
        with self._state.lock:
            return self._state.new_checkpoint(description, None if step_id is None else StepKey(step_id))

    def restore_checkpoint(self, id: str) -> bool:
        """Bring steps, variables, metrics and nested contexts to where they stood; False where there is no such one.

        `id` is a checkpoint's id or its description. What differs gets a new version by `restore:<id>`, what came later
        is deleted. Checkpoints, histories and the budgets of retries and rollbacks are not set back, and the status
        only where the execution has ended.
        """
        return self._record(lambda: [event for event, _ in [self._plan(id, None, self._recorder is not None)] if event])

    def plan_restore(
        self, checkpoint_id: str, cause: str | None = None
    ) -> tuple[ev.ExecutionRestored, tuple[Change, ...]] | None:
        """What a restore would be: its event, for whoever records events itself, and its changes of variables.

        `cause` is the step whose recovery asks for it. None where there is no such checkpoint. Raises EncodeError where
        a value that is to come back cannot be encoded.
        """
        with self._state.lock:
            event, changes = self._plan(checkpoint_id, cause, encode=True)
        return None if event is None else (event, changes)

    def _plan(
        self, name: str, cause: str | None, encode: bool
    ) -> tuple[ev.ExecutionRestored | None, tuple[Change, ...]]:
        mark = self._state.marks.find(name)
        if mark is None:
            return None, ()
        return restoring.plan(self._state, mark, None if cause is None else StepKey(cause), encode)

    # -- nested contexts ---------------------------------------------------------------------------------------------

    def create_nested_context(self, id: str) -> ExecutionContext:
        """A context within this one, whose execution id is `parent.id`. Raises InputError where there is one already.

        It reads this one's GLOBAL variables and writes only its own. Pausing and cancelling reach it: it does not start
        while this one is paused, and is cancelled from the first where this one was.
        """
        check_id("a nested context's id", id)
        return ExecutionContext(f"{self.execution_id}.{id}", self.pipeline_id, self)

    def destroy_nested_context(self, id: str) -> bool:
        """Let a nested context go; False where there is none. A restore brings it back, if it was there then."""
        return self._state.detach(id) is not None

    @property
    def nested_contexts(self) -> dict[str, ExecutionContext]:
        """The nested contexts by their ids."""
        with self._state.lock:
            return {name: inner.owner for name, inner in (self._state.nested or {}).items()}

    # -- variables ---------------------------------------------------------------------------------------------------

    @contextmanager
    def variable_scope(self) -> Iterator[VariableContext]:
        """A `with` block over variables of its own."""
        with VariableContext(self.variable_manager) as scope:
            yield scope

    # -- recording ---------------------------------------------------------------------------------------------------

    def record_events(self, events: Sequence[Event]) -> None:
        """Record events that another room has decided; they belong together."""
        self._record(lambda: events)

    def _record(self, decide: Callable[[], Sequence[Event]]) -> bool:
        """Decide and record, with nothing in between where the context is alone; False where there is nothing to do."""
        state = self._state
        with state.lock:
            events = decide()
            if self._recorder is None:
                for event in events:
                    apply(state, state.entry(event))
        if self._recorder is None:
            self.deliver()
        elif events:
            self._recorder.record(self, events)
        return bool(events)

    def apply(self, entry: Entry) -> None:
        """Take in an entry: the one place that changes the state. `deliver` must follow, with no lock held."""
        apply(self._state, entry)

    def pass_over(self, checkpoints: frozenset[str]) -> None:
        """Remember nothing for these checkpoints, when they are applied."""
        self._state.passing = checkpoints

    def deliver(self) -> None:
        """Call the handlers of what was applied, in order, unless somebody is at it."""
        self._state.deliver()

    def on_status_change(self, handler: Callable[[ExecutionContext], object]) -> Callable[[], None]:
        """Call `handler(context)` when the status has changed."""
        return self._state.handlers().statuses.add(WithFirst(handler, self, with_status=False))

    # -- keeping -----------------------------------------------------------------------------------------------------

    def set_state_manager(self, manager: StateManager | None, *, auto_save: bool = False) -> None:
        """Where `save_state` saves; with `auto_save` at every change of the status and every checkpoint as well."""
        if self._auto_save is not None:
            self._auto_save()
            self._auto_save = None
        self._state_manager = manager
        if manager is not None and auto_save:
            self._auto_save = self.subscribe(self._save_after)

    def _save_after(self, entry: Entry) -> None:
        if isinstance(entry.event, _SAVED_AFTER):
            self.save_state()

    def save_state(self) -> bool:
        """Keep the state; False where no state manager was set. Raises what the manager raises."""
        return self._state_manager is not None and self._state_manager.save_state(self)

    @staticmethod
    def load_state(execution_id: str, state_manager: StateManager) -> ExecutionContext | None:
        """The context as it was last saved there; None where it never was. Raises what the manager raises."""
        context = state_manager.load_state(execution_id)
        if context is not None:
            context.set_state_manager(state_manager)
        return context

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, clock: Clock | None = None) -> ExecutionContext:
        """The context that `export_state` was called on. Raises InputError, which names the part that is wrong."""
        return cls._read(Part(state, "state"), None, clock)

    @classmethod
    def _read(cls, part: Part, parent: ExecutionContext | None, clock: Clock | None) -> ExecutionContext:
        part.version(transfer.FORMAT_VERSION)
        try:
            context = cls(part.text("execution_id"), part.text("pipeline_id"), parent, clock=clock)
            transfer.read_into(context._state, part, lambda inner: cls._read(inner, context, clock)._state)
        except RecursionError:
            raise InputError(f"{part.where}: contexts are nested too deeply") from None
        return context

    def cleanup(self) -> None:
        """Release what only a living execution needs: checkpoints, histories, kept results, nested contexts' likewise.

        What it came to stays: status, steps, variables, metrics.
        """
        state = self._state
        with state.lock:
            for mark in state.marks.checkpoints:
                state.forget_mark(mark)
            state.values.manager.release()
        for nested in self.nested_contexts.values():
            nested.cleanup()


_SAVED_AFTER = (
    ev.ExecutionClaimed,
    ev.ExecutionPaused,
    ev.ExecutionCompleted,
    ev.ExecutionFailed,
    ev.ExecutionCancelled,
    ev.ExecutionRestored,
    ev.CheckpointCreated,
)
