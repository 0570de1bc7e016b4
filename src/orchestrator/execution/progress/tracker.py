"""The tracker: how far executions are, and who is told. The front of this package, which says what each verb promises.

A verb goes to whoever records the execution (`verbs`); what is known stands in the `book`, which alone is changed; what
is followed besides is in `following`; the handlers are told by `fanout`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import InputError
from orchestrator.execution.progress.book import Book
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.fanout import Fanout
from orchestrator.execution.progress.following import Subscriptions, take_entry, watch
from orchestrator.execution.progress.listeners import batch, performance, plain, real_time
from orchestrator.execution.progress.measures import system_load
from orchestrator.execution.progress.progress_variables import follow
from orchestrator.execution.progress.protocols import Unsubscribe, WatchedContext, WatchedVariables
from orchestrator.execution.progress.steps import StepProgress, clamped
from orchestrator.execution.progress.tracking import TrackedStep
from orchestrator.execution.progress.turns import Turns
from orchestrator.execution.progress.verbs import ContextVerbs, OwnVerbs, Verbs
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord

#: `shutdown` waits this long for handlers.
SHUTDOWN_SECONDS = 2.0


class ProgressTracker:
    """Follows executions and tells handlers. Thread-safe; handlers may call it.

    A verb for an execution or a step that is not known begins it; `total_steps` grows with what is seen. Getters give
    copies, or None for what is not known. Of the ended executions the latest `max_completed` are kept.
    """

    def __init__(
        self,
        execution_context: WatchedContext | None = None,
        variable_manager: WatchedVariables | None = None,
        max_completed: int = 100,
        *,
        clock: Clock | None = None,
    ) -> None:
        if max_completed < 0:
            raise InputError(f"max_completed is a number of executions, and cannot be {max_completed}")
        self.execution_context, self.variable_manager = execution_context, variable_manager
        self._fanout, self._following, self._turns = Fanout(), Subscriptions(), Turns()
        self._book = Book(self._fanout, clock or SystemClock(), max_completed)
        if execution_context is not None:
            self.watch(execution_context)
        if variable_manager is not None:
            for unsubscribe in follow(variable_manager, self, self._execution_of):
                self._following.add(unsubscribe)

    @property
    def max_completed(self) -> int:
        """How many ended executions are kept."""
        return self._book.max_completed

    @max_completed.setter
    def max_completed(self, number: int) -> None:
        self._book.max_completed = number

    def _verbs(self, id: str) -> Verbs:
        context = self.execution_context
        if context is not None and context.execution_id == id:
            return ContextVerbs(self._book, id, context, self._turns)
        return OwnVerbs(self._book, id)

    def _execution_of(self, step_id: str) -> str:
        """Which execution a progress variable speaks of: the context's, else the latest under way that has the step,
        else the latest under way, else the one that the variables belong to.
        """
        if self.execution_context is not None:
            return self.execution_context.execution_id
        of_variables = self.variable_manager.pipeline_id if self.variable_manager is not None else ""
        return self._book.latest_active(step_id) or of_variables

    # -- executions --------------------------------------------------------------------------------------------------

    def start_execution(self, id: str, total_steps: int = 0) -> None:
        """Start it; again after its end as a new run. Where it is under way, only take over how many steps it has."""
        if total_steps < 0:
            raise InputError(f"execution {id!r} cannot have {total_steps} steps")
        self._verbs(id).start_execution(total_steps)

    def complete_execution(self, id: str, success: bool = True) -> None:
        """End it; nothing where it has ended."""
        self._verbs(id).complete_execution(success)

    # -- steps -------------------------------------------------------------------------------------------------------

    def start_step(self, id: str, step_id: str, step_name: str | None = None) -> None:
        """Start a step, again after its end; nothing where it runs. The name is the id where none is given."""
        self._verbs(id).start_step(step_id, step_name)

    def complete_step(
        self,
        id: str,
        step_id: str,
        success: bool = True,
        error_message: str | None = None,
        progress_percentage: float = 100.0,
    ) -> None:
        """End a step, which is started first where it was not; nothing where it has ended.

        A failed step shows the percentage that is given, but for 100, which stands for none: it keeps what it came to.
        """
        self._verbs(id).complete_step(step_id, success, error_message, _percentage(progress_percentage))

    def cancel_step(self, id: str, step_id: str) -> None:
        """Give a step up; nothing where it has ended. It is CANCELLED, and told as STEP_FAILED with that `status`.

        With a context it is FAILED, as `cancelled`: a context cancels its steps only with the whole execution.
        """
        self._verbs(id).cancel_step(step_id)

    def skip_step(self, id: str, step_id: str, reason: str = "") -> None:
        """Leave a step out; nothing where it has ended."""
        self._verbs(id).skip_step(step_id, reason)

    def update_step_progress(self, id: str, step_id: str, percentage: float, message: str | None = None) -> None:
        """Say how far a step is: 0 to 100, values beyond are clamped. The latest report counts, also a lower one.

        `metadata["last_message"]` keeps the message. A step that has ended takes no more updates, nor does one of a
        watched execution that a restore or a retry set back, until it is begun again.
        """
        self._verbs(id).report(step_id, _percentage(percentage), message)

    def report_metric(self, id: str, step_id: str, metric: str, value: Any) -> None:
        """Keep something else that is known of a step: `metadata[metric]`; also of one that has ended."""
        self._verbs(id).report(step_id, None, None, metric=metric, value=value)

    def report_message(self, id: str, step_id: str, message: str) -> None:
        """Keep what a running step is at, in words: `metadata["last_message"]`."""
        self._verbs(id).report(step_id, None, message)

    def track_step(self, id: str, step_id: str, step_name: str | None = None) -> TrackedStep:
        """A block, `with` or `async with`, that is a step."""
        return TrackedStep(self, id, step_id, step_name)

    def create_checkpoint_event(
        self, execution_id: str, checkpoint_id: str, description: str | None = None, step_id: str | None = None
    ) -> None:
        """Tell that a checkpoint was made somewhere. A context's own are told by themselves."""

        def events(decide: Decider) -> Events:
            what = ProgressEventType.CHECKPOINT_CREATED
            yield decide.event(what, step_id, checkpoint_id=checkpoint_id, description=description)

        self._book.perform(execution_id, events)

    # -- as an engine's tracker --------------------------------------------------------------------------------------

    def on_execution_started(self, execution_id: str, total_steps: int) -> None:
        """As `start_execution`."""
        self.start_execution(execution_id, total_steps)

    def on_execution_completed(self, execution_id: str, success: bool) -> None:
        """As `complete_execution`."""
        self.complete_execution(execution_id, success)

    def on_step_started(self, execution_id: str, step_id: str, step_name: str) -> None:
        """As `start_step`."""
        self.start_step(execution_id, step_id, step_name)

    def on_step_completed(self, execution_id: str, step_id: str, step_name: str, success: bool) -> None:
        """As `complete_step`; a step that was not started gets its name here."""
        self._verbs(execution_id).complete_step(step_id, success, None, 100.0, step_name)

    # -- following ---------------------------------------------------------------------------------------------------

    def watch(self, context: WatchedContext) -> Unsubscribe:
        """Follow an execution from where it stands; gives a function that ends it."""
        return self._following.add(watch(self._book, context))

    def adopt(self, record: ExecutionRecord, total_steps: int = 0) -> None:
        """Take over what is known of an execution that goes on, without telling anybody."""
        self._book.adopt(record, total_steps)

    def take(
        self, execution_id: str, entry: Entry, total_steps: int = 0, record: ExecutionRecord | None = None
    ) -> None:
        """Take in an entry of an execution's journal; one that was taken in before changes nothing.

        `record` is the execution's fold, where it is at hand: a restore shows what it says.
        """
        take_entry(self._book, execution_id, entry, total_steps, record)

    # -- reading -----------------------------------------------------------------------------------------------------

    def get_execution_progress(self, id: str) -> ExecutionProgress | None:
        """How far an execution is; None where it is not known (any more)."""
        return self._book.progress(id)

    def get_step_progress(self, id: str, step_id: str) -> StepProgress | None:
        """How far a step is; None where it is not known."""
        return self._book.step(id, step_id)

    def get_all_step_progress(self, id: str) -> dict[str, StepProgress]:
        """Every step that is known, items and parts included, in the order in which they came."""
        return self._book.steps(id)

    def get_events(self, id: str, since: int = 0) -> list[ProgressEvent]:
        """The events numbered above `since`, oldest first; the latest 1,000 are kept."""
        return self._book.events(id, since)

    def get_performance_metrics(self) -> dict[str, Any]:
        """What tracking costs; durations in seconds, per handler by its name (`name#2` for a namesake)."""
        listeners = self._fanout.listeners
        return {
            "total_events": self._book.total_events,
            "active_executions": self._book.active(),
            "handler_performance": performance(listeners),
            "total_handlers": len(listeners),
            "dropped_events": self._fanout.dropped,
            "system": system_load(),
        }

    # -- handlers ----------------------------------------------------------------------------------------------------

    def add_event_handler(self, handler: Callable[[ProgressEvent], Any]) -> Unsubscribe:
        """Call the handler with every event from now on; gives a function that ends it.

        A plain handler is called on a thread of the tracker, and waited for at most 10 ms. An async one runs on the
        loop that runs now; InputError where none does. Both get their events one at a time and in order.
        """
        return self._fanout.add(plain(handler))

    def add_real_time_handler(self, handler: Callable[[ProgressEventType, dict[str, Any]], Any]) -> Unsubscribe:
        """As `add_event_handler`; the handler gets the type, and the event as `ProgressEvent.to_dict` gives it."""
        return self._fanout.add(real_time(handler))

    def add_batch_handler(
        self, handler: Callable[[list[ProgressEvent]], Any], max_size: int = 100, max_delay: float = 0.5
    ) -> Unsubscribe:
        """Call the handler with lists of up to `max_size` events, at the latest `max_delay` seconds after the first."""
        return self._fanout.add(batch(handler, max_size, max_delay))

    def remove_event_handler(self, handler: Callable[..., Any]) -> bool:
        """Forget a handler of any kind, and what is queued for it; whether it was there."""
        return self._fanout.remove(handler)

    # -- the end -----------------------------------------------------------------------------------------------------

    def cleanup(self, id: str | None = None) -> None:
        """Forget an execution, or all that have ended."""
        self._book.forget(id)

    def shutdown(self) -> None:
        """Hand over what is queued, forget all handlers and end the threads, within 2 s; stop following.

        What is known can still be read. Async handlers of the loop that runs here finish their queues by themselves.
        """
        self._following.end_all()
        self._fanout.close(SHUTDOWN_SECONDS)


def create_progress_tracker(
    execution_context: WatchedContext | None = None, variable_manager: WatchedVariables | None = None
) -> ProgressTracker:
    """A tracker that follows this context and these variables."""
    return ProgressTracker(execution_context, variable_manager)


def _percentage(value: float) -> float:
    try:
        return clamped(value)
    except (TypeError, ValueError):
        raise InputError(f"a percentage is a number from 0 to 100, not {value!r}") from None
