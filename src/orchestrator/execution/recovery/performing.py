"""Performing a plan outside of an engine: what each of the seven strategies does.

The parts of an execution that a recovery touches are handed in by its manager as protocols, so that it works with any
object that has these few verbs, or with none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeAlias, assert_never, cast

from orchestrator.clock import Clock, utc
from orchestrator.errors import InputError, RollbackError
from orchestrator.execution.delivery import Handlers
from orchestrator.execution.driver import Deed, Wait, drive
from orchestrator.execution.recovery.calling import StepExecutor, call, fits
from orchestrator.execution.recovery.history import ErrorHistory
from orchestrator.execution.recovery.ledger import MAX_ROLLBACKS, Ledger
from orchestrator.execution.recovery.plan import RecoveryPlan, RecoveryStrategy
from orchestrator.execution.recovery.retrying import AttemptPlan, GaveUp, attempts
from orchestrator.execution.recovery.waiting import Answer, Decision, Interventions
from orchestrator.failure import ErrorInfo


class RecoverableContext(Protocol):
    """What recovery asks of an execution; `execution.state.ExecutionContext` has it."""

    @property
    def execution_id(self) -> str:
        """Its id."""
        ...

    @property
    def checkpoints(self) -> Iterable[Any]:
        """Its checkpoints, the oldest first; each has an `id`."""
        ...

    def restore_checkpoint(self, checkpoint_id: str, /) -> bool:
        """Bring it back to a checkpoint; False where that is unknown."""
        ...

    def pause_execution(self) -> bool:
        """Pause it; False where it does not run."""
        ...

    def resume_execution(self) -> bool:
        """Let it run again; False where it was not paused."""
        ...


class RecoveryTracker(Protocol):
    """What recovery asks of a progress tracker; `execution.progress.ProgressTrackerProtocol` has it."""

    def on_step_started(self, execution_id: str, step_id: str, step_name: str, /) -> None:
        """A step starts, perhaps again; its name is empty where it is not known here."""
        ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """The recovery went well, and this is the step's value."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class _Do:
    """What the retry loop asks of us besides waiting: run this, sync or async, on the loop."""

    deed: Callable[[], Any]


_Request: TypeAlias = _Do | Wait


