"""The fan-out: one event to many handlers, none of which can hold up the step that it tells of.

A call that was made cannot be abandoned, so no handler is ever called on the thread of a verb: any of them may hang,
also one that was fast a thousand times. One thread, the *worker*, calls them all, event by event, in the order in which
they were added. It starts with the first event, and ends when there was nothing to do for a second. A verb waits for
the worker to have passed its event, so that in the usual case the handlers have run when the verb returns.

It waits at most `PATIENCE_SECONDS` for each of them. The call that takes longer keeps the thread that it is on, which
from then on hands its handler alone what is queued for it; a new worker goes on with the rest. A handler whose latest
call was slow is not waited for again: a thread of its own calls it, for as long as something is queued. One fast call
brings it back. Its queue is bounded; the oldest events go first and are counted. An async handler is in the same
position for good, with a task on its loop for a thread; a batch is a queue that is handed over when it is full or due.

The price is one hand-over to the worker and back per event, about 60 µs, nearly whatever the number of handlers.
Rejected: calling in line (0.5 µs, and a verb hangs with its handler); calling those in line that were fast so far (the
same, later); a thread per handler (a hand-over for each); no waiting (no program could rely on having been told).
`delivery.Delivery` is not used: whoever delivers there is held as long as others queue, however short its own wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.listeners import MAX_QUEUED, PATIENCE_SECONDS, Listener, now

if TYPE_CHECKING:
    import asyncio

#: A worker with nothing to do ends after this time.
IDLE_SECONDS = 1.0
#: A verb waits no longer than this for a worker that the machine gives no time.
STARVED_SECONDS = 1.0


class Round:
    """One event on its way: who is still to get it, and a lock that is released when all have got it or left."""

    __slots__ = ("event", "over", "rest")

    def __init__(self, event: ProgressEvent, listeners: tuple[Listener, ...]) -> None:
        self.event, self.rest = event, deque(listeners)
        self.over = threading.Lock()
        self.over.acquire()


class Fanout:
    """Hands events to listeners. Thread-safe. Its lock is held for moments, never during a call of a handler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._unattended = threading.Condition(self._lock)
        #: Replaced, never changed: a round keeps the ones that it began with.
        self._listeners: tuple[Listener, ...] = ()
        self._rounds: deque[Round] = deque()
        self._threads: set[threading.Thread] = set()
        #: Held here, since a loop holds its tasks only weakly.
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: threading.Thread | None = None
        self._resting = False
        #: Whom the worker is calling, and since when.
        self._current: Listener | None = None
        self._since = 0.0
        #: The latest one that a verb waits for.
        self._newest: Round | None = None
        #: Events that a handler was due and did not get.
        self.dropped = 0

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Those that get the next event."""
        return self._listeners

    def add(self, listener: Listener) -> Callable[[], None]:
        """Hand it every event from now on; gives a function that ends that."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def remove() -> None:
            self._remove(listener)

        return remove

    def remove(self, handler: Callable[..., Any]) -> bool:
        """Forget a handler (the first that equals it), and what is queued for it; whether there was one."""
        found = next((listener for listener in self._listeners if listener.handler == handler), None)
        return found is not None and self._remove(found)

    def _remove(self, listener: Listener) -> bool:
        with self._lock:
            known = listener in self._listeners
            self._listeners = tuple(kept for kept in self._listeners if kept is not listener)
            listener.gone = True
            listener.queue.clear()
            listener.due = None
        return known

    # -- the verb's side ---------------------------------------------------------------------------------------------

    def put(self, event: ProgressEvent) -> Round | None:
        """Send an event on its way. Under the lock that orders the events; `wait` when it is left."""
        if not self._listeners:
            return None
        with self._lock:
            round = Round(event, self._listeners)
            self._rounds.append(round)
            self._drop_rounds(kept=MAX_QUEUED)
            if threading.current_thread() not in self._threads:
                self._newest = round
            self._wake()
        return round

    def wait(self, round: Round | None) -> None:
        """Wait until the round is over, at most `PATIENCE_SECONDS` for each handler. With no lock held.

        Returns at once on a thread that calls handlers: a handler does not wait for itself.
        """
        if round is None or threading.current_thread() in self._threads:
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
            if self._current is None:
                return PATIENCE_SECONDS if now() < deadline else None
            left = PATIENCE_SECONDS - (now() - self._since)
            if left <= 0:
                self._give_up(self._current)
                return PATIENCE_SECONDS
            return left if round is self._newest else None

    def _give_up(self, listener: Listener) -> None:
        listener.attended = True
        self._current = self._worker = None
        self._wake()

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = self._start(self._serve)
            if self._worker is None:
                self._drop_rounds()
        elif self._resting:
            self._work.notify()

    def _start(self, target: Callable[..., None], *args: object) -> threading.Thread | None:
        thread = threading.Thread(target=target, args=args, name="orchestrator-progress", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or the interpreter is ending
            return None
        self._threads.add(thread)
        return thread

    def _drop_rounds(self, kept: int = 0) -> None:
        while len(self._rounds) > kept:
            round = self._rounds.popleft()
            for listener in round.rest:
                listener.dropped += 1
            self.dropped += len(round.rest)
            round.over.release()

    # -- the worker's side -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        me = threading.current_thread()
        while (job := self._next_call(me)) is not None:
            listener, events = job
            listener.invoke(events)
            if self._was_given_up(listener):
                self._attend(listener)
                return

    def _next_call(self, me: threading.Thread) -> tuple[Listener, list[ProgressEvent]] | None:
        """Whom the worker calls next, with what; None where it is to end."""
        with self._lock:
            while self._worker is me:
                while self._rounds:
                    round = self._rounds[0]
                    while round.rest:
                        listener = round.rest.popleft()
                        if events := self._hand(listener, round.event):
                            self._current, self._since = listener, now()
                            return listener, events
                    self._rounds.popleft()
                    round.over.release()
                if not self._rest():
                    self._worker = None
            self._threads.discard(me)
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
            self._attend_apart(listener)
            return []
        return listener.take()

    def _rest(self) -> bool:
        """Wait for work, and keep the time of the batches meanwhile; False where the worker is not needed."""
        due = min((one.due for one in self._listeners if one.due is not None and not one.attended), default=None)
        self._resting = True
        woken = self._work.wait(IDLE_SECONDS if due is None else max(0.0, due - now()))
        self._resting = False
        if not woken:
            for listener in self._listeners:
                if listener.ready() and not listener.attended:
                    self._attend_apart(listener)
        return woken or due is not None or bool(self._rounds)

    def _was_given_up(self, listener: Listener) -> bool:
        with self._lock:
            if self._current is listener:
                self._current = None
                return False
            return True

    # -- on threads and loops of their own ---------------------------------------------------------------------------

    def _attend_apart(self, listener: Listener) -> None:
        listener.attended = True
        if listener.loop is None:
            started = self._start(self._attend, listener) is not None
        else:
            try:
                listener.loop.call_soon_threadsafe(self._begin_on_loop, listener, listener.loop)
                started = True
            except RuntimeError:  # closed
                started = False
        if not started:
            listener.attended = False
            self.dropped += listener.drop_all()

    def _attend(self, listener: Listener) -> None:
        while events := self._next_batch(listener):
            listener.invoke(events)
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _next_batch(self, listener: Listener) -> list[ProgressEvent]:
        with self._lock:
            if listener.ready():
                return listener.take()
            self._release(listener)
            return []

    def _release(self, listener: Listener) -> None:
        listener.attended = False
        self._unattended.notify_all()
        if listener.due is not None:  # somebody must keep the time of the rest
            self._wake()

    def _begin_on_loop(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._attend_on_loop(listener))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._left_loop(task, listener))

    async def _attend_on_loop(self, listener: Listener) -> None:
        while events := self._next_batch(listener):
            await listener.invoke_async(events)

    def _left_loop(self, task: asyncio.Task[None], listener: Listener) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # as a loop does that ends: what is queued has nowhere to go
            with self._lock:
                self.dropped += listener.drop_all()
                self._release(listener)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self, timeout_seconds: float) -> None:
        """Hand over what is queued, forget the listeners, end the threads; takes no longer than that, and drops what
        is left then. Listeners of the loop that runs on this very thread finish what is queued later, by themselves.
        """
        deadline = now() + timeout_seconds
        mine = threading.current_thread() in self._threads
        with self._lock:
            leaving, self._listeners = self._listeners, ()
            last = self._newest = self._rounds[-1] if self._rounds else None
        self.wait(last)
        with self._lock:
            for listener in leaving:
                if listener.queue:
                    listener.due = now()
                    if not listener.attended:
                        self._attend_apart(listener)
            awaited = [one for one in leaving if one.loop is None or one.loop is not _running_loop()]
            self._unattended.wait_for(
                lambda: mine or not any(one.attended for one in awaited), max(0.0, deadline - now())
            )
            for listener in awaited:
                listener.gone = True
                self.dropped += listener.drop_all()
            self._drop_rounds()
            self._worker = None
            self._work.notify_all()
            threads = [] if mine else [*self._threads]
        for thread in threads:
            thread.join(max(0.0, deadline - now()))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None
