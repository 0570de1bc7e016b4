"""The verbs of a tracker, for one execution: whoever records it carries them out.

An execution has one recorder. One that a tracker was given a context for is recorded by the context: its verbs are
asked, and what they record comes back as entries, like those of an engine. Any other is recorded by the tracker.
Reports (how far a step is) are nobody's record: they are told, and kept in the book alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.execution.progress.book import Book
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.protocols import WatchedContext
from orchestrator.status import ENDED, ExecutionStatus


@dataclass(frozen=True, slots=True)
class OwnVerbs:
    """The tracker records: what is decided is taken in. A verb about a step starts an execution that nobody started."""

    book: Book
    id: str

    def start_execution(self, total_steps: int) -> None:
        """Start it, or take over how many steps it has."""
        self.book.perform(self.id, lambda decide: decide.start_execution(total_steps))

    def complete_execution(self, success: bool) -> None:
        """End it, once."""
        self.book.perform(self.id, lambda decide: decide.complete_execution(success))

    def start_step(self, step_id: str, name: str | None) -> None:
        """Start a step that does not run."""
        self._perform(lambda decide: decide.start_step(step_id, name))

    def complete_step(self, step_id: str, success: bool, message: str | None, percentage: float) -> None:
        """End a step that has not ended."""
        self._perform(lambda decide: decide.complete_step(step_id, success, message, percentage))

    def skip_step(self, step_id: str, reason: str) -> None:
        """Leave out a step that has not ended."""
        self._perform(lambda decide: decide.skip_step(step_id, reason))

    def report(self, step_id: str, percentage: float | None, message: str | None, **data: Any) -> None:
        """Say something about a step, which starts it, but for what its journal has set back."""
        self._perform(lambda decide: decide.take_report(step_id, percentage, message, **data))

    def _perform(self, decide: Callable[[Decider], Events]) -> None:
        def events(decider: Decider) -> Events:
            yield from decider.begin()
            yield from decide(decider)

        self.book.perform(self.id, events)


@dataclass(frozen=True, slots=True)
class ContextVerbs:
    """The context records. It is asked for nothing that stands so already."""

    book: Book
    id: str
    context: WatchedContext

    def start_execution(self, total_steps: int) -> None:
        """Start it, or take over how many steps it has; a start that was made before the watch is told now."""
        context = self.context
        context.total_steps = total_steps or context.total_steps
        if context.status not in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED):
            context.start_execution()
        self.book.perform(self.id, lambda decide: decide.start_execution(total_steps))

    def complete_execution(self, success: bool) -> None:
        """End it, once."""
        self._begin()
        if self.context.status not in ENDED:
            self.context.complete_execution(success)

    def start_step(self, step_id: str, name: str | None) -> None:
        """Start a step that does not run."""
        self._begin()
        if not self.book.is_running(self.id, step_id):
            self.context.start_step(step_id, name or "")

    def complete_step(self, step_id: str, success: bool, message: str | None, percentage: float) -> None:
        """End a step that has not ended; the context knows no percentage."""
        self._begin()
        if not self.book.has_ended(self.id, step_id):
            self.context.complete_step(step_id, success, message)

    def skip_step(self, step_id: str, reason: str) -> None:
        """Leave out a step that has not ended."""
        self._begin()
        if not self.book.has_ended(self.id, step_id):
            self.context.skip_step(step_id, reason)

    def report(self, step_id: str, percentage: float | None, message: str | None, **data: Any) -> None:
        """Say something about a step; one that nobody started is started where starts are recorded."""
        self._begin()
        if not self.book.has_ended(self.id, step_id):
            self.start_step(step_id, None)
        self.book.perform(self.id, lambda decide: decide.update_step(step_id, percentage, message, **data))

    def _begin(self) -> None:
        if self.context.status is ExecutionStatus.PENDING:
            self.context.start_execution()


Verbs: TypeAlias = OwnVerbs | ContextVerbs
