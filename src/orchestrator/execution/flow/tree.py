"""A durable function and those that it runs inside of it: in which order what they ask for is answered.

In a later life the functions run from their first lines. A call whose outcome is in the journal is given that, in the
order in which the outcomes came: so what raced then comes to the same end now. Nothing that the journal does not have
is begun before everything that it has was asked for: if the code has changed, that shows before anything new happens.

They are told one at a time: the next one when the functions have done all that follows from the last, live and in a
replay alike. Else what two tasks do after what they were told would depend on how close together they were told it.

While it is told nothing new, the tree *rests*: everything that it asked for waits for a time, a signal or a person. An
execution of which everything rests can be unloaded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

from orchestrator.errors import NonDeterminismError
from orchestrator.execution.flow.asked import Asked
from orchestrator.execution.flow.flows import Flow, Suspension
from orchestrator.journal.keys import is_inside, place_of
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

#: Functions that ask for nothing new this long after they were told something are looked at as waiting.
REST_SECONDS = 0.1
#: One that waits for what does not come in a replay is told so after this long; where tasks of it may still do other
#: things, after the longer time.
_STUCK_SECONDS = 0.05
_STUCK_TASKS_SECONDS = 10.0
#: So many passes of a loop that is never quiet are enough for what follows from an outcome.
_PASSES = 50
#: A position after all that the journal has.
_NOW = 2**62
#: The position of an outcome and its step; or at which a function was to end, and which.
_Item: TypeAlias = tuple[int, StepKey, bool]
_ENDED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED})


class Outside(Protocol):
    """Who carries out what functions ask for, and knows what has happened."""

    execution_id: str

    def calls(self, flow: StepKey) -> Iterator[tuple[StepKey, StepStatus]]:
        """What is known of the calls of a function."""
        ...

    def ended_at(self, key: StepKey) -> tuple[int, float]:
        """The position of a step's outcome, and its time."""
        ...

    def begun_at(self, key: StepKey) -> int:
        """The position at which a step began."""
        ...

    def cancelled(self, root: StepKey) -> Iterator[tuple[int, StepKey]]:
        """Which of these functions were to end, and at which position: given up by somebody, or their time was over."""
        ...

    def status(self, key: StepKey) -> StepStatus | None:
        """Where a step stands."""
        ...

    @property
    def anything_waits(self) -> bool:
        """Whether any step waits for a time, a signal or a person."""
        ...

    def is_waiting(self, key: StepKey) -> bool:
        """Whether a step waits for a time, a signal or a person."""
        ...

    def outcome(self, key: StepKey) -> Any:
        """What a step came to. Raises the exception that it failed with."""
        ...

    def start(self, asked: Asked) -> None:
        """Begin a step, or go on with it."""
        ...

    def perform(self, asked: Asked) -> Any:
        """Do a step before returning. Raises what it failed with."""
        ...

    def abandon(self, asked: Asked) -> None:
        """Nobody waits for a step any more."""
        ...

    def cancel(self, flow: StepKey) -> None:
        """Cancel a function, as was to be in an earlier life."""
        ...

    def count(self, more: int) -> None:
        """So many more outcomes are about to be told, each of which may bring records."""
        ...

    def look_soon(self, look: Callable[[], None]) -> None:
        """In the next pass of the loop; it counts as nothing that is left to do."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether the loop has nothing left to do."""
        ...

    def stuck(self, error: NonDeterminismError) -> None:
        """The functions ask for other steps than the journal holds."""
        ...

    def rested(self) -> None:
        """Everything that was asked for waits."""
        ...

    async def linger(self, seconds: float) -> None:
        """Wait for so many real seconds; the clock of the execution does not jump meanwhile."""
        ...


