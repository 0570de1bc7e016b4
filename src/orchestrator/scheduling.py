"""The scheduler: wakes what is due, begins what queues, carries on what lies abandoned.

An execution that waits is a row of the store and nothing else. A scheduler asks the store one question for all of them:
what is due by its next look? So ten thousand that wait cost it nothing, and a timer is woken at its time. That somebody
posted a message, or queued an execution, it sees when it looks next, after `poll_seconds` at the latest.

Any number of schedulers may share a store: who claims an execution has it. What cannot be gone with (its handlers are
missing, the store is busy, somebody else was first) is told once for each reason, put off for longer and longer, and
stops none of the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.errors import (
    ConcurrencyBusyError,
    InputError,
    LeaseLostError,
    NotResumableError,
    OwnedElsewhereError,
    StoreError,
    UnknownExecutionError,
)
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal.store import Query, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId

#: What waits again for a time no further away than this is not unloaded until then.
PATIENCE_SECONDS = 1.0
#: How often it is looked for executions whose process is gone.
ABANDONED_SECONDS = 5.0
#: What cannot be gone on with is put off for so long, then for twice as long each time, up to this.
PUT_OFF_SECONDS, MOST_SECONDS = 1.0, 300.0
#: Somebody else was first, or it is not its turn: no fault of anybody.
_TAKEN = (OwnedElsewhereError, ConcurrencyBusyError, NotResumableError, LeaseLostError, UnknownExecutionError)
#: Reasons that are remembered so that each is told once.
_REASONS_KEPT = 1000

_log = logging.getLogger(__name__)


class Why(StrEnum):
    """Why a scheduler takes an execution in hand."""

    DUE = "due"
    QUEUED = "queued"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Turn:
    """One execution that a scheduler took in hand: at its begin, then with a `result`, or the `error` that kept it."""

    execution_id: ExecutionId
    why: Why
    result: ExecutionResult | None = None
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the scheduler has let go of it."""
        return self.result is not None or self.error is not None


@dataclass(slots=True)
class _PutOff:
    """Not to be tried again before this time, and for how long it was put off."""

    until: float
    seconds: float


