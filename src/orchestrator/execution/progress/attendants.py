"""Attendants: whoever hands one listener what is queued for it, apart from the worker and from all other listeners.

For a plain handler that is a thread, for as long as something is queued; for an async one a task on its loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.execution.progress.events import ProgressEvent
from orchestrator.execution.progress.listeners import Listener, now
from orchestrator.execution.progress.threads import Threads

if TYPE_CHECKING:
    import asyncio


class Attendants:
    """Begins them and awaits their ends. `lock` is that of the `Fanout`; a method says where it wants it held."""

    def __init__(self, lock: threading.Lock, threads: Threads, on_left_over: Callable[[], None]) -> None:
        self._lock, self._threads = lock, threads
        #: Is called, under the lock, when a batch is left that is not due: somebody must keep its time.
        self._on_left_over = on_left_over
        self._unattended = threading.Condition(lock)
        #: Held here, since a loop holds its tasks only weakly.
        self._tasks: set[asyncio.Task[None]] = set()
        #: Events that were queued for an async handler whose loop is gone, or for one that no thread is left for.
        self.dropped = 0

    def begin(self, listener: Listener) -> None:
        """Let one attend to this listener, which nobody does. Under the lock."""
        listener.attended = True
        if not (self._begin_thread(listener) if listener.loop is None else self._begin_task(listener, listener.loop)):
            listener.attended = False
            self.dropped += listener.drop_all()

    def _begin_thread(self, listener: Listener) -> bool:
        return self._threads.start(self.attend, listener) is not None

    def _begin_task(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> bool:
        try:
            loop.call_soon_threadsafe(self._begin_on_loop, listener, loop)
        except RuntimeError:  # closed
            return False
        return True

    def attend(self, listener: Listener) -> None:
        """Hand over on this thread what is queued, and leave. With no lock held."""
        while events := self._next_batch(listener):
            listener.invoke(events)
        with self._lock:
            self._threads.leave()

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

    def _next_batch(self, listener: Listener) -> list[ProgressEvent]:
        with self._lock:
            if listener.ready():
                return listener.take()
            self._release(listener)
            return []

    def _release(self, listener: Listener) -> None:
        listener.attended = False
        self._unattended.notify_all()
        if listener.due is not None:
            self._on_left_over()

    def wait_until_gone(self, listeners: Sequence[Listener], deadline: float) -> None:
        """Wait until nobody attends to these listeners, until the deadline. Under the lock, which is left meanwhile."""
        self._unattended.wait_for(lambda: not any(one.attended for one in listeners), max(0.0, deadline - now()))
