"""Delivery: events to handlers, in order, one at a time, never under a lock of the room that they come from.

A room queues an event while it holds its own lock, so that the queue has the order of the changes, and calls `run` when
it has left the lock. Whoever finds nobody delivering delivers, also what others queue meanwhile; everybody else goes
on at once. So handlers have run when an uncontended verb returns; a contended one, or one called by a handler, may
return before its own have. Rejected: a thread per room, which costs a hand-over per event and must be shut down.

A handler that raises is logged, the first time, and counted; the next one is called all the same.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVarTuple

Args = TypeVarTuple("Args")

_log = logging.getLogger(__name__)


class Handlers(Generic[*Args]):
    """The handlers of one kind of event, in the order in which they came. Thread-safe."""

    __slots__ = ("_handlers", "_lock", "faults")

    def __init__(self) -> None:
        #: Replaced, never changed, so that a round of calls needs no lock.
        self._handlers: tuple[_Entry, ...] = ()
        self._lock = threading.Lock()
        #: How often a handler raised.
        self.faults = 0

    def add(self, handler: Callable[[*Args], object]) -> Callable[[], None]:
        """Call this handler from now on; gives a function that ends it. The same one may be added twice."""
        entry = _Entry(handler)
        with self._lock:
            self._handlers = (*self._handlers, entry)

        def remove() -> None:
            with self._lock:
                self._handlers = tuple(kept for kept in self._handlers if kept is not entry)

        return remove

    def __len__(self) -> int:
        return len(self._handlers)

    def __call__(self, *args: *Args) -> None:
        """Call every handler; what one raises is logged once per handler, and counted."""
        for entry in self._handlers:
            try:
                entry.handler(*args)
            except Exception:  # noqa: BLE001 - logged and counted: a view may fail alone
                self.faults += 1
                if not entry.told:
                    entry.told = True
                    _log.exception("handler_failed: %r; it is called on, its errors are not shown again", entry.handler)


class _Entry:
    """One handler, and whether its failing was logged."""

    __slots__ = ("handler", "told")

    def __init__(self, handler: Callable[..., object]) -> None:
        self.handler, self.told = handler, False


class Delivery:
    """A queue of calls, made in order by whoever finds nobody at it."""

    __slots__ = ("_busy", "_queue")

    def __init__(self) -> None:
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._busy = threading.Lock()

    def put(self, call: Callable[..., object], *args: Any) -> None:
        """Queue a call. Under the lock that orders the changes; `run` must follow when it is left."""
        self._queue.append((call, args))

    def run(self) -> None:
        """Make the calls that are queued, unless somebody is at it. With no lock held."""
        # Looked at again when the lock was given back: one who found it taken may have queued a call in between.
        while self._queue and self._busy.acquire(blocking=False):
            try:
                while self._queue:
                    call, args = self._queue.popleft()
                    call(*args)
            finally:
                self._busy.release()