class Scheduler:
    """Goes on with the executions of an Orchestrator's store, at most `max_running` at once. Belongs to one event loop.

    `on_event` is told of every turn, at its begin and at its end. What waits again for a time within `patience_seconds`
    stays loaded until then.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        max_running: int = 100,
        poll_seconds: float = 0.5,
        patience_seconds: float = PATIENCE_SECONDS,
        on_event: Callable[[Turn], None] = lambda _turn: None,
    ) -> None:
        if max_running < 1 or not poll_seconds > 0:
            raise InputError("a scheduler runs at least one execution at once, and its poll_seconds are more than 0")
        self._orchestrator, self._store, self._clock = orchestrator, orchestrator.store, orchestrator.clock
        self._max_running, self._poll_seconds = max_running, poll_seconds
        self._patience_seconds, self._on_event = patience_seconds, on_event
        self._under_way: dict[ExecutionId, asyncio.Task[Turn]] = {}
        #: The turns that have ended, where somebody is to have them.
        self._over: list[Turn] | None = None
        self._put_off: dict[ExecutionId, _PutOff] = {}
        self._told: set[str] = set()
        self._stopping = False
        #: Whether there is more to be taken in hand than there was room for.
        self._more = False
        #: Set when there is reason to look before the time.
        self._changed = asyncio.Event()
        self._next_due = math.inf
        self._poll_due = self._abandoned_due = -math.inf

    # -- the verbs -------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set, then give back what runs: it is due at once, for the next scheduler.

        What runs of a step has ten seconds to end by itself, and is ended then.
        """
        self._stopping, self._over = False, None
        async with self._orchestrator.staying_open():
            stopped: asyncio.Task[Any] = asyncio.create_task(stop.wait())
            try:
                while not stop.is_set():
                    self._look()
                    await self._nap(stopped)
            finally:
                stopped.cancel()
                await self._leave()

    async def once(self) -> Sequence[Turn]:
        """Take in hand what is due, queued or abandoned now, each once; gives the turns when all have come to rest."""
        return await self._all((Why.ABANDONED, Why.DUE, Why.QUEUED))

    async def recover(self) -> Sequence[Turn]:
        """Carry on what lies abandoned, each once; gives the turns when all have come to rest."""
        return await self._all((Why.ABANDONED,))

    # -- looking ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in hand what there is room for, and note when to look again."""
        now, ticks = self._clock.time(), self._clock.monotonic()
        whys = [Why.DUE]
        if ticks >= self._poll_due:
            self._poll_due = ticks + self._poll_seconds
            whys.append(Why.QUEUED)
        if ticks >= self._abandoned_due:
            self._abandoned_due = ticks + ABANDONED_SECONDS
            self._forget_put_offs(now)
            whys.insert(0, Why.ABANDONED)
        self._more, self._next_due = False, math.inf
        try:
            for why in whys:
                self._begin(why, self._find(why, now + self._poll_seconds), now)
        except StoreError as error:
            self._tell_once(error, "the store cannot be asked what is due")

    def _find(self, why: Why, until: float) -> list[Summary]:
        """What may be taken in hand, and one more where there is more."""
        limit = self._room + len(self._put_off) + 1
        find = self._store.find
        if why is Why.DUE:
            paused = frozenset({ExecutionStatus.PAUSED})
            return find(Query(paused, due_before=until, unowned=True, limit=limit))
        if why is Why.QUEUED:
            return find(Query(startable=True, limit=limit))
        # One of which a person's pause is the last word stays paused, whoever died afterwards. And what broke off (the
        # store failed) is nobody's, and stands as if it ran.
        left = find(Query(UNFINISHED, abandoned=True, limit=limit))
        broken_off = find(Query(frozenset({ExecutionStatus.RUNNING}), unowned=True, limit=limit))
        return [s for s in left if s.status is not ExecutionStatus.PAUSED or s.next_due is not None] + broken_off

    def _begin(self, why: Why, found: Iterable[Summary], now: float, seen: set[ExecutionId] | None = None) -> None:
        for summary in found:
            id_ = summary.execution_id
            if id_ in self._under_way or (seen is not None and id_ in seen) or self._is_put_off(id_, now):
                continue
            if why is Why.DUE and summary.next_due is not None and summary.next_due > now:
                self._next_due = min(self._next_due, summary.next_due)
                continue
            if not self._room:
                self._more = True
                return
            if seen is not None:
                seen.add(id_)
            task = asyncio.create_task(self._take(Turn(id_, why)))
            self._under_way[id_] = task
            task.add_done_callback(self._ended)

    @property
    def _room(self) -> int:
        return self._max_running - len(self._under_way)

    @property
    def _has_much_room(self) -> bool:
        return self._room >= max(1, self._max_running // 4)

    def _is_put_off(self, id_: ExecutionId, now: float) -> bool:
        put_off = self._put_off.get(id_)
        return put_off is not None and put_off.until > now

    def _forget_put_offs(self, now: float) -> None:
        """Those that have not come again for long: somebody else has gone on with them."""
        old = [id_ for id_, put_off in self._put_off.items() if put_off.until < now - MOST_SECONDS]
        for id_ in old:
            del self._put_off[id_]

    async def _nap(self, stopped: asyncio.Task[Any]) -> None:
        """Until something is due, the poll is, or there is reason to look."""
        seconds = self._poll_due - self._clock.monotonic()
        if not self._more:
            seconds = min(seconds, self._next_due - self._clock.time())
        self._changed.clear()
        waits: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._clock.sleep(seconds)),
            asyncio.create_task(self._changed.wait()),
        }
        try:
            await asyncio.wait({stopped, *waits}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # -- going on --------------------------------------------------------------------------------------------------

    async def _take(self, turn: Turn) -> Turn:
        if self._stopping:
            return turn
        self._tell(turn)
        try:
            result = await self._orchestrator.awake(turn.execution_id, patience_seconds=self._patience_seconds)
        except Exception as error:  # noqa: BLE001 - told, and tried again later: the others go on
            self._put(turn.execution_id, error)
            over = replace(turn, error=error)
        else:
            self._put_off.pop(turn.execution_id, None)
            over = replace(turn, result=result)
        self._tell(over)
        return over

    def _ended(self, task: asyncio.Task[Turn]) -> None:
        if task.cancelled():
            self._under_way = {id_: other for id_, other in self._under_way.items() if other is not task}
            return
        turn = task.result()
        del self._under_way[turn.execution_id]
        if self._over is not None:
            self._over.append(turn)
        # What waits again may be due before the poll is. Else not for each that ends: a look costs the same for many.
        waits_again = turn.result is not None and turn.result.status is ExecutionStatus.PAUSED
        if waits_again or (self._more and self._has_much_room):
            self._changed.set()

    def _put(self, id_: ExecutionId, error: Exception) -> None:
        """Put one off that could not be gone on with."""
        taken = isinstance(error, _TAKEN)
        before = self._put_off.get(id_)
        seconds = PUT_OFF_SECONDS if before is None or taken else min(MOST_SECONDS, 2 * before.seconds)
        self._put_off[id_] = _PutOff(self._clock.time() + (self._poll_seconds if taken else seconds), seconds)
        self._tell_once(error, f"execution {id_} is put off", id_, logging.INFO if taken else logging.WARNING)

    def _tell_once(self, error: Exception, what: str, id_: str = "", level: int = logging.WARNING) -> None:
        """Log an error; the same for another execution is not told again."""
        reason = f"{type(error).__name__}: {error}"
        general = reason.replace(id_, "") if id_ else reason
        if general not in self._told:
            if len(self._told) >= _REASONS_KEPT:
                self._told.clear()
            self._told.add(general)
            _log.log(level, "scheduler_cannot_go_on: %s (%s); the same of others is not told again", what, reason)

    def _tell(self, turn: Turn) -> None:
        try:
            self._on_event(turn)
        except Exception as error:  # noqa: BLE001 - logged; a view may fail alone
            self._tell_once(error, "on_event failed")

    # -- all at once, and the end ----------------------------------------------------------------------------------

    async def _all(self, whys: Sequence[Why]) -> Sequence[Turn]:
        """Take in hand what there is now, each once, and what gets its turn by that."""
        self._stopping = False
        over = self._over = []
        seen: set[ExecutionId] = set()
        now = self._clock.time()
        async with self._orchestrator.staying_open():
            try:
                while True:
                    self._more = False
                    for why in whys:
                        self._begin(why, self._find(why, now), now, seen)
                    if not self._under_way:
                        return [turn for turn in over if turn.is_over]
                    await self._some_ended()
            finally:
                await self._leave()

    async def _some_ended(self) -> None:
        """Until one has ended, or so many as leave room for others."""
        while self._under_way:
            await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
            if not self._more or self._has_much_room:
                return

    async def _leave(self) -> None:
        """Give back what runs, and wait for its end; a cancellation of that makes haste."""
        self._stopping = True
        while self._under_way:
            self._orchestrator.hand_back(self._under_way)
            try:
                await asyncio.wait(self._under_way.values())
            except asyncio.CancelledError:
                for task in self._under_way.values():
                    task.cancel()
                raise
