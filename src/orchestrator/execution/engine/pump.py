"""The pump: commits for one event loop. What any execution has queued goes to the store in one transaction.

A lone step's record is committed in the next pass of the loop, on the loop's own thread: a hand-over would cost more
than half a commit. While others run as well, the flush waits as long as the passes bring more records: steps that end
in neighbouring passes then share a transaction, at the price of some microseconds. Where another process holds the
store, or the disk is slow, a thread makes the commit, so that the loop is not held up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.journal.store import Store

#: An event that may wait for company goes alone when there is none within this time.
LAZY_SECONDS = 0.010
#: While other steps run, a flush waits until this many passes of the loop brought no record (a step takes about as many
#: from its start to its record), and for so many passes at most.
_QUIET_PASSES = 6
_MOST_PASSES = 48


class Source(Protocol):
    """Who has events for the store."""

    def seal(self) -> None:
        """Hand them over; does not raise."""
        ...


@dataclass(slots=True)
class Pump:
    """Flushes a store for the executions of one event loop."""

    store: Store
    loop: asyncio.AbstractEventLoop
    #: Where a commit is made that would hold up the loop.
    threads: Executor
    #: Told where nothing can be committed any more.
    on_failure: Callable[[BaseException], None]
    #: Steps under way, over all executions.
    running: int = 0
    _dirty: dict[Source, None] = field(default_factory=dict)
    #: Who has only events that may wait for company, and until when (loop time); the first is due first.
    _lazy: dict[Source, float] = field(default_factory=dict)
    _lazy_timer: bool = False
    _arrivals: int = 0
    _seen: int = 0
    _passes: int = 0
    _quiet: int = 0
    _scheduled: bool = False
    _in_thread: bool = False
    #: What waits for the loop to be quiet, in the queue of that.
    _looks: int = 0

    def request(self, source: Source | None = None) -> None:
        """Flush soon; `source` has events to seal."""
        self._arrivals += 1
        if source is not None:
            self._dirty[source] = None
        if not self._scheduled:
            self._scheduled = True
            self.look_soon(self._look)

    def look_soon(self, look: Callable[[], None]) -> None:
        """In the next pass of the loop; it counts as nothing that is left to do."""
        self._looks += 1
        self.loop.call_soon(self._looked, look)

    def _looked(self, look: Callable[[], None]) -> None:
        self._looks -= 1
        look()

    @property
    def is_quiet(self) -> bool:
        """Whether the loop has nothing left to do in this pass or the next."""
        ready = getattr(self.loop, "_ready", None)  # a loop of another kind does not say
        return ready is not None and len(ready) <= self._looks

    def request_lazily(self, source: Source) -> None:
        """Flush within `LAZY_SECONDS`, unless the source's events have gone with others by then."""
        if source in self._dirty or source in self._lazy:
            return
        self._lazy[source] = self.loop.time() + LAZY_SECONDS
        if not self._lazy_timer:
            self._lazy_timer = True
            self.loop.call_later(LAZY_SECONDS, self._request_due)

    def _request_due(self) -> None:
        now = self.loop.time()
        self._lazy_timer = False
        for source, due in [*self._lazy.items()]:
            if due > now:
                self._lazy_timer = True
                self.loop.call_at(due, self._request_due)
                break
            del self._lazy[source]
            self.request(source)

    def _look(self) -> None:
        self._passes += 1
        if self._arrivals != self._seen:
            self._seen, self._quiet = self._arrivals, 0
        else:
            self._quiet += 1
        if self.running > 1 and self._quiet < _QUIET_PASSES and self._passes < _MOST_PASSES:
            self.look_soon(self._look)
        elif not self._in_thread:  # else `_back` flushes
            self._flush()

    def _flush(self) -> None:
        self._scheduled, self._passes, self._quiet = False, 0, 0
        dirty, self._dirty = self._dirty, {}
        try:
            for source in dirty:
                self._lazy.pop(source, None)
                source.seal()
            if not self.store.slow and self.store.flush(blocking=False):
                return
        except BaseException as exc:  # noqa: BLE001 - raised by every `run`; the loop would only log it
            self.on_failure(exc)
            return
        self._in_thread = True
        self.threads.submit(self._flush_in_thread)

    def _flush_in_thread(self) -> None:
        error: BaseException | None = None
        try:
            self.store.flush()
        except BaseException as exc:  # noqa: BLE001 - raised by every `run`
            error = exc
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            self.loop.call_soon_threadsafe(self._back, error)

    def _back(self, error: BaseException | None) -> None:
        self._in_thread = False
        if error is not None:
            self.on_failure(error)
        if self._scheduled:
            self._flush()