@dataclass(frozen=True, slots=True)
class Recovery:
    """One plan, being performed for one step.

    `note` records what fails on the way. `on_attempt` is told of each attempt before it is made, `on_retry` of each
    that failed, and when the next one is due (seconds since the epoch).
    """

    step_id: str
    plan: RecoveryPlan
    executor: StepExecutor | None
    context: RecoverableContext | None
    clock: Clock
    random: Random
    ledger: Ledger
    history: ErrorHistory
    interventions: Interventions
    on_attempt: Handlers[str]
    on_retry: Handlers[str, ErrorInfo, float]
    on_intervention: Handlers[str, str]
    note: Callable[[Exception, str], ErrorInfo]

    def check(self) -> None:
        """Raise InputError where the plan cannot be performed with this executor."""
        strategy, executor = self.plan.strategy, self.executor
        if executor is None:
            if strategy in _NEED_AN_EXECUTOR:
                raise InputError(f"{strategy} runs step {self.step_id!r}: give a step_executor, not None")
        elif not callable(executor):
            raise InputError(f"step_executor must be a function, not a {type(executor).__name__}")
        elif strategy is RecoveryStrategy.ALTERNATIVE_PATH and not fits(executor, ""):
            raise InputError("alternative_path calls step_executor(step_id) for each step; give one that takes an id")

    async def perform(self) -> Recovered | None:
        """Take the way out that the plan names. None where it leads nowhere; raises what failed on the way."""
        match self.plan.strategy:
            case RecoveryStrategy.FAIL_FAST:
                return None
            case RecoveryStrategy.SKIP:
                return Recovered(self.plan.default_output)
            case RecoveryStrategy.RETRY | RecoveryStrategy.RETRY_WITH_BACKOFF:
                return await self._retry()
            case RecoveryStrategy.ROLLBACK:
                return await self._roll_back()
            case RecoveryStrategy.ALTERNATIVE_PATH:
                return await self._go_another_way()
            case RecoveryStrategy.MANUAL_INTERVENTION:
                return await self._ask()
            case _:
                assert_never(self.plan.strategy)

    # -- retries -----------------------------------------------------------------------------------------------------

    async def _retry(self) -> Recovered | None:
        deed = attempts(self._attempt_plan())
        try:  # the driver hands on what is asked for; what asks and what performs are both here
            _, value = await drive(cast("Deed[tuple[int, Any]]", deed), cast("Any", self._answer))
        except GaveUp:  # what failed was recorded
            return None
        return Recovered(value)

    async def _answer(self, request: _Request) -> Any:
        match request:
            case _Do(deed):
                return await deed()
            case Wait(until, at_most):
                await self.clock.sleep(min(until - self.clock.time(), at_most))

    def _attempt_plan(self) -> AttemptPlan[_Request]:
        async def begin() -> None:
            """Told by `_run`, as for every strategy."""

        async def fail(error: ErrorInfo, due_at: float) -> None:
            self.on_retry(self.step_id, error, due_at)

        def make(_attempt: int, _seconds: float | None) -> Generator[_Request, Any, Any]:
            return (yield _Do(self._run))

        timeout = self.plan.timeout_seconds
        return AttemptPlan(
            decide=lambda exc, error, attempt: self.plan,
            make=make,
            begin=lambda attempt: _Do(begin),
            fail=lambda attempt, error, due_at, deadline: _Do(lambda: fail(error, due_at)),
            describe=lambda exc: self.note(exc, self.step_id),
            now=self.clock.time,
            random=self.random,
            due_at=self._first_due_at(),
            deadline=None if timeout is None else self.clock.time() + timeout,
            uncounted=1,
        )

    def _first_due_at(self) -> float | None:
        """The first attempt of a recovery is a retry, too: it waits, counted from the failure, where that is known."""
        error = self.history.last(self.step_id)
        if error is None:
            return None
        delay = self.plan.retry.get_delay(0, self.random)
        return error.timestamp.timestamp() + max(delay, error.retry_after or 0.0)

    async def _run(self, *arguments: Any) -> Any:
        """Run the step, or what stands for it."""
        assert self.executor is not None
        self.ledger.count_attempt(self.step_id)
        self.on_attempt(self.step_id)
        if not arguments and not fits(self.executor):
            arguments = (self.step_id,)
        return await call(self.executor, *arguments)

    async def _run_if_given(self) -> Recovered:
        return Recovered(await self._run() if self.executor is not None else None)

    # -- the other ways ----------------------------------------------------------------------------------------------

    async def _roll_back(self) -> Recovered:
        context = self.context
        if context is None:
            raise self._no_rollback("there is no execution context")
        known = [str(getattr(checkpoint, "id", checkpoint)) for checkpoint in _listed(context.checkpoints)]
        target = self.plan.target_checkpoint or (known[-1] if known else None)
        if target is None:
            raise self._no_rollback("there is no checkpoint")
        if not self.ledger.take_rollback(self.step_id):
            raise self._no_rollback(f"it was rolled back {MAX_ROLLBACKS} times already")
        if not context.restore_checkpoint(target):
            raise self._no_rollback(f"checkpoint {target!r} is unknown, there are {', '.join(known) or 'none'}")
        return await self._run_if_given()

    def _no_rollback(self, reason: str) -> RollbackError:
        last = self.history.last(self.step_id)
        return RollbackError(self.step_id, reason, last.message if last else "an error that is not recorded")

    async def _go_another_way(self) -> Recovered:
        if not self.plan.alternative_steps:
            raise InputError(f"the plan for step {self.step_id!r} names no alternative_steps; name at least one")
        value = None
        for step in self.plan.alternative_steps:
            value = await self._run(step)
        return Recovered(value)

    async def _ask(self) -> Recovered | None:
        answer = await self._answered()
        match answer.decision:
            case Decision.ABORT:
                return None
            case Decision.SKIP:
                return Recovered(answer.value)
            case Decision.RETRY:
                return await self._run_if_given()

    async def _answered(self) -> Answer:
        """Pause the execution until a person answers; unless the answer is to abort, it then runs again."""
        instructions = self.plan.manual_instructions or self._asking()
        with self.interventions.open(self.step_id, instructions, utc(self.clock.time())) as answered:
            paused = self.context is not None and self.context.pause_execution()
            self.interventions.paused |= paused
            self.on_intervention(self.step_id, instructions)
            answer = await answered
        if answer.decision is not Decision.ABORT and self.context is not None and self.interventions.may_go_on():
            self.context.resume_execution()
        return answer

    def _asking(self) -> str:
        last = self.history.last(self.step_id)
        return f"step {self.step_id!r} failed{f' ({last.message})' if last else ''}: answer retry, skip or abort"


_NEED_AN_EXECUTOR = frozenset(
    {RecoveryStrategy.RETRY, RecoveryStrategy.RETRY_WITH_BACKOFF, RecoveryStrategy.ALTERNATIVE_PATH}
)


def _listed(checkpoints: Iterable[Any]) -> list[Any]:
    return list(checkpoints.values() if isinstance(checkpoints, Mapping) else checkpoints)
