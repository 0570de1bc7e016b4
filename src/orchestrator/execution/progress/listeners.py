"""A listener: one handler, with what waits for it."""

from __future__ import annotations

import inspect
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from orchestrator.clock import SystemClock
from orchestrator.errors import InputError
from orchestrator.execution.progress.events import ProgressEvent, ProgressEventType
from orchestrator.execution.progress.measures import CallTimes

if TYPE_CHECKING:
    import asyncio

#: A handler as the listener calls it: with the events that are due, oldest first.
Call: TypeAlias = Callable[[list[ProgressEvent]], Any]

#: Events that wait for one handler; beyond that the oldest are dropped, and counted.
MAX_QUEUED = 1_000
#: A handler is waited for this long. One whose latest call took longer is not waited for at all.
PATIENCE_SECONDS = 0.010

_log = logging.getLogger(__name__)
#: Threads are waited for in the machine's own time, whatever clock the events are stamped with.
now = SystemClock().monotonic


class Listener:
    """One handler. The lock of its `Fanout` guards it; one thread or task at a time calls its handler.

    It collects up to `size` events, for at most `delay` seconds after the first; a plain handler takes one at a time.
    """

    __slots__ = (
        "attended",
        "call",
        "delay",
        "dropped",
        "due",
        "faults",
        "gone",
        "handler",
        "loop",
        "queue",
        "size",
        "times",
    )

    def __init__(self, handler: Callable[..., Any], call: Call, size: int = 1, delay: float = 0.0) -> None:
        self.handler, self.call, self.size, self.delay = handler, call, size, delay
        self.queue: deque[ProgressEvent] = deque()
        #: When what was collected is handed over though it is fewer than `size`; None while nothing is.
        self.due: float | None = None
        #: Whether a thread of its own, or a task on its loop, hands over what is queued.
        self.attended = False
        #: Whether it was removed: it is not called again.
        self.gone = False
        self.times = CallTimes()
        self.dropped = 0
        self.faults = 0
        self.loop = _loop_of(handler)

    @property
    def name(self) -> str:
        """What metrics and messages call it."""
        return getattr(self.handler, "__name__", None) or type(self.handler).__name__

    @property
    def apart(self) -> bool:
        """Whether nobody waits for it: its latest call was slow, or its place is on a loop."""
        return self.loop is not None or self.times.latest >= PATIENCE_SECONDS

    @property
    def prompt(self) -> bool:
        """Whether it takes an event at once, with no need to queue it."""
        return self.size == 1 and not (self.queue or self.attended or self.apart)

    def put(self, event: ProgressEvent) -> int:
        """Queue an event; gives how many older ones had to go for it."""
        if self.due is None:
            self.due = now() + self.delay
        self.queue.append(event)
        if len(self.queue) <= max(MAX_QUEUED, self.size):
            return 0
        self.queue.popleft()
        self.dropped += 1
        return 1

    def ready(self) -> bool:
        """Whether what is queued is to be handed over."""
        return len(self.queue) >= self.size or (self.due is not None and self.due <= now())

    def take(self) -> list[ProgressEvent]:
        """Take the oldest events, as many as one call gets."""
        taken = [self.queue.popleft() for _ in range(min(self.size, len(self.queue)))]
        self.due = now() + self.delay if self.queue else None
        return taken

    def drop_all(self) -> int:
        """Forget what is queued; gives how many events that were."""
        gone = len(self.queue)
        self.queue.clear()
        self.due = None
        self.dropped += gone
        return gone

    def invoke(self, events: list[ProgressEvent]) -> None:
        """Call a plain handler; what it raises is logged, the first time, and counted."""
        began = now()
        try:
            result = self.call(events)
            if inspect.iscoroutine(result):
                result.close()
                raise InputError("a plain handler gave a coroutine, which nobody awaits; add the async function itself")
        except BaseException:  # noqa: BLE001 - logged and counted; SystemExit would end the thread unseen
            self._fault()
        self.times.add(now() - began)

    async def invoke_async(self, events: list[ProgressEvent]) -> None:
        """The same for an async handler, on its loop; a cancellation goes on its way."""
        began = now()
        try:
            await self.call(events)
        except Exception:  # noqa: BLE001 - logged and counted
            self._fault()
        finally:
            self.times.add(now() - began)

    def _fault(self) -> None:
        self.faults += 1
        if self.faults == 1:
            _log.exception("handler_failed: %r; it is called on, its errors are not shown again", self.handler)


def plain(handler: Callable[[ProgressEvent], Any]) -> Listener:
    """A handler that gets one event at a time."""
    return Listener(handler, lambda events: handler(events[0]))


def real_time(handler: Callable[[ProgressEventType, dict[str, Any]], Any]) -> Listener:
    """A handler that gets the type and the event as plain data."""
    return Listener(handler, lambda events: handler(events[0].event_type, events[0].to_dict()))


def batch(handler: Callable[[list[ProgressEvent]], Any], max_size: int, max_delay: float) -> Listener:
    """A handler that gets lists of events. Raises InputError where the bounds make no sense."""
    if max_size < 1 or not 0.0 <= max_delay < math.inf:
        raise InputError(f"a batch has 1 event or more and waits 0 s or longer, not {max_size} and {max_delay} s")
    return Listener(handler, handler, max_size, max_delay)


def performance(listeners: Iterable[Listener]) -> dict[str, dict[str, float]]:
    """How each one did, by its name; a namesake is `name#2`."""
    shown: dict[str, dict[str, float]] = {}
    seen: Counter[str] = Counter()
    for one in listeners:
        seen[one.name] += 1
        name = one.name if seen[one.name] == 1 else f"{one.name}#{seen[one.name]}"
        shown[name] = {**one.times.shown(), "dropped_events": one.dropped, "faults": one.faults}
    return shown


def _loop_of(handler: Callable[..., Any]) -> asyncio.AbstractEventLoop | None:
    """The running loop, for an async handler; None for a plain one. Raises InputError where no loop runs."""
    if not callable(handler):
        raise InputError(f"a progress handler is called with events; {handler!r} cannot be called")
    call = type(handler).__call__ if not inspect.isroutine(handler) else handler
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)):
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise InputError(
            f"the async handler {handler!r} needs a loop to run on, and none runs here; add it inside of async code"
        ) from None
