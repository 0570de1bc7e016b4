"""The tracker: how far executions are, and who is told.

There is one way for everything: a verb, or an entry of a journal that is watched, is *decided* into events
(`decisions`, `translation`); `_take` lets the ledger of the execution take them in under the tracker's lock, which
gives them their order and numbers, and sends them on their way (`fanout`); the verb waits for the handlers, within a
bound, when it has left the lock. Nothing is changed or told in any other way.

With an execution context, what the context records has one recorder, the context: the tracker's verbs for that
execution ask the context, and its entries come back here like those of an engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from orchestrator.clock import Clock, SystemClock, utc
from orchestrator.errors import InputError
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.fanout import Fanout, Round
from orchestrator.execution.progress.ledger import Ledger
from orchestrator.execution.progress.listeners import batch, performance, plain, real_time
from orchestrator.execution.progress.measures import system_load
from orchestrator.execution.progress.progress_variables import follow
from orchestrator.execution.progress.protocols import Unsubscribe, WatchedContext, WatchedVariables
from orchestrator.execution.progress.steps import StepProgress, clamped
from orchestrator.execution.progress.tracking import TrackedStep
from orchestrator.execution.progress.translation import translated
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ENDED, ExecutionStatus

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
        self.max_completed = max_completed
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._fanout = Fanout()
        self._ledgers: dict[str, Ledger] = {}
        #: The ids of the ended ones, in the order of their ends.
        self._ended: dict[str, None] = {}
        self._total_events = 0
        #: What ends each of the subscriptions.
        self._ends: dict[Unsubscribe, bool] = {}
        if execution_context is not None:
            self.watch(execution_context)
        if variable_manager is not None:
            for unsubscribe in follow(variable_manager, self, self._execution_of):
                self._following(unsubscribe)

    # -- the one way -------------------------------------------------------------------------------------------------

    def _perform(self, id: str, decide: Callable[[Decider], Events]) -> None:
        """Take in what is decided about an execution as it stands."""

        def events(ledger: Ledger) -> Events:
            yield from decide(Decider(ledger, utc(self._clock.time())))

        self._fanout.wait(self._take(id, events))

    def _take(self, id: str, events: Callable[[Ledger], Events]) -> Round | None:
        last: Round | None = None
        with self._lock:
            ledger = self._ledger(id)
            for event in events(ledger):
                last = self._fanout.put(ledger.apply(event)) or last
                self._total_events += 1
            self._retire(ledger)
        return last

    def _retire(self, ledger: Ledger) -> None:
        if not ledger.ended:
            self._ended.pop(ledger.execution_id, None)
            return
        self._ended.setdefault(ledger.execution_id)
        while len(self._ended) > self.max_completed:
            oldest = next(iter(self._ended))
            del self._ended[oldest], self._ledgers[oldest]

    # -- executions --------------------------------------------------------------------------------------------------

    def start_execution(self, id: str, total_steps: int = 0) -> None:
        """Start it; again after its end as a new run. Where it is under way, only take over how many steps it has."""
        if total_steps < 0:
            raise InputError(f"execution {id!r} cannot have {total_steps} steps")
        context = self._context(id)
        if context is not None:
            context.total_steps = total_steps or context.total_steps
            if context.status not in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED):
                context.start_execution()
        self._perform(id, lambda decide: decide.start_execution(total_steps))

    def complete_execution(self, id: str, success: bool = True) -> None:
        """End it; nothing where it has ended."""
        context = self._begun_context(id)
        if context is None:
            self._perform(id, lambda decide: decide.complete_execution(success))
        elif context.status not in ENDED:
            context.complete_execution(success)

    # -- steps -------------------------------------------------------------------------------------------------------

    def start_step(self, id: str, step_id: str, step_name: str | None = None) -> None:
        """Start a step, again after its end; nothing where it runs. The name is the id where none is given."""
        context = self._begun_context(id)
        if context is None:
            self._perform_step(id, lambda decide: decide.start_step(step_id, step_name))
        elif not self._step_is(id, step_id, running=True):
            context.start_step(step_id, step_name or "")

    def complete_step(
        self,
        id: str,
        step_id: str,
        success: bool = True,
        error_message: str | None = None,
        progress_percentage: float = 100.0,
    ) -> None:
        """End a step, which is started first where it was not; nothing where it has ended.

        A failed step keeps the percentage that it came to. With a context, one that succeeds is at 100.
        """
        percentage = _percentage(progress_percentage)
        context = self._begun_context(id)
        if context is None:
            self._perform_step(id, lambda decide: decide.complete_step(step_id, success, error_message, percentage))
        elif not self._step_is(id, step_id, running=False):
            context.complete_step(step_id, success, error_message)

    def skip_step(self, id: str, step_id: str, reason: str = "") -> None:
        """Leave a step out; nothing where it has ended."""
        context = self._begun_context(id)
        if context is None:
            self._perform_step(id, lambda decide: decide.skip_step(step_id, reason))
        elif not self._step_is(id, step_id, running=False):
            context.skip_step(step_id, reason)

    def update_step_progress(self, id: str, step_id: str, percentage: float, message: str | None = None) -> None:
        """Say how far a step is: 0 to 100, values beyond are clamped. A lower value than before changes nothing.

        `metadata["last_message"]` keeps the message. A step that has ended takes no more updates.
        """
        number = _percentage(percentage)
        self._start_in_context(id, step_id)
        self._perform_step(id, lambda decide: decide.update_step(step_id, number, message))

    def report_metric(self, id: str, step_id: str, metric: str, value: Any) -> None:
        """Keep something else that is known of a running step: `metadata[metric]`."""
        self._start_in_context(id, step_id)
        self._perform_step(id, lambda decide: decide.update_step(step_id, None, None, metric=metric, value=value))

    def report_message(self, id: str, step_id: str, message: str) -> None:
        """Keep what a running step is at, in words: `metadata["last_message"]`."""
        self._start_in_context(id, step_id)
        self._perform_step(id, lambda decide: decide.update_step(step_id, None, message))

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

        self._perform(execution_id, events)

    def _perform_step(self, id: str, decide: Callable[[Decider], Events]) -> None:
        def events(decider: Decider) -> Events:
            if self._context(id) is None:
                yield from decider.begin()
            yield from decide(decider)

        self._perform(id, events)

    def _context(self, id: str) -> WatchedContext | None:
        context = self.execution_context
        return context if context is not None and context.execution_id == id else None

    def _begun_context(self, id: str) -> WatchedContext | None:
        context = self._context(id)
        if context is not None and context.status is ExecutionStatus.PENDING:
            context.start_execution()
        return context

    def _start_in_context(self, id: str, step_id: str) -> None:
        """A report on a step that nobody started starts it, where starts are recorded."""
        context = self._begun_context(id)
        if context is not None and not self._step_is(id, step_id, running=False):
            self.start_step(id, step_id)

    def _step_is(self, id: str, step_id: str, *, running: bool) -> bool:
        with self._lock:
            ledger = self._ledgers.get(id)
            if ledger is None:
                return False
            return ledger.is_running(step_id) if running else ledger.has_ended(step_id)

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
        if not self._step_is(execution_id, step_id, running=False):
            self.start_step(execution_id, step_id, step_name)
        self.complete_step(execution_id, step_id, success)

    # -- following -----------------------------------------------------------------------------------------------------

    def watch(self, context: WatchedContext) -> Unsubscribe:
        """Follow an execution from where it stands; gives a function that ends it."""
        id = context.execution_id

        def take(entry: Entry) -> None:
            self.take(id, entry, context.total_steps, context.record)

        with self._lock:  # an entry that comes meanwhile waits, and is then old or new
            unsubscribe = context.subscribe(take)
            self._adopt(context.record, context.total_steps)
        return self._following(unsubscribe)

    def _following(self, unsubscribe: Unsubscribe) -> Unsubscribe:
        def end() -> None:
            if self._ends.pop(end, None):
                unsubscribe()

        self._ends[end] = True
        return end

    def adopt(self, record: ExecutionRecord, total_steps: int = 0) -> None:
        """Take over what is known of an execution that goes on, without telling anybody."""
        with self._lock:
            self._adopt(record, total_steps)

    def take(
        self, execution_id: str, entry: Entry, total_steps: int = 0, record: ExecutionRecord | None = None
    ) -> None:
        """Take in an entry of an execution's journal; one that was taken in before changes nothing.

        `record` is the execution's fold, where it is at hand: a restore shows what it says.
        """
        self._fanout.wait(self._take(execution_id, lambda ledger: translated(ledger, entry, total_steps, record)))

    def _adopt(self, record: ExecutionRecord, total_steps: int) -> None:
        known = self._ledgers.get(record.execution_id)
        if known is not None and known.position == record.position:
            return
        ledger = self._ledgers[record.execution_id] = Ledger.of(record, total_steps)
        if known is not None:
            ledger.events, ledger.sequence = known.events, known.sequence
        self._retire(ledger)

    def _execution_of(self, step_id: str) -> str:
        """Which execution a progress variable speaks of: the context's, else the latest under way that has the step,
        else the latest under way, else the one that the variables belong to.
        """
        if self.execution_context is not None:
            return self.execution_context.execution_id
        with self._lock:
            active = [ledger for ledger in reversed([*self._ledgers.values()]) if not ledger.ended]
            having = [ledger for ledger in active if step_id in ledger.steps]
        if active:
            return (having or active)[0].execution_id
        return self.variable_manager.pipeline_id if self.variable_manager is not None else ""

    # -- reading -----------------------------------------------------------------------------------------------------

    def get_execution_progress(self, id: str) -> ExecutionProgress | None:
        """How far an execution is; None where it is not known (any more)."""
        with self._lock:
            ledger = self._ledgers.get(id)
            return None if ledger is None else ledger.progress(utc(self._clock.time()))

    def get_step_progress(self, id: str, step_id: str) -> StepProgress | None:
        """How far a step is; None where it is not known."""
        with self._lock:
            ledger = self._ledgers.get(id)
            return None if ledger is None else ledger.step(step_id, utc(self._clock.time()))

    def get_all_step_progress(self, id: str) -> dict[str, StepProgress]:
        """Every step that is known, items and parts included, in the order in which they came."""
        with self._lock:
            ledger = self._ledgers.get(id)
            now = utc(self._clock.time())
            found = {} if ledger is None else {key: ledger.step(key, now) for key in ledger.steps}
        return {key: step for key, step in found.items() if step is not None}

    def get_events(self, id: str, since: int = 0) -> list[ProgressEvent]:
        """The events numbered above `since`, oldest first; the latest 1,000 are kept."""
        with self._lock:
            ledger = self._ledgers.get(id)
            return [] if ledger is None else [event for event in ledger.events if event.sequence > since]

    def get_performance_metrics(self) -> dict[str, Any]:
        """What tracking costs; durations in seconds, per handler by its name (`name#2` for a namesake)."""
        listeners = self._fanout.listeners
        with self._lock:
            active = sum(not ledger.ended for ledger in self._ledgers.values())
        return {
            "total_events": self._total_events,
            "active_executions": active,
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
        with self._lock:
            for gone in [*self._ended] if id is None else [id]:
                self._ended.pop(gone, None)
                self._ledgers.pop(gone, None)

    def shutdown(self) -> None:
        """Hand over what is queued, forget all handlers and end the threads, within 2 s; stop following.

        What is known can still be read. Async handlers of the loop that runs here finish their queues by themselves.
        """
        for end in [*self._ends]:
            end()
        self._fanout.close(SHUTDOWN_SECONDS)

    def _ledger(self, id: str) -> Ledger:
        return self._ledgers.get(id) or self._ledgers.setdefault(id, Ledger(id))


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
