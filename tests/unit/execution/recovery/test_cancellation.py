"""A cancellation is never swallowed, wherever it comes, and nothing is left of the recovery that it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.unit.execution.recovery.parts import Context, manager

from orchestrator.execution.recovery import RecoveryManager, RecoveryPlan, RecoveryStrategy, RetryConfig

S = RecoveryStrategy
CONFIG = RetryConfig(max_attempts=3)
PLANS = [
    RecoveryPlan(S.RETRY, retry_config=CONFIG),
    RecoveryPlan(S.RETRY_WITH_BACKOFF, retry_config=CONFIG, timeout=1000),
    RecoveryPlan(S.ROLLBACK),
    RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["a", "b"], timeout=1000),
    RecoveryPlan(S.MANUAL_INTERVENTION, timeout=1000),
    RecoveryPlan(S.MANUAL_INTERVENTION),
    RecoveryPlan(S.SKIP),
    RecoveryPlan(S.FAIL_FAST),
]


async def executor(step_id: str = "") -> None:
    """Takes a few passes of the loop and fails."""
    for _ in range(3):
        await asyncio.sleep(0)
    if not step_id:
        raise ConnectionError("again")


async def passes(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def assert_nothing_is_left(recovery: RecoveryManager) -> None:
    status = recovery.get_recovery_status()
    assert (status["active_recoveries"], status["waiting"]) == (0, {})
    assert not recovery.is_step_recovering("s")
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.strategy}{' in time' if plan.timeout else ''}")
async def test_a_cancellation_at_every_moment(plan: RecoveryPlan) -> None:
    """The moment goes one pass of the loop further each time, until the recovery has ended before it comes."""
    cancelled = 0
    for moment in range(1, 400):
        recovery = manager(Context())
        recovery.handle_error(ConnectionError("first"), "s")
        task = asyncio.create_task(recovery.execute_recovery("s", plan, executor))
        await passes(moment)
        if task.done():
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled += 1
        assert_nothing_is_left(recovery)
        if plan.timeout is None and plan.strategy is S.MANUAL_INTERVENTION and moment > 20:
            break  # nobody answers: it waits for ever
    assert cancelled > (0 if plan.strategy in (S.SKIP, S.FAIL_FAST) else 3)


def raises(exc: BaseException) -> Callable[..., Awaitable[Any]]:
    async def executor(step_id: str = "") -> None:
        raise exc

    return executor


@pytest.mark.parametrize("plan", PLANS[:4], ids=lambda plan: plan.strategy)
async def test_a_cancellation_by_the_step_itself_goes_through_and_is_not_retried(plan: RecoveryPlan) -> None:
    recovery = manager(Context())
    with pytest.raises(asyncio.CancelledError):
        await recovery.execute_recovery("s", plan, raises(asyncio.CancelledError()))
    assert recovery.get_retry_count("s") == 1
    assert recovery.get_error_history() == []
    assert_nothing_is_left(recovery)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("sync", [True, False])
def test_what_ends_the_program_goes_through(end: type[BaseException], sync: bool) -> None:
    recovery = manager()
    tries = []

    def run() -> None:
        tries.append(1)
        raise end("now")

    async def run_async() -> None:
        run()

    async def main() -> None:
        await recovery.execute_recovery("s", RecoveryPlan(S.RETRY), run if sync else run_async)

    with pytest.raises(end):
        asyncio.run(main())
    assert tries == [1]
    assert recovery.get_recovery_status()["active_recoveries"] == 0
    assert recovery.get_error_history() == []


async def test_an_executor_that_ignores_a_cancellation_is_waited_for_and_does_not_swallow_it() -> None:
    ended = []

    async def stubborn() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append(True)
        return "not cancelled, it says"

    recovery = manager()
    task = asyncio.create_task(recovery.execute_recovery("s", RecoveryPlan(S.RETRY), stubborn))
    await passes(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    assert recovery.get_recovery_value("s", "none") == "none"


async def test_a_thread_runs_on_to_its_own_end() -> None:
    recovery, begun, go_on, ended = manager(), threading.Event(), threading.Event(), threading.Event()

    def executor() -> None:
        begun.set()
        go_on.wait(10)
        ended.set()

    task = asyncio.create_task(recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 10)


@pytest.mark.parametrize("plan", PLANS[:6], ids=lambda plan: f"{plan.strategy}{' in time' if plan.timeout else ''}")
async def test_a_shutdown_ends_what_is_under_way(plan: RecoveryPlan) -> None:
    async def hangs(step_id: str = "") -> None:
        await asyncio.get_running_loop().create_future()

    recovery = manager(Context())
    task = asyncio.create_task(recovery.execute_recovery("s", plan, hangs))
    await passes(10)
    await asyncio.to_thread(recovery.shutdown)
    assert not await task
    assert_nothing_is_left(recovery)
    recovery.shutdown()