class FlowTree:
    """The functions of one step that was begun by a pipeline (`""`: of the execution itself)."""

    def __init__(self, outside: Outside, root: StepKey, loop: asyncio.AbstractEventLoop) -> None:
        self.root = root
        self.flows: dict[StepKey, Flow] = {}
        self.resting = False
        self._outside, self._loop = outside, loop
        #: What the journal has and nobody has asked for yet, and the outcomes that were not told yet, in their order.
        self._expected: dict[StepKey, None] = {}
        order: list[_Item] = []
        for key, status in self._known(root):
            self._expected[key] = None
            if status in _ENDED:
                order.append((outside.ended_at(key)[0], key, False))
        order += [(position, flow, True) for position, flow in outside.cancelled(root)]
        self._order = deque(sorted(order))
        #: Where each of these began. An outcome is told when all that began before it was asked for, as it was then.
        self._begun = deque(sorted((outside.begun_at(key), key) for key in self._expected))
        #: Asked for: with an outcome that is not to be told yet; to be begun when all is replayed; never to be told.
        self._ready: dict[StepKey, Asked] = {}
        self._held: list[Asked] = []
        self._parked: dict[StepKey, Asked] = {}
        self._live: dict[StepKey, Asked] = {}
        #: Outcomes of this life that are to be told yet; whether the functions still do what follows from one.
        self._untold: deque[Asked] = deque()
        self._telling = False
        self._passes = 0
        self._activity = 0
        self._rest_timer: asyncio.Task[None] | None = None
        self._watch_timer: asyncio.TimerHandle | None = None

    def _known(self, flow: StepKey) -> Iterator[tuple[StepKey, StepStatus]]:
        for key, status in self._outside.calls(flow):
            if status is not StepStatus.PENDING:
                yield key, status
                if status is StepStatus.RUNNING:  # else what is inside of it is not asked for again
                    yield from self._known(key)

    @property
    def replaying(self) -> bool:
        """Whether the journal has more than was asked for."""
        return bool(self._order or self._expected)

    @property
    def _cancel_is_next(self) -> bool:
        """Whether everything was told that came before a function was to end."""
        return bool(self._order) and self._order[0][2]

    @property
    def old(self) -> bool:
        """Whether steps were begun in an earlier life that were not asked for yet."""
        return bool(self._expected)

    def knows(self, key: StepKey) -> bool:
        """Whether the journal has a call that was not asked for yet."""
        return key in self._expected

    def cancel_soon(self, flow: StepKey) -> bool:
        """A function is to end now: whether that is told after what the journal has, so that it is where it stood."""
        if self.replaying and (flow, True) not in [item[1:] for item in self._order]:
            self._order.append((_NOW, flow, True))
            self._look_for_end()
        return self.replaying

    # -- what is asked for ---------------------------------------------------------------------------------------------

    def ask(self, flow: Flow, asked: Asked) -> None:
        """A function waits for a call from now on."""
        self._stir()
        flow.unanswered[asked], asked.flow = None, flow
        if flow.suspended:
            self._drop(flow, asked)
            return
        key = asked.key
        if key not in self._expected:
            if self.replaying:
                self._held.append(asked)
                self._watch()
            else:
                self._start(asked)
            return
        del self._expected[key]
        status = self._outside.status(key)
        if status in _ENDED:
            self._ready[key] = asked
        elif status is StepStatus.CANCELLED:
            self._parked[key] = asked
        elif asked.is_function:
            self._start(asked)
        else:
            self._held.append(asked)
        self._look_for_end()
        if self._order:
            self._loop.call_soon(self._tell)  # as in the first life, other tasks have their turn meanwhile

    def perform(self, flow: Flow, asked: Asked) -> Any:
        """Do a call before returning: what came of it, now or in an earlier life."""
        self._stir()
        known = asked.key in self._expected
        self._expected.pop(asked.key, None)
        if known and self._outside.status(asked.key) in _ENDED:
            if self._order and self._order[0][1] == asked.key:
                self._order.popleft()
            else:
                self._order = deque(item for item in self._order if item[1] != asked.key)
            self._at(flow, asked.key)
            self._loop.call_soon(self._tell)
            return self._outside.outcome(asked.key)
        if not known and self._expected and self._is_alone(flow):
            self._outside.stuck(self._surprise([asked]))
            raise Suspension  # nothing that the function could catch
        if not self.replaying and (self._held or self._ready):
            self._loop.call_soon(self._look_for_end)
        value = self._outside.perform(asked)
        asked.close()
        self._at(flow, asked.key)
        return value

    def abandon(self, flow: Flow, asked: Asked) -> None:
        """A function waits for a call no more."""
        self._stir()
        if flow.unanswered.pop(asked, self) is self:
            return
        key = asked.key
        self._ready.pop(key, None)
        self._parked.pop(key, None)
        if asked in self._held:
            self._held.remove(asked)
            if self._outside.status(key) is StepStatus.RUNNING and not flow.suspended:  # since an earlier life
                self._outside.abandon(asked)
        if self._live.pop(key, None) is not None and not flow.suspended:
            self._outside.abandon(asked)
        self._tell()
        self.look()

    def _drop(self, flow: Flow, asked: Asked) -> None:
        flow.unanswered.pop(asked, None)
        if asked.answer is not None and not asked.answer.done():
            asked.answer.set_exception(Suspension())

    def _start(self, asked: Asked) -> None:
        self._live[asked.key] = asked
        self._outside.start(asked)
        self.look()

    # -- what comes of it ----------------------------------------------------------------------------------------------

    def ended(self, key: StepKey) -> None:
        """A call has its outcome, in this life."""
        asked = self._live.pop(key, None)
        if asked is not None and self._outside.status(key) is StepStatus.CANCELLED:
            self._parked[key] = asked  # it came to nothing that could be told, as in a later life
        elif asked is not None:
            if asked.is_function and self.replaying:  # its time was over: it asks for nothing more
                self._expected = {known: None for known in self._expected if not is_inside(known, key)}
                self._order = deque(item for item in self._order if not is_inside(item[1], key))
            self._untold.append(asked)
            self._outside.count(1)
            self._tell()
            self._stir()
            self.look()

    def _tell(self) -> None:
        """Tell the next outcome, where the functions have done what follows from the last one."""
        self._deliver()
        while self._untold and not self._telling and not self._order:  # else those came first
            self._outside.count(-1)
            self._answer(self._untold.popleft())

    def _let_digest(self) -> None:
        """Something is told: the next thing when the functions have done what follows from it."""
        self._telling, self._passes = True, 0
        self._outside.look_soon(self._digest)

    def _digest(self) -> None:
        """Look whether anything is left to do in this pass of the loop or the next."""
        self._passes += 1
        if self._passes < _PASSES and not self._outside.is_quiet:
            self._outside.look_soon(self._digest)
        else:
            self._telling = False
            self._tell()
            self.look()

    def _deliver(self) -> None:
        """Tell the next outcome of earlier lives, in their order, where it was asked for."""
        while self._order and not self._telling:
            position, key, cancels = self._order[0]
            if cancels:
                self._watch()
                return
            if self._is_early(position):
                if self._ready or self._held:
                    self._watch()
                return
            asked = self._ready.pop(key, None)
            if asked is None:
                if key not in self._expected:  # asked for, and given up meanwhile
                    self._order.popleft()
                    continue
                if self._ready or self._held:
                    self._watch()
                return
            self._order.popleft()
            self._answer(asked)
        self._look_for_end()

    def _is_early(self, position: int) -> bool:
        """Whether something was not asked for yet that had begun before this position."""
        while self._begun and self._begun[0][1] not in self._expected:
            self._begun.popleft()
        return bool(self._begun) and self._begun[0][0] < position

    def _look_for_end(self) -> None:
        """Begin what is new, where everything that the journal has was asked for."""
        if self.replaying:
            if self._held or self._ready or self._cancel_is_next:
                self._watch()
            return
        held, self._held = self._held, []
        for asked in held:
            self._start(asked)

    def _answer(self, asked: Asked) -> None:
        flow = asked.flow
        if flow is not None and asked in flow.unanswered:
            del flow.unanswered[asked]
            self._at(flow, asked.key)
        answer = asked.answer
        asked.close()
        if answer is None or answer.done():
            return
        self._let_digest()
        try:
            value = self._outside.outcome(asked.key)
        except Exception as exc:  # noqa: BLE001 - raised where the function waits
            answer.set_exception(exc)
        else:
            answer.set_result(value)

    def _at(self, flow: Flow, key: StepKey) -> None:
        flow.time = max(flow.time, self._outside.ended_at(key)[1])

    def end(self, flow: Flow) -> None:
        """A function has ended. Raises NonDeterminismError where the journal has outcomes that it did not ask for."""
        self.flows.pop(flow.key, None)
        lost = [key for _, key, _ in self._order if key in self._expected and _owner(key) == flow.key]
        if lost and not (flow.suspended or flow.cancelled):
            raise self._error(flow, lost, [])
        for asked in [*flow.unanswered]:
            self.abandon(flow, asked)
            self._drop(flow, asked)  # a task that the function has left behind ends with it
        self._stir()

    # -- watching ------------------------------------------------------------------------------------------------------

    def _stir(self) -> None:
        self._activity += 1
        self.resting = False

    def look(self) -> None:
        """Rest soon, where everything that was asked for waits."""
        if self._waits() and self._rest_timer is None:
            self._rest_timer = self._loop.create_task(self._soon(self._activity))

    async def _soon(self, activity: int) -> None:
        """Rest where the function itself waits for a call; else when nothing has happened for a while.

        Not while it has given itself a time (`asyncio.timeout`), which would be over when it is loaded again.
        """
        root = self.flows.get(self.root)
        if root is None or not self._is_blocked(root):
            await self._outside.linger(REST_SECONDS)
        while activity == self._activity and self._is_timed():
            await self._outside.linger(REST_SECONDS)
        self._rest(activity)

    def _is_timed(self) -> bool:
        """Whether an `asyncio.timeout` of a task that waits here is to come. Asked of the loop, as far as that says."""
        tasks = {flow.runs_in for flow in self.flows.values()}
        tasks.update(asked.task for flow in self.flows.values() for asked in flow.unanswered)
        for handle in getattr(self._loop, "_scheduled", ()):
            timeout = getattr(getattr(handle, "_callback", None), "__self__", None)
            if isinstance(timeout, asyncio.Timeout) and not handle.cancelled() and timeout._task in tasks:  # type: ignore[attr-defined]
                return True
        return False

    def _waits(self) -> bool:
        if self._held or self._ready or self._untold or not self._outside.anything_waits:
            return False
        found = False
        for key, asked in self._live.items():
            if not asked.is_function:
                if not self._outside.is_waiting(key):
                    return False
                found = True
        return found

    def _rest(self, activity: int) -> None:
        self._rest_timer = None
        if activity != self._activity:
            self.look()
        elif self._waits():
            self.resting = True
            self._outside.rested()

    def _watch(self) -> None:
        if self._watch_timer is None:
            self._watch_timer = self._loop.call_later(_STUCK_SECONDS, self._see, self._activity, self._loop.time())

    def _see(self, activity: int, since: float) -> None:
        self._watch_timer = None
        if activity != self._activity:
            since = self._loop.time()
        elif self._cancel_is_next:
            flow = self._order.popleft()[1]
            self._stir()
            self._outside.cancel(flow)
            self._let_digest()
            return
        elif self.replaying and (self._held or self._ready):
            root = self.flows.get(self.root)
            if (root is not None and self._is_blocked(root)) or self._loop.time() - since > _STUCK_TASKS_SECONDS:
                self._outside.stuck(self._surprise([*self._held, *self._ready.values()]))
                return
        if self.replaying and (self._held or self._ready or self._cancel_is_next):
            self._watch_timer = self._loop.call_later(_STUCK_SECONDS, self._see, self._activity, since)

    def _is_blocked(self, flow: Flow) -> bool:
        """Whether the code of a function itself waits for what does not come."""
        for asked in flow.unanswered:
            if asked.by_root:
                inner = self.flows.get(asked.key)
                return inner is None or self._is_blocked(inner)
        return False

    def _is_alone(self, flow: Flow) -> bool:
        return len(self.flows) == 1 and not flow.unanswered and not flow.called

    def _surprise(self, asked: list[Asked]) -> NonDeterminismError:
        recorded = [key for _, key, _ in self._order if key in self._expected] or list(self._expected)
        flow = next(iter(self.flows.values()))
        return self._error(flow, recorded, [(a.key, a.where) for a in asked])

    def _error(self, flow: Flow, recorded: list[StepKey], asked: list[tuple[str, str]]) -> NonDeterminismError:
        return NonDeterminismError(self._outside.execution_id, flow.function, recorded, asked)

    def close(self) -> None:
        """Nothing of it goes on."""
        self._outside.count(-len(self._untold))
        self._untold.clear()
        for timer in (self._rest_timer, self._watch_timer):
            if timer is not None:
                timer.cancel()


def _owner(key: StepKey) -> StepKey:
    place = place_of(key)
    return StepKey("") if place is None else place.owner
