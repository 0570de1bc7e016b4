"""The one retry loop, driven on a thread and on a loop: the same deeds, the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.clock import utc
from orchestrator.errors import ConflictError, HandlerStillRunningError
from orchestrator.execution.driver import Keep, Record, Request, Wait, drive, drive_sync
from orchestrator.execution.recovery import (
    RETRIES,
    AttemptPlan,
    GaveUp,
    RecoveryPlan,
    RecoveryStrategy,
    attempts,
)
from orchestrator.failure import ErrorInfo, RetryConfig
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

KEY = StepKey("a")


class World:
    """Performs requests: notes them, moves its clock, and answers a Keep with what the script says."""

    def __init__(self, script: list[Exception | int]) -> None:
        self.script, self.now, self.seen, self.left = list(script), 0.0, [], []
        #: How long each attempt takes.
        self.takes = 0.0

    def perform(self, request: Request) -> Any:
        match request:
            case Keep():
                outcome = self.script.pop(0)
                self.now += self.takes
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
            case Wait(until, _):
                self.seen.append(("wait", round(until - self.now, 6)))
                self.now = until
            case Record(events):
                self.seen.append(type(events[0]).__name__)
        return None

    def plan(self, policy: RetryConfig | RecoveryPlan, **earlier: Any) -> AttemptPlan[Request]:
        chosen = policy
        if isinstance(chosen, RetryConfig):
            chosen = RecoveryPlan(RecoveryStrategy.RETRY_WITH_BACKOFF, retry_config=chosen)

        def make(_attempt: int, left_seconds: float | None) -> Generator[Request, Any, Any]:
            self.left.append(left_seconds)
            return (yield Keep(None))

        return AttemptPlan(
            decide=lambda exc, error, attempt: chosen,
            make=make,
            begin=lambda n: Record((ev.StepStarted(KEY, 1, n),), lazy=True),
            fail=lambda n, error, due, deadline: Record((ev.StepRetrying(KEY, 1, n, error.to_dict(), due),)),
            describe=lambda exc: ErrorInfo.of(exc, error_id="1", timestamp=utc(self.now)),
            now=lambda: self.now,
            random=Random(1),
            **earlier,
        )


def on_a_thread(world: World, plan: AttemptPlan[Request]) -> Any:
    return drive_sync(attempts(plan), world.perform)


def on_a_loop(world: World, plan: AttemptPlan[Request]) -> Any:
    async def perform(request: Request) -> Any:
        return world.perform(request)

    return asyncio.run(drive(attempts(plan), perform))


DRIVERS = [on_a_thread, on_a_loop]
Drive = Callable[[World, AttemptPlan[Request]], Any]


@pytest.mark.parametrize("run", DRIVERS)
def test_it_tries_waits_and_succeeds(run: Drive) -> None:
    world = World([ConnectionError("1"), ConnectionError("2"), 7])
    assert run(world, world.plan(RetryConfig(max_attempts=3, initial_delay=1))) == (3, 7)
    start, retry = "StepStarted", "StepRetrying"
    assert world.seen == [start, retry, ("wait", 1.0), start, retry, ("wait", 2.0), start]


@pytest.mark.parametrize("run", DRIVERS)
def test_it_gives_up_with_the_last_error(run: Drive) -> None:
    world = World([ConnectionError("1"), ConnectionError("2")])
    with pytest.raises(GaveUp, match="2") as caught:
        run(world, world.plan(RetryConfig(max_attempts=2, initial_delay=0)))
    assert caught.value.attempt == 2


@pytest.mark.parametrize("run", DRIVERS)
def test_attempts_of_an_earlier_life_count_and_its_wait_is_kept(run: Drive) -> None:
    world = World([ConnectionError("3")])
    with pytest.raises(GaveUp) as caught:
        run(world, world.plan(RetryConfig(max_attempts=3), failed=2, due_at=5.0))
    assert (caught.value.attempt, world.seen) == (3, [("wait", 5.0), "StepStarted"])


def test_a_delay_that_was_asked_for_is_obeyed() -> None:
    limited = ConnectionError("slow down")
    limited.retry_after = 90  # type: ignore[attr-defined]
    world = World([limited, 1])
    on_a_thread(world, world.plan(RetryConfig(initial_delay=0.1, max_delay=1)))
    assert ("wait", 90.0) in world.seen


def test_a_thread_that_still_runs_is_never_tried_again() -> None:
    world = World([HandlerStillRunningError("a", "thread 1", 5.0), 1])
    with pytest.raises(GaveUp):
        on_a_thread(world, world.plan(RetryConfig(retry_condition=lambda *_: True)))


def test_a_fault_of_the_store_is_no_failed_attempt() -> None:
    world = World([ConflictError("x", 3)])
    with pytest.raises(ConflictError):
        on_a_thread(world, world.plan(RetryConfig(retry_condition=lambda *_: True)))
    assert world.seen == ["StepStarted"]


@given(st.lists(st.booleans(), max_size=8), st.integers(1, 6))
def test_it_makes_as_many_attempts_as_it_may(outcomes: list[bool], most: int) -> None:
    world = World([1 if ok else ConnectionError("no") for ok in (*outcomes, *[False] * 10)])
    first_ok = outcomes.index(True) + 1 if True in outcomes else 99
    plan = world.plan(RetryConfig(max_attempts=most, initial_delay=0.5))
    if first_ok <= most:
        assert on_a_thread(world, plan) == (first_ok, 1)
    else:
        with pytest.raises(GaveUp):
            on_a_thread(world, plan)
    assert world.seen.count("StepStarted") == min(first_ok, most)


# -- what is decided after a failure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [word for word in RecoveryStrategy if word not in RETRIES])
def test_another_way_out_is_handed_to_the_caller_at_once(strategy: RecoveryStrategy) -> None:
    world, chosen = World([ConnectionError("1"), 7]), RecoveryPlan(strategy)
    with pytest.raises(GaveUp) as caught:
        on_a_thread(world, world.plan(chosen))
    assert caught.value.plan is chosen
    assert world.seen == ["StepStarted"]


def test_retries_that_are_used_up_come_to_fail_fast() -> None:
    world = World([ConnectionError("1"), ConnectionError("2")])
    with pytest.raises(GaveUp) as caught:
        on_a_thread(world, world.plan(RetryConfig(max_attempts=2)))
    assert caught.value.plan.strategy is RecoveryStrategy.FAIL_FAST


def test_a_plan_that_was_chosen_for_the_error_retries_it_whatever_its_category() -> None:
    world = World([ValueError("1"), ValueError("2"), 7])
    assert on_a_thread(world, world.plan(RecoveryPlan(RecoveryStrategy.RETRY))) == (3, 7)
    assert [seen for seen in world.seen if seen[0] == "wait"] == [("wait", 1.0), ("wait", 1.0)]


def test_a_retry_with_a_config_does_what_that_says() -> None:
    world = World([ConnectionError("1"), ConnectionError("2"), 7])
    on_a_thread(world, world.plan(RecoveryPlan(RecoveryStrategy.RETRY, retry_config=RetryConfig(initial_delay=3))))
    assert [seen for seen in world.seen if seen[0] == "wait"] == [("wait", 3.0), ("wait", 6.0)]


@pytest.mark.parametrize("strategy", [RecoveryStrategy.RETRY, RecoveryStrategy.ROLLBACK])
def test_what_still_runs_is_run_again_by_no_strategy(strategy: RecoveryStrategy) -> None:
    world = World([HandlerStillRunningError("a", "thread 1", 5.0), 1])
    with pytest.raises(GaveUp) as caught:
        on_a_thread(world, world.plan(RecoveryPlan(strategy)))
    assert caught.value.plan.strategy is RecoveryStrategy.FAIL_FAST


def test_what_still_runs_may_be_skipped() -> None:
    world = World([HandlerStillRunningError("a", "thread 1", 5.0), 1])
    with pytest.raises(GaveUp) as caught:
        on_a_thread(world, world.plan(RecoveryPlan(RecoveryStrategy.SKIP)))
    assert caught.value.plan.strategy is RecoveryStrategy.SKIP


class Ended(BaseException):
    """As a cancellation, a KeyboardInterrupt or a SystemExit: no failure."""


@pytest.mark.parametrize("run", DRIVERS)
def test_what_is_no_exception_passes_through_undecided(run: Drive) -> None:
    world = World([Ended()])  # type: ignore[list-item]
    world.perform = lambda request: (_ for _ in ()).throw(Ended()) if isinstance(request, Keep) else None  # type: ignore[method-assign]
    with pytest.raises(Ended):
        run(world, world.plan(RetryConfig(retry_condition=lambda *_: True)))


# -- within a time -----------------------------------------------------------------------------------------------------


def within(seconds: float, **config: Any) -> RecoveryPlan:
    many = RetryConfig(max_attempts=100, **config)
    return RecoveryPlan(RecoveryStrategy.RETRY_WITH_BACKOFF, retry_config=many, timeout=seconds)


def test_the_time_counts_from_the_first_failure_and_each_attempt_knows_what_is_left() -> None:
    world = World([ConnectionError(str(n)) for n in range(9)])
    world.takes = 1.0
    with pytest.raises(GaveUp):
        on_a_thread(world, world.plan(within(10, initial_delay=1)))
    assert world.left == [None, 9.0, 6.0, 1.0]  # the first failed at 1, so all is over at 11: now it is 2, 5, 10
    assert world.now == 11.0


def test_a_wait_that_would_pass_the_end_gives_up_at_once() -> None:
    limited = ConnectionError("slow down")
    limited.retry_after = 90  # type: ignore[attr-defined]
    world = World([limited, 1])
    with pytest.raises(GaveUp, match="slow down"):
        on_a_thread(world, world.plan(within(60)))
    assert world.now == 0.0
    assert "StepRetrying" not in world.seen


@given(st.floats(0.1, 100), st.floats(0, 20), st.floats(0, 10), st.none() | st.floats(-50, 50))
def test_no_attempt_begins_after_the_end(timeout: float, delay: float, takes: float, failed_at: float | None) -> None:
    world = World([ConnectionError(str(n)) for n in range(200)])
    world.takes = takes
    begun: list[float] = []
    plan = world.plan(within(timeout, initial_delay=delay), first_failed_at=failed_at)
    perform = world.perform

    def watched(request: Request) -> Any:
        if isinstance(request, Record) and isinstance(request.events[0], ev.StepStarted):
            begun.append(world.now)
        return perform(request)

    world.perform = watched  # type: ignore[method-assign]
    with pytest.raises(GaveUp):
        on_a_thread(world, plan)
    first_failure = takes if failed_at is None else failed_at
    assert all(at < first_failure + timeout for at in begun[1:])
    assert begun[0] == 0.0


def test_an_engine_that_comes_back_after_the_end_makes_no_further_attempt() -> None:
    world = World([7])
    world.now = 100.0
    with pytest.raises(GaveUp, match="timeout") as caught:
        on_a_thread(world, world.plan(within(10), failed=2, due_at=50.0, deadline=60.0))
    assert caught.value.attempt == 2
    assert world.seen == []


def test_runs_that_are_not_counted_make_the_waits_longer() -> None:
    world = World([ConnectionError("1"), 7])
    on_a_thread(world, world.plan(RetryConfig(initial_delay=1), uncounted=1))
    assert ("wait", 2.0) in world.seen
