"""Reading an execution: where it and its steps stand, its counts and checkpoints, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.clock import Clock
from orchestrator.execution.state import transfer
from orchestrator.execution.state.applied import Applied
from orchestrator.execution.state.checkpoints import Checkpoint
from orchestrator.execution.state.handlers import WithFirst
from orchestrator.execution.state.metrics import ExecutionMetrics
from orchestrator.execution.variables import VariableManager
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus


class ContextReader:
    """What of an `ExecutionContext` changes nothing. Thread-safe."""

    __slots__ = ("__weakref__", "_state")

    def __init__(self, state: Applied) -> None:
        self._state = state

    @property
    def execution_id(self) -> str:
        """The id of this execution."""
        return self._state.record.execution_id

    @property
    def pipeline_id(self) -> str:
        """The pipeline that it runs."""
        return self._state.record.pipeline_id

    @property
    def record(self) -> ExecutionRecord:
        """The fold of its events; to be read."""
        return self._state.record

    @property
    def status(self) -> ExecutionStatus:
        """Where it stands."""
        return self._state.record.status

    @property
    def metrics(self) -> ExecutionMetrics:
        """Its counts and times: one object, which goes on changing with the execution."""
        return self._state.tally.metrics

    @property
    def variable_manager(self) -> VariableManager:
        """Its variables."""
        return self._state.values.manager

    @property
    def clock(self) -> Clock:
        """The clock that it goes by."""
        return self._state.clock

    # -- its steps and checkpoints -----------------------------------------------------------------------------------

    @property
    def current_step_id(self) -> str | None:
        """The step that was started most recently and still runs; None where none does."""
        return self._state.tally.current

    @property
    def running_steps(self) -> list[str]:
        """The ids of the steps that run, in the order in which they were started."""
        with self._state.lock:
            return list(self._state.tally.running)

    @property
    def completed_steps(self) -> int:
        """How many steps stand completed."""
        return self.metrics.steps_completed

    @property
    def failed_steps(self) -> int:
        """How many steps stand failed."""
        return self.metrics.steps_failed

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those that are kept, oldest first."""
        with self._state.lock:
            return [mark.checkpoint for mark in self._state.marks.checkpoints if mark.checkpoint is not None]

    # -- events ------------------------------------------------------------------------------------------------------

    def subscribe(self, handler: Callable[[Entry], object]) -> Callable[[], None]:
        """Call `handler(entry)` for everything that happens, in order; gives what unsubscribes."""
        return self._state.handlers().entries.add(handler)

    def on_step_event(self, handler: Callable[[str, str], object]) -> Callable[[], None]:
        """Call `handler(step_id, event)` with started, completed, failed, skipped, retrying or cancelled."""
        return self._state.handlers().steps.add(handler)

    def add_status_handler(self, handler: Callable[[str, ExecutionStatus], object]) -> Callable[[], None]:
        """Call `handler(execution_id, status)` when the status has changed."""
        return self._state.handlers().statuses.add(WithFirst(handler, self.execution_id, with_status=True))

    @property
    def handler_faults(self) -> int:
        """How often a handler raised; each is logged when it first does."""
        return 0 if self._state.listening is None else self._state.listening.faults

    # -- out ---------------------------------------------------------------------------------------------------------

    def export_state(self) -> dict[str, Any]:
        """Everything as plain data with native values, the checkpoints and nested contexts included.

        TEMPORARY variables, histories and handlers are left out.
        """
        return transfer.export(self._state)
