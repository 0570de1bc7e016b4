"""What progress asks of its neighbours, and what they may ask of it. Nothing here is imported from their rooms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus

Unsubscribe = Callable[[], object]


@runtime_checkable
class ProgressTrackerProtocol(Protocol):
    """What an engine tells a tracker; an object of your own with these methods is one."""

    def on_execution_started(self, execution_id: str, total_steps: int, /) -> None:
        """An execution began."""
        ...

    def on_execution_completed(self, execution_id: str, success: bool, /) -> None:
        """An execution ended."""
        ...

    def on_step_started(self, execution_id: str, step_id: str, step_name: str, /) -> None:
        """A step began."""
        ...

    def on_step_completed(self, execution_id: str, step_id: str, step_name: str, success: bool, /) -> None:
        """A step ended."""
        ...

    def update_step_progress(self, execution_id: str, step_id: str, progress: float, /) -> None:
        """A step is this far, from 0 to 100."""
        ...


class WatchedContext(Protocol):
    """An execution that tells what happens to it, and takes the verbs that change it."""

    @property
    def execution_id(self) -> str:
        """Which execution it is."""
        ...

    @property
    def status(self) -> ExecutionStatus:
        """Where it stands."""
        ...

    @property
    def total_steps(self) -> int:
        """How many steps it has, as far as it knows; 0 where it does not."""
        ...

    @total_steps.setter
    def total_steps(self, total: int, /) -> None: ...

    @property
    def record(self) -> ExecutionRecord:
        """What is known of it."""
        ...

    def subscribe(self, handler: Callable[[Entry], object], /) -> Unsubscribe:
        """Call the handler with every entry from now on, in order; gives a function that ends it."""
        ...

    def start_execution(self) -> object:
        """Start it."""
        ...

    def complete_execution(self, success: bool = True, /) -> object:
        """End it."""
        ...

    def start_step(self, step_id: str, name: str = "", /) -> object:
        """Start a step."""
        ...

    def complete_step(self, step_id: str, success: bool = True, error: str | None = None, /) -> object:
        """End a step."""
        ...

    def skip_step(self, step_id: str, reason: str = "", /) -> object:
        """Leave a step out."""
        ...


class WatchedVariables(Protocol):
    """Variables that tell when they are set."""

    @property
    def pipeline_id(self) -> str:
        """Whose variables they are."""
        ...

    def on_variable_created(self, handler: Callable[[str, Any], object], /) -> Unsubscribe:
        """Call the handler with the name and the value of each new one."""
        ...

    def on_variable_changed(self, handler: Callable[[str, Any, Any], object], /) -> Unsubscribe:
        """Call the handler with the name, the old value and the new one of each that is set again."""
        ...
