"""The fan-out: one event to many handlers, none of which can hold up the step that it tells of.

A call that was made cannot be abandoned, so no handler is ever called on the thread of a verb: any of them may hang,
also one that was fast a thousand times. One thread, the *worker*, calls them all. A verb waits for the worker to have
passed its event, so that in the usual case the handlers have run when the verb returns.

It waits at most `PATIENCE_SECONDS` for each of them; then the worker gives the call up. A handler whose latest call was
slow is not waited for again: a thread of its own calls it, for as long as something is queued. One fast call brings it
back. Its queue is bounded; the oldest events go first and are counted. An async handler is in the same position for
good, with a task on its loop for a thread; a batch is a queue that is handed over when it is full or due.

The price is one hand-over to the worker and back per event, 10 µs where two cores are free and up to 80 µs where not,
nearly whatever the number of handlers, and 1.5 µs for each of them.
Rejected: calling in line (0.5 µs, and a verb hangs with its handler); calling those in line that were fast so far (the
same, later); a thread per handler (a hand-over for each); no waiting (no program could rely on having been told);
waking the worker only when the verb waits (no gain: what it costs is that two threads take turns).
`delivery.Delivery` is not used: whoever delivers there is held as long as others queue, however short its own wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.listeners import MAX_QUEUED, PATIENCE_SECONDS, Listener, now
from orchestrator.execution.progress.rounds import Round
from orchestrator.execution.progress.threads import Threads, join
from orchestrator.execution.progress.worker import Worker

if TYPE_CHECKING:
    import asyncio

#: A verb waits no longer than this for a worker that the machine gives no time.
STARVED_SECONDS = 1.0


class Fanout:
    """Hands events to listeners. Thread-safe. Its lock is held for moments, never during a call of a handler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = Threads()
        self._worker = Worker(self._lock, self._threads)
        #: The latest round that a verb waits for.
        self._newest: Round | None = None
        #: Events that were still queued when it was closed.
        self._left_behind = 0

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Those that get the next event."""
        return self._worker.listeners

    @property
    def dropped(self) -> int:
        """Events that a handler was due and did not get."""
        return self._worker.dropped + self._worker.attendants.dropped + self._left_behind

    def add(self, listener: Listener) -> Callable[[], None]:
        """Hand it every event from now on; gives a function that ends that."""
        with self._lock:
            self._worker.listeners = (*self.listeners, listener)

        def remove() -> None:
            self._remove(listener)

        return remove

    def remove(self, handler: Callable[..., Any]) -> bool:
        """Forget a handler (the first that equals it), and what is queued for it; whether there was one."""
        found = next((listener for listener in self.listeners if listener.handler == handler), None)
        return found is not None and self._remove(found)

    def _remove(self, listener: Listener) -> bool:
        with self._lock:
            known = listener in self.listeners
            self._worker.listeners = tuple(kept for kept in self.listeners if kept is not listener)
            listener.gone = True
            listener.queue.clear()
            listener.due = None
        return known

    # -- what a verb does --------------------------------------------------------------------------------------------

    def put(self, event: ProgressEvent) -> Round | None:
        """Send an event on its way. Under the lock that orders the events; `wait` when it is left."""
        if not self.listeners:
            return None
        with self._lock:
            round, worker = Round(event, self.listeners), self._worker
            worker.rounds.add(round)
            worker.dropped += worker.rounds.drop(kept=MAX_QUEUED)
            if not self._threads.is_one():
                self._newest = round
            worker.wake()
        return round

    def wait(self, round: Round | None) -> None:
        """Wait until the round is over, at most `PATIENCE_SECONDS` for each handler. With no lock held.

        Returns at once on a thread that calls handlers: a handler does not wait for itself.
        """
        if round is None or self._threads.is_one():
            return
        patience: float | None = PATIENCE_SECONDS
        deadline = now() + STARVED_SECONDS
        while patience is not None and not round.over.acquire(timeout=patience):
            patience = self._watch(round, deadline)
        if patience is not None:
            round.over.release()  # for whoever waits for it besides

    def _watch(self, round: Round, deadline: float) -> float | None:
        """How much longer a verb waits that has waited in vain; None where it goes on.

        Somebody must look after a call that may hang: whoever came last stays until the call ends or is given up.
        Where no call is under way, the machine is busy, not a handler.
        """
        with self._lock:
            called = self._worker.current
            if called is None:
                return PATIENCE_SECONDS if now() < deadline else None
            left = PATIENCE_SECONDS - (now() - self._worker.since)
            if left <= 0:
                self._worker.give_up(called)
                return PATIENCE_SECONDS
            return left if round is self._newest else None

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self, timeout_seconds: float) -> None:
        """Hand over what is queued, forget the listeners, end the threads; takes no longer than that, and drops what
        is left then. Listeners of the loop that runs on this very thread finish what is queued later, by themselves.
        """
        deadline = now() + timeout_seconds
        with self._lock:
            leaving, self._worker.listeners = self.listeners, ()
            last = self._newest = self._worker.rounds.last
        self.wait(last)
        with self._lock:
            self._hand_over_the_rest(leaving, deadline)
            self._worker.end()
            threads = [] if self._threads.is_one() else self._threads.all()
        join(threads, deadline)

    def _hand_over_the_rest(self, leaving: tuple[Listener, ...], deadline: float) -> None:
        for listener in leaving:
            if listener.queue:
                listener.due = now()
                if not listener.attended:
                    self._worker.attendants.begin(listener)
        here = _running_loop()
        awaited = [one for one in leaving if one.loop is None or one.loop is not here]
        if not self._threads.is_one():
            self._worker.attendants.wait_until_gone(awaited, deadline)
        for listener in awaited:
            listener.gone = True
            self._left_behind += listener.drop_all()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None
