"""The worker: the one thread that calls all handlers, event by event, in the order in which they were added.

It starts with the first event, and ends when there was nothing to do for a second. A call that takes too long is *given
up*: it keeps the thread that it is on, which from then on hands that listener alone what is queued for it, and another
worker goes on with the rest.
"""

from __future__ import annotations

import threading

from orchestrator.execution.progress.attendants import Attendants
from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.listeners import Listener, now
from orchestrator.execution.progress.rounds import Rounds
from orchestrator.execution.progress.threads import Threads

#: A worker with nothing to do ends after this time.
IDLE_SECONDS = 1.0


class Worker:
    """Takes rounds from listener to listener. `lock` is that of the `Fanout`: all but `_serve` is called under it."""

    def __init__(self, lock: threading.Lock, threads: Threads) -> None:
        self._lock, self._threads = lock, threads
        self._work = threading.Condition(lock)
        self.attendants = Attendants(lock, threads, self.wake)
        self.rounds = Rounds()
        #: Replaced, never changed: a round keeps the ones that it began with.
        self.listeners: tuple[Listener, ...] = ()
        #: Whom it is calling, and since when.
        self.current: Listener | None = None
        self.since = 0.0
        #: Events that a handler was due and did not get, for want of a place in its queue, or of a worker.
        self.dropped = 0
        self._thread: threading.Thread | None = None
        self._resting = False

    def wake(self) -> None:
        """There is something to do."""
        if self._thread is None:
            self._thread = self._threads.start(self._serve)
            if self._thread is None:
                self.dropped += self.rounds.drop()
        elif self._resting:
            self._work.notify()

    def give_up(self, listener: Listener) -> None:
        """Go on without the call that is under way."""
        listener.attended = True
        self.current = self._thread = None
        self.wake()

    def end(self) -> None:
        """Drop what is under way, and end."""
        self.dropped += self.rounds.drop()
        self._thread = None
        self._work.notify_all()

    # -- on its thread -----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        me = threading.current_thread()
        while (call := self._next_call(me)) is not None:
            listener, events = call
            listener.invoke(events)
            if self._was_given_up(listener):
                self.attendants.attend(listener)
                return

    def _next_call(self, me: threading.Thread) -> tuple[Listener, list[ProgressEvent]] | None:
        """Whom to call next, with what; None where it is to end."""
        with self._lock:
            while self._thread is me:
                if (call := self._next_of_rounds()) is not None:
                    self.current, self.since = call[0], now()
                    return call
                if not self._rest():
                    self._thread = None
            self._threads.leave()
        return None

    def _next_of_rounds(self) -> tuple[Listener, list[ProgressEvent]] | None:
        while self.rounds:
            round = self.rounds.first
            while round.rest:
                listener = round.rest.popleft()
                if events := self._hand(listener, round.event):
                    return listener, events
            self.rounds.end_first()
        return None

    def _hand(self, listener: Listener, event: ProgressEvent) -> list[ProgressEvent]:
        """Queue an event for a listener; gives what the worker is to call it with, if it is to."""
        if listener.gone:
            return []
        if listener.prompt:
            return [event]
        self.dropped += listener.put(event)
        if listener.loop is not None and listener.loop.is_closed():
            self.dropped += listener.drop_all()
        if listener.attended or not listener.ready():
            return []
        if listener.apart:
            self.attendants.begin(listener)
            return []
        return listener.take()

    def _rest(self) -> bool:
        """Wait for work, and keep the time of the batches meanwhile; False where the worker is not needed."""
        due = min((one.due for one in self.listeners if one.due is not None and not one.attended), default=None)
        self._resting = True
        woken = self._work.wait(IDLE_SECONDS if due is None else max(0.0, due - now()))
        self._resting = False
        if not woken:
            for listener in self.listeners:
                if listener.ready() and not listener.attended:
                    self.attendants.begin(listener)
        return woken or due is not None or bool(self.rounds)

    def _was_given_up(self, listener: Listener) -> bool:
        with self._lock:
            if self.current is listener:
                self.current = None
                return False
            return True
