"""One execution under way: follows the machine's instructions until it has ended, is paused, or cannot go on.

The drive starts a step the moment the machine says so, and queues what the steps record. It decides nothing about the
graph and keeps nothing beside the session; what a step asks for is done by the `performer`.

What closes (a block of which a step failed, a race that is decided, an execution that somebody cancels) is concluded
when nothing of it is under way any more: only the drive can see that. What waits for a time, a signal or a person is
under way nowhere; where nothing else is left, the execution is unloaded, unless its next time is near.

A *rollback* is committed on the spot, with nothing in flight, so that the state it goes back from is the state that is
known. The steps that get a new generation are cancelled in the same pass of the loop: none can record anything more. A
step begins anew only when what ran of it before has ended.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from orchestrator.errors import IllegalMoveError, OrchestratorError
from orchestrator.execution.driver import Deed, Keep, Record, Rollback, RunFunction
from orchestrator.execution.engine.carried import Carried, Interrupted
from orchestrator.execution.engine.functions import Functions
from orchestrator.execution.engine.inbox import (
    ANSWER,
    CANCEL,
    QuestionId,
    due_events,
    matches,
    question_id,
    take_messages,
)
from orchestrator.execution.engine.performer import Parts, Performer
from orchestrator.execution.engine.pump import Pump
from orchestrator.execution.engine.races import in_turn
from orchestrator.execution.engine.waiting import what_it_waits_for
from orchestrator.execution.flow import raised_data, step_of
from orchestrator.execution.integration import Session
from orchestrator.execution.machine import ROOT, Complete, Execute, Fail, Instruction, Join, Release, Stop
from orchestrator.execution.machine.frames import ENDED
from orchestrator.execution.recovery import ENGINE_FAULTS, RecoveryManager
from orchestrator.execution.step import TIME, execute, pipeline_outputs
from orchestrator.execution.variables import StepScope
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.keys import is_inside, owners_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.journal.store import Commit, Message
from orchestrator.status import Closing, StepStatus
from orchestrator.types import StepKey

#: Something may be due from then on.
_BEGIN_TO_WAIT = (ev.StepWaiting, ev.InterventionRequested, ev.BlockEntered)
#: Deadlines begin anew with these.
_GIVE_TIME = (ev.ExecutionRetried, ev.ExecutionRerun, ev.ExecutionRestored)
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
    #: For a time that is at most this many seconds away it waits here; infinity: for whatever it waits for.
    patience_seconds: float = 0.0
    interrupted: bool = False
    #: Whether nothing starts here any more; the execution is paused then.
    draining: bool = False
    #: Whether it is to be gone on with by whichever scheduler comes next.
    hands_back: bool = False
    #: Why it is to be paused, where somebody asked for that.
    _pause_reason: str | None = None
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
    #: Steps that are cancelled, or let go of, by what closes around them, and when that was (monotonic).
    _stopped: dict[Carried, float] = field(default_factory=dict)
    #: How what ran of a step came to its end when it was cancelled.
    _how: dict[StepKey, str] = field(default_factory=dict)
    #: Messages of the inbox, questions and signals that events were queued for.
    _taken: set[int] = field(default_factory=set)
    _answered: set[QuestionId] = field(default_factory=set)
    #: Answers whose questions may not be applied yet.
    _early: dict[int, Message] = field(default_factory=dict)
    #: Whether steps are about to begin anew, so that no answer is to what it seems to be to.
    _renews: bool = False
    _promised: set[int] = field(default_factory=set)
    #: Deadlines of blocks that events were queued for.
    _late: set[tuple[StepKey, int, float]] = field(default_factory=set)
    #: When something that waits is over, soonest first: the time, the step, its generation.
    _dues: list[tuple[float, StepKey, int]] = field(default_factory=list)
    _alarm: asyncio.Task[None] | None = None
    _alarm_at: float = math.inf
    _ending: bool = False
    _over: asyncio.Future[None] = field(init=False)
    #: Is done when nothing is under way any more; None where nobody waits for that.
    _idle: asyncio.Future[None] | None = None
    #: Functions that were ended since everything they asked for waits; they go on where something has come after all.
    _suspended: list[Execute] = field(default_factory=list)
    #: Whether the code of a function does not fit the journal.
    _unfit: bool = False
    #: Steps that are cancelled since nobody waits for them, and why.
    _given_up: dict[Carried, str] = field(default_factory=dict)
    _at_once: bool = False
    _given_up_late: dict[StepKey, str] = field(default_factory=dict)
    _performer: Performer = field(init=False)
    _functions: Functions = field(init=False)

    def __post_init__(self) -> None:
        self._over = self.loop.create_future()
        self.session.watcher = self._note_due
        self._performer = Performer(self.parts, self.session, self.base_dir, self, self.loop, self.recovery)
        self._functions = self._performer.functions

    async def run(self, events: Sequence[Event], messages: Sequence[Message] = (), asked: int | None = None) -> None:
        """Record these events and follow the machine until the execution has ended, is paused, or cannot go on.

        `messages` are what the inbox held when the execution was claimed. A pause that was asked for before that counts
        only where it is the message `asked`.
        """
        for step in self.session.record.steps.values():
            self._note_wait(step)
        record = self.session.record
        if record.position and not record.epoch:  # whoever gave it up in the queue wants nothing of it to begin
            self.take([message for message in messages if message.kind == CANCEL])
        self.add(events)
        self._renews = any(isinstance(event, _GIVE_TIME) for event in events)
        self.take(messages, pauses=[asked])
        cancelled = False
        try:
            await self._over
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:  # also where the store refused us: nothing of ours runs on
            if self._alarm is not None:
                self._alarm.cancel()
            await self._let_go()
            if cancelled:  # by whoever called us; no reason to count this as a crash
                self._pause("cancelled by its caller")
            elif self._unfit:
                self._pause(self._pause_reason or "")

    async def _let_go(self) -> None:
        """End what runs, but for a thread that cannot be ended."""
        self.draining = self._ending = True
        cancelled: asyncio.CancelledError | None = None
        while self._carried:
            self._functions.suspend()
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
            self.session.add((self._paused(self._pause_reason, reason),))
            self.seal()

    def _paused(self, asked: str | None, reason: str) -> ev.ExecutionPaused:
        """That nobody works on it: until somebody resumes it, where that was `asked` for or there is no scheduler."""
        if self.hands_back and asked is None:
            return ev.ExecutionPaused("handed back by a scheduler that ended", self.parts.clock.time(), waits=True)
        return ev.ExecutionPaused(asked or reason)

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
            if self._early:
                early, self._early = self._early, {}
                self.take([*early.values()])
            self._match()
            self._follow(instructions)
        finally:
            self._settling = False
        if self._given_up_late and not self.session.unsettled:
            late, self._given_up_late = self._given_up_late, {}
            for key, reason in late.items():
                self.give_up(key, reason)
            self._functions.ended()
        if self._dues and self._dues[0][0] <= self.parts.clock.time():
            self._take_due()
        recorded, self._recorded = self._recorded, []
        for carried, error in recorded:
            carried.go(None, error)

    @property
    def _failed(self) -> StepKey | None:
        """The first step that failed for good, and was not asked for again; where others failed with it, the cause."""
        failed = next(iter(self.session.machine.failed), None)
        return None if failed is None else self.session.record.step(failed).cause or failed

    # -- what a step is told -----------------------------------------------------------------------------------------

    def lets_go(self, key: StepKey | None) -> bool:
        """Whether no further attempt of a step begins."""
        return self.draining or (key is not None and self.session.machine.lets_go(key))

    def how_ended(self, key: StepKey) -> str:
        """How what ran of a step came to its end when it was cancelled."""
        return self._how.pop(key, "")

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
                case Stop(key):
                    self._forget_ready(key)
                    self._stop_inside(key)
                case Release(key):
                    self._forget_ready(key)
                    for carried in self._performer.wake_sleepers(lambda inner, key=key: _is_inside(inner, key)):  # type: ignore[misc]
                        self._stopped[carried] = self.parts.clock.monotonic()
                case Fail():
                    pass  # nothing is handed out any more: what runs ends, and then the execution
                case Complete():
                    if not self._ending and not self.draining:
                        self._ending = True
                        self._start(self._complete())
        self._dispatch()

    def _forget_ready(self, owner: StepKey) -> None:
        """What was to start inside of a step that closes does not."""
        machine = self.session.machine
        self._ready = deque(
            i for i in self._ready if isinstance(i, Join) or not _is_inside(i.key, owner) or not machine.lets_go(i.key)
        )

    def _stop_inside(self, owner: StepKey) -> None:
        """Cancel what runs inside of a step, but for what tidies up."""
        machine, now = self.session.machine, self.parts.clock.monotonic()
        for instruction, carried in [*self._under_way.items()]:
            if carried in self._stopped:  # asked already; once more would make haste
                continue
            if self._ending and instruction.key == ROOT:  # it has its end, and is about to record it
                continue
            mine = _is_inside(instruction.key, owner) or (instruction.key == owner and machine.is_function(owner))
            if (
                mine
                and not machine.protects(instruction.key)
                and (self._at_once or not self._functions.cancels_later(carried))
            ):
                self._stopped[carried] = now
                carried.cancel()

    def _dispatch(self) -> None:
        if self._held or self._dispatching:
            return
        self._dispatching = True
        later: list[Execute | Join] = []
        while True:
            while self._ready and not self.draining and self._has_room:
                instruction = self._ready.popleft()
                if self._is_leaving(instruction):
                    later.append(instruction)
                else:
                    self._carry(instruction)
            if not self._conclude():
                break
        self._ready.extend(later)
        self._dispatching = False
        # (What waits to be applied may still change that; it dispatches again.)
        working = len(self._carried) - self._functions.resting(self.draining)
        if working or self._ending or self.session.unsettled or (self._ready and not self.draining):
            return
        self._take_due()
        if self.session.pending:
            return
        if self.draining or self._is_over() or not self._stays():
            if self._carried:
                self._suspend()
                return
            self._ending = True
            self._start(self._end())
        elif self._suspended:  # what they waited for has come while they ended
            self._ready.extend(self._suspended)
            self._suspended.clear()
            self._dispatch()
        elif not self.session.machine.waiting:
            what = f"execution {self.session.lease.execution_id}"
            self.stop(IllegalMoveError(what, "with nothing outstanding", "its end, which did not come"))

    @property
    def _has_room(self) -> bool:
        """Whether one more may run. Functions are not counted: they wait for steps, which else had no room."""
        return len(self._carried) - len(self._functions.running) < self.parts.max_running

    def _conclude(self) -> bool:
        """Ask what follows of what closes and has nothing under way any more; whether anything was asked."""
        machine = self.session.machine
        if not machine.closes or self.draining or self._ending or self.session.unsettled:
            return False
        for owner in machine.closing():
            if any(_is_inside(i.key, owner) or i.key == owner for i in (*self._under_way, *self._ready)):
                continue
            instructions = machine.conclude(owner)
            self._match()  # its `finally` steps may have waited since an earlier life
            self._ready.extend(i for i in instructions if isinstance(i, Execute | Join))
            if any(isinstance(i, Complete) for i in instructions):
                self._ending = True
                self._start(self._complete())
                return False
            return True
        return False

    def _is_over(self) -> bool:
        """Whether nothing of the pipeline is to come any more, and it did not come to its end."""
        machine = self.session.machine
        return machine.is_over and machine.verdict not in (None, Closing.RETURNED)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _stays(self) -> bool:
        """Whether to wait here for what is to come: not where that may take long, and needs no process."""
        if not self.session.machine.waiting:
            return True  # nothing waits: what is to come is on its way
        self._set_alarm()
        if math.isinf(self.patience_seconds):
            return True
        steps, near = self.session.record.steps, self.parts.clock.time() + self.patience_seconds
        soon = (
            steps[key] for due, key, generation in self._dues if due <= near and self._still_waits(due, key, generation)
        )
        return any(step.waiting_for is not None and step.waiting_for.kind == TIME for step in soon)

    def _note_due(self, entry: Entry) -> None:
        """An entry was applied: something may wait from now on until a time."""
        self._functions.note(entry)
        if isinstance(entry.event, _BEGIN_TO_WAIT):
            self._note_wait(self.session.record.step(entry.event.key))
        elif isinstance(entry.event, _GIVE_TIME):
            self._renews = False
            for step in self.session.record.steps.values():
                self._note_wait(step)

    def _note_wait(self, step: StepRecord) -> None:
        for due in (*_times_of(step), _end_of(step)):
            if due is not None:
                heapq.heappush(self._dues, (due, step.key, step.generation))
                if due < self._alarm_at:
                    self.loop.call_soon(self._set_alarm)

    def _set_alarm(self) -> None:
        """Wake up at the next time that something waits for."""
        while self._dues and not self._still_waits(*self._dues[0]):
            heapq.heappop(self._dues)
        at = self._dues[0][0] if self._dues else math.inf
        if at == self._alarm_at or self._over.done():
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at, self._alarm = at, None
        if self._dues:
            self._alarm = self.loop.create_task(self._ring(at))

    async def _ring(self, at: float) -> None:
        await self.parts.clock.sleep(max(0.0, at - self.parts.clock.time()))
        self._alarm, self._alarm_at = None, math.inf
        if self.session.ended:
            return
        try:
            self.take(self.parts.store.inbox(self.session.lease.execution_id))  # what came in time counts first
            self._take_due()
            self._set_alarm()
        except Exception as exc:  # noqa: BLE001 - raised by `run`: else nobody would be woken any more
            self.stop(exc)

    def _still_waits(self, due: float, key: StepKey, generation: int) -> bool:
        step = self.session.record.steps.get(key)
        if step is None or step.generation != generation:
            return False
        if due == _end_of(step) and (key, generation, due) not in self._late:
            return not any(self.session.machine.status_of(owner) in ENDED for owner in owners_of(key))
        return due in _times_of(step) and not self._is_answered(step) and not self.session.machine.lets_go(key)

    def _take_due(self) -> None:
        """Record what is over by now. What was queued is not applied yet, and goes first."""
        now = self.parts.clock.time()
        if self.session.ended or self.draining:
            return
        if self.session.unsettled:  # `_settle` looks again
            return
        while self._dues and self._dues[0][0] <= now:
            due, key, generation = heapq.heappop(self._dues)
            if self._still_waits(due, key, generation):
                step = self.session.record.steps[key]
                if events := due_events(step, now):
                    if isinstance(events[0], ev.DeadlinePassed):
                        self._late.add((key, generation, due))
                    else:
                        self._answered.add(question_id(step))
                    self.add(events)

    def _match(self) -> None:
        """Give the signals that are kept to the steps that wait for them."""
        record, machine = self.session.record, self.session.machine
        if not record.signals_kept or self.session.ended:
            return
        waiting = [
            key for key in machine.waiting if not self._is_answered(record.steps[key]) and not machine.lets_go(key)
        ]
        for event in in_turn(matches(record, waiting, self._promised), machine, record, self._is_answered):
            position = event.position
            self._promised.add(position)
            self._answered.add(question_id(record.steps[event.key]))
            self.add((event,), lambda _error, position=position: self._promised.discard(position))  # type: ignore[misc]

    def _is_answered(self, step: StepRecord) -> bool:
        return question_id(step) in self._answered

    def _is_leaving(self, instruction: Execute | Join) -> bool:
        """Whether what ran of the same step before has not ended yet; its end dispatches again."""
        return instruction in self._under_way or (
            bool(self._superseded) and instruction.key in self._superseded.values()
        )

    def _carry(self, instruction: Execute | Join) -> None:
        if instruction.key == ROOT:
            self._start(self._function(), instruction)
            return
        machine = self.session.machine
        if machine.has_calls and machine.status_of(instruction.key) in ENDED:
            return  # a call that was given up in the same commit as what it waited for came
        try:
            task = self._performer.task(instruction.key, instruction.generation)
        except Exception as exc:  # noqa: BLE001 - raised by `run`: the plan and the journal do not agree
            self.stop(exc)
        else:
            self._start(execute(task), instruction)

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
        given_up = self._given_up.pop(carried, None)
        stopped_at = self._stopped.pop(carried, None)
        if stopped_at is not None and instruction is not None:
            self._note_how(instruction.key, carried, stopped_at)
            if given_up is not None and not superseded:
                if self.session.unsettled:  # what it has just recorded may be its end, or hold others
                    self._given_up_late[instruction.key] = given_up
                else:
                    self.give_up(instruction.key, given_up)
        if carried.cancelled or isinstance(error, asyncio.CancelledError):
            error = None
            if not (self.draining or superseded or stopped_at is not None):
                error = OrchestratorError(
                    "a task of the engine was cancelled by somebody else; `orchestrator resume` goes on"
                )
        self._functions.ended()
        if self._idle is not None and not self._carried and not self._idle.done():
            self._idle.set_result(None)
        if error is not None:
            self.stop(error)
        elif not self._over.done():
            self._dispatch()

    def _note_how(self, key: StepKey, carried: Carried, stopped_at: float) -> None:
        """As the runner told; of a handler that cannot be ended also where it runs."""
        seconds = self.parts.clock.monotonic() - stopped_at
        stuck = str(carried.stuck) if carried.stuck is not None else ""
        self._how[key] = carried.how or stuck or f"ended {seconds:.1f} s after it was asked to"

    def _complete(self) -> Deed[None]:
        machine, plan = self.session.machine, self.session.plan
        left = self._leftovers("the pipeline has returned")
        try:
            returned = self._performer.output(machine.returned) if machine.returned is not None else None
            outputs = pipeline_outputs(plan, StepScope(self.session.variables, {}), returned)
            event: Event = ev.ExecutionCompleted((yield Keep(outputs)))
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # noqa: BLE001 - recorded: the outputs cannot be made
            event = ev.ExecutionFailed(None, self._performer.describe(exc, None).to_dict())
        yield Record((*left, event))
        self.stop()

    def _function(self) -> Deed[None]:
        """Run the durable function that the execution is, and say how the execution ended."""
        machine, target = self.session.machine, self.session.plan.function
        try:
            work = self._performer.function_work()
        except OrchestratorError as exc:  # it takes other arguments now, or is gone: no fault of the execution
            self.cannot_follow(exc)
            return
        try:
            value = yield RunFunction(ROOT, work)
            event: Event = ev.ExecutionCompleted((yield Keep({"result": value})))
        except ENGINE_FAULTS:
            raise
        except Exception as exc:  # noqa: BLE001 - recorded: what the function raised
            error = self._performer.describe(exc, None).to_dict() | {"raised": raised_data(exc)}
            event = ev.ExecutionFailed(step_of(exc), error)
        if self._given_up_late or self.session.unsettled:  # what was given up is recorded once
            self._commit_all()
        if machine.verdict is not None:  # it was cancelled, and came to an end all the same: `_end` says so
            return
        self._ending = True
        yield Record((*self._leftovers(f"{target} has ended"), event))
        self.stop()

    def _leftovers(self, reason: str) -> tuple[Event, ...]:
        """What had begun and will not end, as cancelled."""
        left = self.session.machine.leftovers()
        return tuple(ev.StepCancelled(key, generation, reason, self.how_ended(key)) for key, generation in left)

    def _end(self) -> Deed[None]:
        """What ran has ended: say how the execution stands."""
        machine, failed = self.session.machine, self._failed
        asked = self.session.record.cancel
        if machine.waiting and not self.draining and not self._is_over():
            self.take(self.parts.store.inbox(self.session.lease.execution_id))  # something may have come just now
            self._take_due()
            if self.session.unsettled:
                self._ending = False
                self._ready.extend(self._suspended)
                self._suspended.clear()
                return
        if self.draining and not (failed is not None and machine.is_over):
            event: Event = self._paused(self._pause_reason, "interrupted")
            yield Record((event,))
        elif asked is not None and self._is_over() and machine.verdict is Closing.CANCELLED:
            reason = asked.reason or (f"cancelled by {asked.by}" if asked.by else "cancelled")
            yield Record((*self._leftovers(reason), ev.ExecutionCancelled(reason)))
        elif failed is not None and machine.is_over:  # else a `finally` step waits
            error = self.session.record.step(failed).error or {}
            yield Record((ev.ExecutionFailed(failed, error),))
        else:
            yield Record((self._waiting_event(),))
        self.stop()

    def _waiting_event(self) -> ev.ExecutionPaused:
        record, machine = self.session.record, self.session.machine
        waiting = [key for key in machine.waiting if not machine.lets_go(key)]
        dues = [due for due, key, generation in self._dues if self._still_waits(due, key, generation)]
        return ev.ExecutionPaused(what_it_waits_for(record, waiting), min(dues, default=None), waits=True)

    # -- durable functions -------------------------------------------------------------------------------------------

    def begin(self, instructions: Sequence[Instruction]) -> None:
        """Carry these out: a function has asked for them."""
        self._ready.extend(i for i in instructions if isinstance(i, Execute | Join))
        self._dispatch()

    def has_inside(self, key: StepKey) -> bool:
        """Whether anything inside of a step is under way."""
        if key == ROOT:
            return bool(self._given_up_late) or any(i.key != ROOT for i in (*self._under_way, *self._ready))
        inside = (f"{key}[", f"{key}.", f"{key}/")  # as `is_inside`, for one key and many others
        keys = (*(i.key for i in (*self._under_way, *self._ready)), *self._given_up_late)
        return any(found.startswith(inside) for found in keys)

    def cancel(self, carried: Carried) -> None:
        """Cancel a function, as somebody had asked in an earlier life."""
        self._stopped[carried] = self.parts.clock.monotonic()
        carried.cancel()

    def count(self, more: int) -> None:
        """So many more steps bring records by themselves."""
        self.pump.running += more

    def is_under_way(self, key: StepKey) -> bool:
        """Whether a step, or anything inside of it, is under way."""
        return any(_is_inside(i.key, key) or i.key == key for i in self._under_way)

    def look_soon(self, look: Callable[[], None]) -> None:
        """In the next pass of the loop; it counts as nothing that is left to do."""
        self.pump.look_soon(look)

    @property
    def is_quiet(self) -> bool:
        """Whether the loop has nothing left to do."""
        return self.pump.is_quiet

    def rested(self) -> None:
        """Everything that functions have asked for waits: the execution may be unloaded."""
        self._dispatch()

    def give_up(self, key: StepKey, reason: str) -> None:
        """Cancel a step that nobody waits for any more, and record that it was."""
        machine = self.session.machine
        if self._over.done() or self.session.ended:
            return
        if machine.holds(key):
            self._at_once = True  # a function has ended it where it stands, also in a replay
            try:
                self._follow(machine.give_up(key))
            finally:
                self._at_once = False
            return
        self._ready = deque(i for i in self._ready if i.key != key)
        for instruction, carried in [*self._under_way.items()]:
            if instruction.key == key:
                if carried not in self._stopped:
                    self._stopped[carried] = self.parts.clock.monotonic()
                    self._given_up[carried] = reason
                    carried.cancel()
                return
        if machine.status_of(key) is StepStatus.RUNNING:
            self._record_given_up(key, reason)

    def _record_given_up(self, key: StepKey, reason: str) -> None:
        machine = self.session.machine
        if not self.session.ended and machine.status_of(key) not in ENDED:
            self.add((ev.StepCancelled(key, machine.generation(key), reason, self.how_ended(key)),))

    def cannot_follow(self, error: OrchestratorError) -> None:
        """The code does not fit the journal any more: nothing new is done, and the caller is told."""
        self.draining = self._unfit = True
        self._pause_reason = f"its code does not fit what is recorded: {error}"
        self.stop(error)

    def _suspend(self) -> None:
        """End the functions, which only wait: they run again from their first lines when something has come."""
        now = self.parts.clock.monotonic()
        for carried in self._functions.suspend():
            self._stopped[carried] = now
            instruction, machine = carried.instruction, self.session.machine
            if isinstance(instruction, Execute) and (instruction.key == ROOT or not machine.is_call(instruction.key)):
                self._suspended.append(instruction)  # those that they have called are called again
            carried.cancel()

    # -- from outside ------------------------------------------------------------------------------------------------

    def interrupt(self, *, hands_back: bool = False) -> None:
        """Start nothing new and let go of what waits; what runs has the time of grace.

        With `hands_back` the execution is due at once then, for a scheduler, instead of paused until it is resumed.
        """
        self.hands_back = self.hands_back or hands_back
        if self.interrupted:
            return
        self.interrupted = self.draining = True
        self._performer.wake_sleepers()
        self.loop.call_later(GRACE_SECONDS, self._cut_off)
        self._dispatch()

    def _cut_off(self, again: bool = True) -> None:
        """The grace is over. A second cancellation gives up what cannot be ended, such as a thread."""
        if not self._ending:
            self._functions.suspend()
            for carried in [*self._carried]:
                carried.cancel()
            if again:
                self.loop.call_later(_LAST_SECONDS, self._cut_off, False)

    def pause(self, reason: str) -> None:
        """Start nothing new, and pause the execution when what runs has ended."""
        if not self.draining:
            self.draining, self._pause_reason = True, reason
            self._performer.wake_sleepers()
            self._dispatch()

    def take(self, messages: Sequence[Message], pauses: Collection[int | None] | None = None) -> None:
        """Turn messages of the inbox into events; what cannot be recorded any more stays in the inbox.

        `pauses` are the messages that may pause the execution; by default all.
        """
        if self.session.ended:
            return
        # What was queued is not applied yet, and still stands in the inbox.
        fresh = [message for message in messages if message.id not in self._taken]
        if messages:
            self.session.seen = max(self.session.seen, messages[-1].id)
        if self._renews:
            self._early.update((message.id, message) for message in fresh if message.kind == ANSWER)
            fresh = [message for message in fresh if message.kind != ANSWER]
        taken = take_messages(
            fresh, self.session.record, self._answered, self.parts.put_blob, is_current=not self.session.unsettled
        )
        self._taken.update(taken.ids)
        self._early.update((message.id, message) for message in taken.early)
        steps = self.session.record.steps
        answered = (event for event in taken.events if isinstance(event, ev.InterventionAnswered))
        self._answered.update(question_id(steps[event.key]) for event in answered)
        if taken.ids:
            self.session.add(taken.events, taken=taken.ids)
            self.pump.request(self)
        if asked := [text for id_, text in taken.pauses.items() if pauses is None or id_ in pauses]:
            self.pause(asked[0])
        self._set_alarm()

    # -- rollback ----------------------------------------------------------------------------------------------------

    def roll_back(self, request: Rollback) -> str | None:
        """Set the execution back; gives the reason where that cannot be. Raises Interrupted where it was done."""
        self._commit_all()
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
        self._commit_all()
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
        # The machine has named all that is to be done, also what is being done already; the rest is let go of. What
        # was committed together with the restore may have named what is not there any more.
        self._ready = deque(i for i in self._ready if self._is_current(i))
        named = set(self._ready)
        anew = {instruction for carried in self._functions.suspend() if (instruction := carried.instruction)}
        for instruction, carried in self._under_way.items():
            if (instruction not in named or instruction in anew) and carried not in self._superseded:
                self._superseded[carried] = instruction.key
                carried.cancel()
        self._ready = deque(i for i in self._ready if i not in self._under_way or i in anew)
        self._dispatch()

    def _is_current(self, instruction: Execute | Join) -> bool:
        machine = self.session.machine
        if instruction.key == ROOT:  # a durable function, which runs from its first line then
            return True
        return machine.knows(instruction.key) and machine.generation(instruction.key) == instruction.generation

    def commit_now(self, events: Sequence[Event]) -> None:
        """Record these events before returning. On the loop's thread, for what happens rarely."""
        self.session.add(events)
        self._commit_now()

    def _commit_all(self) -> None:
        """Commit and apply also what follows from what was in flight: nothing of it may come between."""
        self._commit_now()
        while self.session.pending:
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
    goes_with_owner = any(owner in event.keys and owner not in event.expanded for owner in owners_of(key))
    return event if key in event.keys or goes_with_owner else replace(event, keys=(*event.keys, key))


def _times_of(step: StepRecord) -> tuple[float | None, ...]:
    """When what a step waits for is over."""
    awaited, asked = step.waiting_for, step.intervention
    if not step.waiting:
        return ()
    return (
        awaited.until if awaited is not None and awaited.over is None else None,
        asked.deadline if asked is not None and asked.decision is None else None,
    )


def _end_of(step: StepRecord) -> float | None:
    """When the time is over of the attempt that holds other steps."""
    block = step.block
    return block.deadline if block is not None and not block.late and step.status is StepStatus.RUNNING else None


def _is_inside(key: StepKey, owner: StepKey) -> bool:
    return owner == ROOT or is_inside(key, owner)
