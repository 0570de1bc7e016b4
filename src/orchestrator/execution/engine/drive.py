"""One execution under way: follows the machine's instructions until it has ended, is paused, or cannot go on.

The drive starts a step the moment the machine says so, and queues what the steps record. It decides nothing about the
graph and keeps nothing beside the session; what a step asks for is done by the `performer`.

A *rollback* is committed on the spot, with nothing in flight, so that the state it goes back from is the state that is
known. The steps that get a new generation are cancelled in the same pass of the loop: none can record anything more. A
step begins anew only when what ran of it before has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from orchestrator.errors import IllegalMoveError, OrchestratorError
from orchestrator.execution.driver import Deed, Keep, Record, Rollback
from orchestrator.execution.engine.carried import Carried, Interrupted
from orchestrator.execution.engine.inbox import events_of
from orchestrator.execution.engine.performer import Parts, Performer
from orchestrator.execution.engine.pump import Pump
from orchestrator.execution.integration import Session
from orchestrator.execution.machine import Complete, Execute, Fail, Instruction, Join
from orchestrator.execution.recovery import ENGINE_FAULTS, RecoveryManager
from orchestrator.execution.step import execute, join
from orchestrator.execution.variables import StepScope
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event
from orchestrator.journal.fold import StepRecord, split_item_key
from orchestrator.journal.store import Commit, Message
from orchestrator.types import StepKey

#: After an interrupt, what runs has this long to end.
GRACE_SECONDS = 10.0
#: Then it is cancelled, and what has not ended this much later is left behind.
_LAST_SECONDS = 1.0


@dataclass(eq=False)
class Drive:
    """One execution under way."""

    parts: Parts
    session: Session
    base_dir: str
    loop: asyncio.AbstractEventLoop
    pump: Pump
    recovery: RecoveryManager | None = None
    interrupted: bool = False
    draining: bool = False
    _ready: deque[Execute | Join] = field(default_factory=deque)
    #: All that is under way: the steps, and what ends the execution.
    _carried: set[Carried] = field(default_factory=set)
    _under_way: dict[Execute | Join, Carried] = field(default_factory=dict)
    #: Steps that began anew, until what ran of them has ended: nothing of that is recorded any more.
    _superseded: dict[Carried, StepKey] = field(default_factory=dict)
    #: Steps whose events were committed or refused, and which have not heard of it yet.
    _recorded: list[tuple[Carried, BaseException | None]] = field(default_factory=list)
    #: Whether instructions are only taken down.
    _held: bool = False
    _dispatching: bool = False
    #: Whether entries are being applied, and handlers called, right now.
    _settling: bool = False
    #: Messages of the inbox, and questions, that events were queued for.
    _taken: set[int] = field(default_factory=set)
    _answered: set[tuple[StepKey, int, int]] = field(default_factory=set)
    _ending: bool = False
    _over: asyncio.Future[None] = field(init=False)
    #: Is done when nothing is under way any more; None where nobody waits for that.
    _idle: asyncio.Future[None] | None = None
    _performer: Performer = field(init=False)

    def __post_init__(self) -> None:
        self._over = self.loop.create_future()
        self._performer = Performer(self.parts, self.session, self.base_dir, self, self.loop, self.recovery)

    async def run(self, events: Sequence[Event], messages: Sequence[Message] = ()) -> None:
        """Record these events and follow the machine until the execution has ended, is paused, or cannot go on.

        `messages` are what the inbox held when the execution was claimed.
        """
        self.add(events)
        self.take(messages)
        cancelled = False
        try:
            await self._over
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:  # also where the store refused us: nothing of ours runs on
            await self._let_go()
            if cancelled:  # by whoever called us; no reason to count this as a crash
                self._pause("cancelled by its caller")

    async def _let_go(self) -> None:
        """End what runs, but for a thread that cannot be ended."""
        self.draining = self._ending = True
        cancelled: asyncio.CancelledError | None = None
        while self._carried:
            for carried in [*self._carried]:
                carried.cancel()
            self._idle = self.loop.create_future()
            try:
                await self._idle
            except asyncio.CancelledError as exc:  # once more: with haste
                cancelled = exc
        if cancelled is not None:
            raise cancelled

    def _pause(self, reason: str) -> None:
        """Record on the way out that nobody works on it; whoever flushes next makes it so."""
        if not self.session.ended:
            self.session.add((ev.ExecutionPaused(reason),))
            self.seal()

    # -- recording -------------------------------------------------------------------------------------------------

    def record(self, events: tuple[Event, ...], carried: Carried) -> None:
        """Let the step go on when the events are durable and applied."""
        self.add(events, lambda error: self._recorded.append((carried, error)))

    def record_lazily(self, events: tuple[Event, ...]) -> None:
        """Let the events ride in the next commit, or go alone when there is none soon."""
        self.session.add(events)
        self.pump.request_lazily(self)

    def add(self, events: Sequence[Event], on_done: Callable[[BaseException | None], None] | None = None) -> None:
        """Queue events for the next commit."""
        self.session.add(events, on_done)
        self.pump.request(self)

    def seal(self) -> None:
        """Hand what was queued to the store."""
        if self.session.pending:
            try:
                self.session.seal(self._committed)
            except Exception as exc:  # noqa: BLE001 - raised by `run`: an event that cannot be written
                self.stop(exc)

    def _committed(self, _commit: Commit) -> None:
        """On whichever thread made the commit."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            self._settle()
        else:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        """Apply what is durable by now, begin what follows from it, and let the steps go on that waited for it."""
        self._settling = True
        try:
            instructions = self.session.settle()
        except Exception as exc:  # noqa: BLE001 - raised by `run`: the store refused, or the machine found a bug
            self.stop(exc)
        else:
            self._follow(instructions)
        finally:
            self._settling = False
        recorded, self._recorded = self._recorded, []
        for carried, error in recorded:
            carried.go(None, error)

    @property
    def _failed(self) -> StepKey | None:
        """The first step that failed for good, and was not asked for again."""
        return next(iter(self.session.machine.failed), None)

    def stop(self, error: BaseException | None = None) -> None:
        """The execution has ended, or cannot go on here because of `error`."""
        if not self._over.done():
            if error is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(error)

    # -- following -------------------------------------------------------------------------------------------------

    def _follow(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Execute() | Join():
                    self._ready.append(instruction)
                case Fail():
                    if self._carried:  # else at a claim: what was asked for again runs to its own end first
                        self.draining = True
                        self._performer.wake_sleepers()
                case Complete():
                    if not self._ending:
                        self._ending = True
                        self._start(self._complete())
        self._dispatch()

    def _dispatch(self) -> None:
        if self._held or self._dispatching:
            return
        self._dispatching = True
        later: list[Execute | Join] = []
        while self._ready and not self.draining and len(self._carried) < self.parts.max_running:
            instruction = self._ready.popleft()
            if self._is_leaving(instruction):
                later.append(instruction)
            else:
                self._carry(instruction)
        self._ready.extend(later)
        self._dispatching = False
        over = self.draining or (not self._ready and (self._failed is not None or bool(self.session.machine.waiting)))
        # (What waits to be applied may still change that; it dispatches again.)
        if over and not self._carried and not self._ending and not self.session.unsettled:
            self._ending = True
            self._start(self._end())

    def _is_leaving(self, instruction: Execute | Join) -> bool:
        """Whether what ran of the same step before has not ended yet; its end dispatches again."""
        return instruction in self._under_way or (
            bool(self._superseded) and instruction.key in self._superseded.values()
        )

    def _carry(self, instruction: Execute | Join) -> None:
        try:
            task = self._performer.task(instruction.key, instruction.generation)
        except Exception as exc:  # noqa: BLE001 - raised by `run`: the plan and the journal do not agree
            self.stop(exc)
        else:
            self._start(join(task) if isinstance(instruction, Join) else execute(task), instruction)

    def _start(self, deed: Deed[None], instruction: Execute | Join | None = None) -> None:
        carried = Carried(deed, self._performer.perform, self._ended, self.loop, instruction)
        self._carried.add(carried)
        if instruction is not None:
            self._under_way[instruction] = carried
        self.pump.running += 1
        carried.go()

    def _ended(self, carried: Carried, error: BaseException | None) -> None:
        self._carried.discard(carried)
        self.pump.running -= 1
        instruction = carried.instruction
        if instruction is not None:
            del self._under_way[instruction]
            if carried.stuck is not None:
                self._performer.note_stuck(instruction.key, carried.stuck)
        superseded = self._superseded.pop(carried, None) is not None
        if carried.cancelled or isinstance(error, asyncio.CancelledError):
            error = None
            if not (self.draining or superseded):
                error = OrchestratorError(
                    "a task of the engine was cancelled by somebody else; `orchestrator resume` goes on"
                )
        if self._idle is not None and not self._carried and not self._idle.done():
            self._idle.set_result(None)
        if error is not None:
            self.stop(error)
        elif not self._over.done():
            self._dispatch()

    def _complete(self) -> Deed[None]:
        try:
            scope = StepScope(self.session.variables, {})
            outputs = {name: value.resolve(scope) for name, value in self.session.plan.outputs.items()}
            event: Event = ev.ExecutionCompleted((yield Keep(outputs)))
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # noqa: BLE001 - recorded: the outputs cannot be made
            event = ev.ExecutionFailed(None, self._performer.describe(exc, None).to_dict())
        yield Record((event,))
        self.stop()

    def _end(self) -> Deed[None]:
        """What ran has ended: say how the execution stands."""
        waiting, failed = next(iter(self.session.machine.waiting), None), self._failed
        if failed is None and waiting is not None and not self.interrupted:
            self.take(self.parts.store.inbox(self.session.lease.execution_id))  # an answer may have come just now
            if self.session.unsettled:
                self._ending = False
                return
        if failed is not None:
            error = self.session.record.step(failed).error or {}
            event: Event = ev.ExecutionFailed(failed, error)
        elif waiting is not None and not self.interrupted:
            event = ev.ExecutionPaused(f"waiting for an answer about step {waiting!r}")
        else:
            event = ev.ExecutionPaused("interrupted")
        yield Record((event,))
        self.stop()

    # -- from outside ------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Start nothing new and let go of what waits; what runs has the time of grace."""
        if self.interrupted:
            return
        self.interrupted = self.draining = True
        self._performer.wake_sleepers()
        self.loop.call_later(GRACE_SECONDS, self._cut_off)
        self._dispatch()

    def _cut_off(self, again: bool = True) -> None:
        """The grace is over. A second cancellation gives up what cannot be ended, such as a thread."""
        if not self._ending:
            for carried in [*self._carried]:
                carried.cancel()
            if again:
                self.loop.call_later(_LAST_SECONDS, self._cut_off, False)

    def take(self, messages: Sequence[Message]) -> None:
        """Turn messages of the inbox into events; what cannot be recorded any more stays in the inbox."""
        if self.session.ended:
            return
        # What was queued is not applied yet, and still stands in the inbox.
        fresh = [message for message in messages if message.id not in self._taken]
        steps = self.session.record.steps.values()
        waiting = {step.key: step for step in steps if step.waiting and _question(step) not in self._answered}
        events, taken = events_of(fresh, waiting, self.parts.clock.time(), self.parts.put_blob)
        self._taken.update(taken)
        self._answered.update(_question(waiting[event.key]) for event in events)
        if events:
            self.session.add(events, taken=taken)
            self.pump.request(self)

    # -- rollback ----------------------------------------------------------------------------------------------------

    def roll_back(self, request: Rollback) -> str | None:
        """Set the execution back; gives the reason where that cannot be. Raises Interrupted where it was done."""
        self._commit_now()
        if self.draining:
            return "another step failed meanwhile" if not self.interrupted else "the execution was interrupted"
        context = self.session.context
        target = request.checkpoint or next((found.id for found in reversed(context.checkpoints)), "")
        planned = context.plan_restore(target, cause=request.key)
        if planned is None:
            known = ", ".join(found.description or found.id for found in context.checkpoints) or "none"
            return f"there is no checkpoint {target!r}; there are {known}"
        self.restore((*request.events, _with(planned[0], request.key)))
        raise Interrupted

    def restore_to(self, checkpoint: str) -> None:
        """Set the execution back because somebody outside of its steps wants it. Raises IllegalMoveError.

        What is queued is committed first, and the restore decided anew. It is refused to a handler of this execution's
        own events, which is called in the middle of applying them, and where the execution is about to end.
        """
        what = f"execution {self.session.lease.execution_id}"
        if self._settling:
            raise IllegalMoveError(what, "applying events", "a restore; ask for it outside of a handler of its events")
        self._commit_now()
        if self.draining or self._ending:
            raise IllegalMoveError(what, "ending", "a restore")
        if (planned := self.session.context.plan_restore(checkpoint)) is not None:
            self.restore((planned[0],))

    def restore(self, events: Sequence[Event]) -> None:
        """Record a restore, with what goes before it; the steps that begin anew are let go of at once."""
        self.session.add(events)
        self._ready.clear()
        self._held = True
        try:
            self._commit_now()
        finally:
            self._held = False
        # The machine has named all that is to be done, also what is being done already; the rest is let go of.
        named = set(self._ready)
        for instruction, carried in self._under_way.items():
            if instruction not in named and carried not in self._superseded:
                self._superseded[carried] = instruction.key
                carried.cancel()
        self._ready = deque(instruction for instruction in self._ready if instruction not in self._under_way)
        self._dispatch()

    def commit_now(self, events: Sequence[Event]) -> None:
        """Record these events before returning. On the loop's thread, for what happens rarely."""
        self.session.add(events)
        self._commit_now()

    def _commit_now(self) -> None:
        """Commit and apply what is queued and what is in flight. Raises why the store refused."""
        self.seal()
        self.parts.store.flush()
        self._settle()
        if self._over.done() and (error := self._over.exception()) is not None:
            raise error


def _with(event: ev.ExecutionRestored, key: StepKey) -> ev.ExecutionRestored:
    """The step that asks for a rollback begins anew in any case, also where it ran already at the checkpoint."""
    found = split_item_key(key)
    goes_with_loop = found is not None and found[0] in event.keys and found[0] not in event.expanded
    return event if key in event.keys or goes_with_loop else replace(event, keys=(*event.keys, key))


def _question(step: StepRecord) -> tuple[StepKey, int, int]:
    """Which question about a step it is: a step may be asked about again, after another attempt."""
    return step.key, step.generation, step.failed_attempts
