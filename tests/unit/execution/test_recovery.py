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
from orchestrator.execution.recovery import AttemptPlan, GaveUp, attempts
from orchestrator.failure import ErrorInfo, RetryConfig
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

KEY = StepKey("a")


class World:
    """Performs requests: notes them, moves its clock, and answers a Keep with what the script says."""

    def __init__(self, script: list[Exception | int]) -> None:
        self.script, self.now, self.seen = list(script), 0.0, []

    def perform(self, request: Request) -> Any:
        match request:
            case Keep():
                outcome = self.script.pop(0)
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
            case Wait(until):
                self.seen.append(("wait", round(until - self.now, 6)))
                self.now = until
            case Record(events):
                self.seen.append(type(events[0]).__name__)
        return None

    def plan(self, policy: RetryConfig, failed: int = 0, due_at: float | None = None) -> AttemptPlan:
        def make(_attempt: int) -> Generator[Request, Any, Any]:
            return (yield Keep(None))

        return AttemptPlan(
            policy=policy,
            make=make,
            begin=lambda n: Record((ev.StepStarted(KEY, 1, n),), lazy=True),
            fail=lambda n, error, due: Record((ev.StepRetrying(KEY, 1, n, error.to_dict(), due),)),
            describe=lambda exc: ErrorInfo.of(exc, error_id="1", timestamp=utc(self.now)),
            now=lambda: self.now,
            random=Random(1),
            failed=failed,
            due_at=due_at,
        )


def on_a_thread(world: World, plan: AttemptPlan) -> Any:
    return drive_sync(attempts(plan), world.perform)


def on_a_loop(world: World, plan: AttemptPlan) -> Any:
    async def perform(request: Request) -> Any:
        return world.perform(request)

    return asyncio.run(drive(attempts(plan), perform))


DRIVERS = [on_a_thread, on_a_loop]
Drive = Callable[[World, AttemptPlan], Any]


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
