"""The verbs of a tracker, for one execution: whoever records it carries them out.

An execution has one recorder. One that a tracker was given a context for is recorded by the context: its verbs are
asked, and what they record comes back as entries, like those of an engine. Any other is recorded by the tracker.
Reports (how far a step is) are nobody's record: they are told, and kept in the book alone.

What the book knows of a context may be behind: entries reach it when they are delivered. So what a context is asked for
is decided by its own record, one verb about a step at a time (`turns`). What else moves the context, past this tracker,
may come in between: its refusal is none where what was wanted stands by then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.progress.book import Book
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.protocols import WatchedContext
from orchestrator.execution.progress.steps import ENDED as STEP_ENDED
from orchestrator.execution.progress.turns import Standing, Turns
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ENDED, ExecutionStatus, StepStatus
from orchestrator.types import StepKey

_UNDER_WAY = (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


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

    def complete_step(
        self, step_id: str, success: bool, message: str | None, percentage: float, name: str | None = None
    ) -> None:
        """End a step that has not ended; the name is for one that has not begun."""
        self._perform(lambda decide: decide.complete_step(step_id, success, message, percentage, name))

    def cancel_step(self, step_id: str) -> None:
        """Give up a step that has not ended."""
        self._perform(lambda decide: decide.cancel_step(step_id))

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
    turns: Turns

    # -- the execution -----------------------------------------------------------------------------------------------

    def start_execution(self, total_steps: int) -> None:
        """Start it, or take over how many steps it has; a start that was made before the watch is told now."""
        if total_steps:
            self.context.total_steps = total_steps
        with self.turns.take(None, self._standing):
            if not self._is_under_way():
                _ask(self.context.start_execution, self._is_under_way)
        self.book.perform(self.id, lambda decide: decide.join_execution(total_steps))

    def complete_execution(self, success: bool) -> None:
        """End it, once."""
        self._begin()
        with self.turns.take(None, self._standing):
            if not self._is_over():
                _ask(lambda: self.context.complete_execution(success), self._is_over)

    def _begin(self) -> None:
        if self._has_begun():
            return
        with self.turns.take(None, self._standing):
            if not self._has_begun():
                _ask(self.context.start_execution, self._has_begun)

    def _has_begun(self) -> bool:
        return self.context.status is not ExecutionStatus.PENDING

    def _is_under_way(self) -> bool:
        return self.context.status in _UNDER_WAY

    def _is_over(self) -> bool:
        return self.context.status in ENDED

    def _standing(self) -> Standing:
        return self.context.status, self.context.record.epoch

    # -- steps -------------------------------------------------------------------------------------------------------

    def start_step(self, step_id: str, name: str | None) -> None:
        """Start a step that does not run."""
        self._begin()
        with self._turn(step_id):
            if not self._runs(step_id):
                _ask(lambda: self.context.start_step(step_id, name or ""), lambda: self._runs(step_id))

    def complete_step(
        self, step_id: str, success: bool, message: str | None, percentage: float, name: str | None = None
    ) -> None:
        """End a step that has not ended; the context knows no percentage, so the book adds it to what comes back."""
        self._begin()
        with self._turn(step_id):
            if name and self._is_pending(step_id):
                self.context.start_step(step_id, name)
            if not self._has_ended(step_id):
                _ask(lambda: self._complete(step_id, success, message, percentage), lambda: self._has_ended(step_id))

    def _complete(self, step_id: str, success: bool, message: str | None, percentage: float) -> None:
        with self.book.expecting(self.id, (step_id, self._step(step_id).generation), percentage):
            self.context.complete_step(step_id, success, message)

    def cancel_step(self, step_id: str) -> None:
        """Let a step fail that has not ended: a journal knows no step that was given up by itself."""
        self.complete_step(step_id, False, StepStatus.CANCELLED, 100.0)

    def skip_step(self, step_id: str, reason: str) -> None:
        """Leave out a step that has not ended."""
        self._begin()
        with self._turn(step_id):
            if not self._has_ended(step_id):
                _ask(lambda: self.context.skip_step(step_id, reason), lambda: self._has_ended(step_id))

    def report(self, step_id: str, percentage: float | None, message: str | None, **data: Any) -> None:
        """Say something about a step; one that nobody started is started where starts are recorded."""
        self._begin()
        with self._turn(step_id):
            if self._is_pending(step_id):
                _ask(lambda: self.context.start_step(step_id), lambda: not self._is_pending(step_id))
        step = self._step(step_id)
        self.book.perform(self.id, lambda decide: decide.report_on(step, percentage, message, **data))

    def _step(self, step_id: str) -> StepRecord:
        key = StepKey(step_id)
        return self.context.record.steps.get(key) or StepRecord(key)

    def _is_pending(self, step_id: str) -> bool:
        return self._step(step_id).status is StepStatus.PENDING

    def _runs(self, step_id: str) -> bool:
        return self._step(step_id).status is StepStatus.RUNNING

    def _has_ended(self, step_id: str) -> bool:
        return self._step(step_id).status in STEP_ENDED

    def _turn(self, step_id: str) -> AbstractContextManager[None]:
        def stands() -> Standing:
            step = self._step(step_id)
            return step.status, step.generation

        return self.turns.take(step_id, stands)


def _ask(move: Callable[[], object], reached: Callable[[], bool]) -> None:
    """Have the context move; it may refuse where others have reached meanwhile what was wanted."""
    try:
        move()
    except IllegalMoveError:
        if not reached():
            raise


Verbs: TypeAlias = OwnVerbs | ContextVerbs
