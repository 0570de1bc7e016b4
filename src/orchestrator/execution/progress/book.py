"""The book: what is known of executions, and the one place that changes it.

What is to happen is *decided* into events (`decisions`, `translation`); `take` lets the ledger of the execution take
them in under the book's lock, which gives them their order and numbers, sends them on their way (`fanout`), and waits
for the handlers, within a bound, when it has left the lock. Nothing is changed or told in any other way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from orchestrator.clock import Clock, utc
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.executions import ExecutionProgress
from orchestrator.execution.progress.fanout import Fanout
from orchestrator.execution.progress.ledger import Ledger
from orchestrator.execution.progress.rounds import Round
from orchestrator.execution.progress.steps import StepProgress
from orchestrator.journal.fold import ExecutionRecord


class Book:
    """The ledgers of all executions that are known; of the ended ones the latest `max_completed`. Thread-safe."""

    def __init__(self, fanout: Fanout, clock: Clock, max_completed: int) -> None:
        self.max_completed = max_completed
        self._fanout, self._clock = fanout, clock
        #: Held by others where nothing may be taken in meanwhile; they may call the book then.
        self.lock = threading.RLock()
        self._ledgers: dict[str, Ledger] = {}
        #: The ids of the ended ones, in the order of their ends.
        self._ended: dict[str, None] = {}
        #: How many events were taken in.
        self.total_events = 0

    # -- writing -----------------------------------------------------------------------------------------------------

    def perform(self, id: str, decide: Callable[[Decider], Events]) -> None:
        """Take in what is decided about an execution as it stands now."""
        self.take(id, lambda ledger: decide(Decider(ledger, self._now())))

    def take(self, id: str, events: Callable[[Ledger], Events]) -> None:
        """Take in the events of an execution; the handlers have run on return, as far as they are waited for."""
        self._fanout.wait(self._take(id, events))

    def _take(self, id: str, events: Callable[[Ledger], Events]) -> Round | None:
        last: Round | None = None
        with self.lock:
            ledger = self._ledger(id)
            for event in events(ledger):
                last = self._fanout.put(ledger.apply(event)) or last
                self.total_events += 1
            self._retire(ledger)
        return last

    def _ledger(self, id: str) -> Ledger:
        return self._ledgers.get(id) or self._ledgers.setdefault(id, Ledger(id))

    @contextmanager
    def expecting(self, id: str, step: tuple[str, int], percentage: float) -> Iterator[None]:
        """A block in which a step's end is recorded: its entry, which may come later, is to show this percentage."""
        with self.lock:
            expected = self._ledger(id).expected
            expected[step] = percentage
        try:
            yield
        except BaseException:
            with self.lock:
                expected.pop(step, None)
            raise

    def adopt(self, record: ExecutionRecord, total_steps: int) -> None:
        """Take over what is known of an execution that goes on, without telling anybody."""
        with self.lock:
            known = self._ledgers.get(record.execution_id)
            if known is not None and known.position == record.position:
                return
            ledger = self._ledgers[record.execution_id] = Ledger.of(record, total_steps)
            if known is not None:
                ledger.events, ledger.sequence = known.events, known.sequence
            self._retire(ledger)

    def forget(self, id: str | None) -> None:
        """Forget an execution, or all that have ended."""
        with self.lock:
            for gone in [*self._ended] if id is None else [id]:
                self._ended.pop(gone, None)
                self._ledgers.pop(gone, None)

    def _retire(self, ledger: Ledger) -> None:
        if not ledger.ended:
            self._ended.pop(ledger.execution_id, None)
            return
        self._ended.setdefault(ledger.execution_id)
        while len(self._ended) > self.max_completed:
            oldest = next(iter(self._ended))
            del self._ended[oldest], self._ledgers[oldest]

    # -- reading: copies, as of now ------------------------------------------------------------------------------------

    def progress(self, id: str) -> ExecutionProgress | None:
        """How far an execution is."""
        with self.lock:
            ledger = self._ledgers.get(id)
            return None if ledger is None else ledger.progress(self._now())

    def step(self, id: str, step_id: str) -> StepProgress | None:
        """How far a step is."""
        with self.lock:
            ledger = self._ledgers.get(id)
            return None if ledger is None else ledger.step(step_id, self._now())

    def steps(self, id: str) -> dict[str, StepProgress]:
        """Every step that is known, in the order in which they came."""
        with self.lock:
            ledger, now = self._ledgers.get(id), self._now()
            found = {} if ledger is None else {key: ledger.step(key, now) for key in ledger.steps}
        return {key: step for key, step in found.items() if step is not None}

    def events(self, id: str, since: int) -> list[ProgressEvent]:
        """The events numbered above `since` that are kept."""
        with self.lock:
            ledger = self._ledgers.get(id)
            return [] if ledger is None else [event for event in ledger.events if event.sequence > since]

    def active(self) -> int:
        """How many executions have not ended."""
        with self.lock:
            return sum(not ledger.ended for ledger in self._ledgers.values())

    def latest_active(self, step_id: str) -> str | None:
        """The latest execution under way that has such a step, else the latest under way; None where none is."""
        with self.lock:
            active = [ledger for ledger in reversed([*self._ledgers.values()]) if not ledger.ended]
            having = [ledger for ledger in active if step_id in ledger.steps]
        return (having or active)[0].execution_id if active else None

    def _now(self) -> datetime:
        return utc(self._clock.time())
