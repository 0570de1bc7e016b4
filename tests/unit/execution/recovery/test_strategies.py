"""Each strategy really happens, by the manager alone; what fails on the way is recorded and comes to False."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from tests.unit.execution.recovery.parts import Context, failing, manager

from orchestrator.errors import InputError, RecoveryTimeoutError, RollbackError
from orchestrator.execution.recovery import (
    MAX_ROLLBACKS,
    ErrorCategory,
    ErrorInfo,
    RecoveryPlan,
    RecoveryStrategy,
    RetryConfig,
)
from orchestrator.testing.clock import FakeClock

S = RecoveryStrategy
RETRIES = [S.RETRY, S.RETRY_WITH_BACKOFF]


# -- retries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "waits"), [(S.RETRY, [1, 1]), (S.RETRY_WITH_BACKOFF, [2, 4])])
async def test_a_retry_tries_again_after_its_waits(strategy: S, waits: list[float]) -> None:
    clock = FakeClock()
    recovery, told = manager(clock=clock), []
    recovery.on_retry(lambda step_id, error, due_at: told.append((step_id, error.message, due_at - clock.time())))
    executor, calls = failing(ConnectionError("1"), ConnectionError("2"), "done")
    assert await recovery.execute_recovery("s", RecoveryPlan(strategy), executor)
    assert recovery.get_recovery_value("s") == "done"
    assert calls == [1, 2, 3]
    assert recovery.get_retry_count("s") == 3
    assert [wait for _, _, wait in told] == pytest.approx(waits)
    assert [error.message for error in recovery.get_error_history("s")] == ["ConnectionError: 1", "ConnectionError: 2"]


@pytest.mark.parametrize("strategy", RETRIES)
async def test_a_retry_ends_when_its_tries_are_used_up(strategy: S) -> None:
    recovery = manager()
    executor, calls = failing(ValueError("no"))
    plan = RecoveryPlan(strategy, retry_config=RetryConfig(max_attempts=4))
    assert not await recovery.execute_recovery("s", plan, executor)
    assert len(calls) == recovery.get_retry_count("s") == 4
    assert len(recovery.get_error_history("s")) == 4


async def test_categories_count_where_somebody_chose_them() -> None:
    config = RetryConfig(retry_on_categories=frozenset({ErrorCategory.TIMEOUT}))
    executor, calls = failing(ConnectionError("no"))
    assert not await manager().execute_recovery("s", RecoveryPlan(S.RETRY, retry_config=config), executor)
    assert len(calls) == 1


async def test_the_first_try_waits_too_counted_from_the_failure() -> None:
    clock = FakeClock()
    recovery, at = manager(clock=clock), []

    async def executor() -> None:
        at.append(clock.time() - start)

    start = clock.time()
    plan = recovery.handle_error(ConnectionError("x"), "s")
    await clock.sleep(0.25)
    assert await recovery.execute_recovery("s", plan, executor)
    assert await recovery.execute_recovery("never failed", plan, executor)
    assert at == pytest.approx([1.0, 1.0])


async def test_retry_after_is_obeyed_before_the_first_try_and_between_tries() -> None:
    clock = FakeClock()
    recovery = manager(clock=clock)

    class LimitedError(Exception):
        retry_after = 30

    executor, _ = failing(LimitedError("slow"), "done")
    start = clock.time()
    recovery.handle_error(LimitedError("slow"), "s")
    assert await recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor)
    assert clock.time() - start == pytest.approx(60)


# -- skip, fail fast ---------------------------------------------------------------------------------------------------


async def test_a_skip_gives_the_default_output_and_runs_nothing() -> None:
    recovery = manager()
    executor, calls = failing("never")
    assert await recovery.execute_recovery("s", RecoveryPlan(S.SKIP, default_output=[1]), executor)
    assert (recovery.get_recovery_value("s"), calls) == ([1], [])


async def test_fail_fast_runs_nothing() -> None:
    recovery = manager()
    executor, calls = failing("never")
    assert not await recovery.execute_recovery("s", RecoveryPlan(S.FAIL_FAST), executor)
    assert (recovery.get_recovery_value("s", "none"), calls) == ("none", [])


# -- rollback ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "restored"), [(None, "second"), ("first", "first")])
async def test_a_rollback_restores_and_runs_the_step_again(target: str | None, restored: str) -> None:
    context = Context()
    recovery = manager(context)

    async def executor() -> str:
        context.seen.append("run")
        return "done"

    assert await recovery.execute_recovery("s", RecoveryPlan(S.ROLLBACK, target_checkpoint=target), executor)
    assert context.seen == [f"restore {restored}", "run"]
    assert recovery.get_recovery_value("s") == "done"


async def test_a_rollback_without_an_executor_only_restores() -> None:
    context = Context()
    assert await manager(context).execute_recovery("s", RecoveryPlan(S.ROLLBACK), None)
    assert context.seen == ["restore second"]


async def test_a_rollback_cannot_loop_for_ever() -> None:
    context = Context()
    recovery = manager(context)
    executor, calls = failing(MemoryError("again"))
    for _ in range(MAX_ROLLBACKS + 2):
        assert not await recovery.execute_recovery("s", RecoveryPlan(S.ROLLBACK), executor)
    assert len(calls) == MAX_ROLLBACKS == 3
    assert context.seen == ["restore second"] * 3
    assert isinstance(recovery.get_error_history()[-1].exception, RollbackError)
    assert await recovery.execute_recovery("another", RecoveryPlan(S.ROLLBACK))


async def test_a_step_without_rollbacks_left_is_not_given_another_one_by_default() -> None:
    recovery = manager(Context())
    refused = PermissionError("no")
    for _ in range(MAX_ROLLBACKS):
        assert recovery.handle_error(refused, "s").strategy is S.ROLLBACK
        await recovery.execute_recovery("s", RecoveryPlan(S.ROLLBACK))
    assert recovery.handle_error(refused, "s").strategy is S.FAIL_FAST
    recovery.cleanup("e")  # a budget is given back by nobody but a person
    assert recovery.handle_error(refused, "s").strategy is S.FAIL_FAST
    recovery.reset_retry_count("s")
    assert recovery.handle_error(refused, "s").strategy is S.ROLLBACK


async def test_a_rollback_that_cannot_be_is_recorded_and_runs_nothing() -> None:
    executor, calls = failing("never")
    bare = Context()
    bare.checkpoints = []
    for context, target, reason in (
        (None, None, "no execution context"),
        (bare, None, "no checkpoint"),
        (Context(), "third", "'third' is unknown, there are first, second"),
    ):
        recovery = manager(context)
        recovery.handle_error(ValueError("first failure"), "s")
        assert not await recovery.execute_recovery("s", RecoveryPlan(S.ROLLBACK, target_checkpoint=target), executor)
        last = recovery.get_error_history()[-1]
        assert reason in last.message
        assert "first failure" in last.message
    assert calls == []


# -- another way -------------------------------------------------------------------------------------------------------


async def test_an_alternative_path_runs_its_steps_in_order_and_the_last_output_stands() -> None:
    recovery, run = manager(), []

    async def executor(step_id: str) -> str:
        run.append(step_id)
        return f"by {step_id}"

    plan = RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["mirror", "parse"])
    assert await recovery.execute_recovery("s", plan, executor)
    assert (run, recovery.get_recovery_value("s")) == (["mirror", "parse"], "by parse")


async def test_an_alternative_path_ends_where_one_of_its_steps_fails() -> None:
    recovery, run = manager(), []

    def executor(step_id: str) -> None:
        run.append(step_id)
        raise ValueError(step_id)

    plan = RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["mirror", "parse"])
    assert not await recovery.execute_recovery("s", plan, executor)
    assert run == ["mirror"]
    assert recovery.get_error_history("s")[0].message == "ValueError: mirror"


async def test_an_alternative_path_that_names_no_steps_is_recorded() -> None:
    recovery = manager()
    assert not await recovery.execute_recovery("s", RecoveryPlan(S.ALTERNATIVE_PATH), lambda step_id: None)
    assert "alternative_steps" in recovery.get_error_history()[0].message


# -- the executor ------------------------------------------------------------------------------------------------------

TRACE: ContextVar[str] = ContextVar("trace", default="unset")


class AsyncObject:
    async def __call__(self) -> Any:
        return threading.current_thread(), TRACE.get()


async def coroutine_function() -> Any:
    return threading.current_thread(), TRACE.get()


@pytest.mark.parametrize(
    ("executor", "here"),
    [
        (coroutine_function, True),
        (AsyncObject(), True),
        (lambda: coroutine_function(), True),
        (lambda: (threading.current_thread(), TRACE.get()), False),
        (lambda step_id: (threading.current_thread(), TRACE.get() if step_id == "s" else "?"), False),
    ],
    ids=["async", "async object", "gives an awaitable", "sync", "sync, wants the id"],
)
async def test_an_executor_of_any_colour(executor: Any, here: bool) -> None:
    TRACE.set("ours")
    recovery = manager()
    assert await recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor)
    thread, trace = recovery.get_recovery_value("s")
    assert (thread is threading.current_thread(), trace) == (here, "ours")


async def test_a_sync_executor_does_not_hold_up_the_loop() -> None:
    recovery, here = manager(), threading.Event()

    def executor() -> bool:
        return here.wait(10)

    async def meanwhile() -> None:
        while not recovery.is_step_recovering("s"):
            await asyncio.sleep(0)
        here.set()

    going = asyncio.create_task(recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor))
    await meanwhile()
    assert await going
    assert recovery.get_recovery_value("s") is True


async def test_stop_iteration_of_a_thread_does_not_hang() -> None:
    recovery = manager()
    plan = RecoveryPlan(S.RETRY, retry_config=RetryConfig(max_attempts=1))
    assert not await recovery.execute_recovery("s", plan, lambda: next(iter(())))
    assert "StopIteration" in recovery.get_error_history()[0].message


@pytest.mark.parametrize(
    ("plan", "executor"),
    [
        (RecoveryPlan(S.RETRY), None),
        (RecoveryPlan(S.RETRY), "no function"),
        (RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["a"]), None),
        (RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["a"]), lambda: None),
        ("retry", lambda: None),
    ],
)
async def test_what_cannot_be_performed_is_refused_before_anything_is_done(plan: Any, executor: Any) -> None:
    recovery = manager()
    with pytest.raises(InputError):
        await recovery.execute_recovery("s", plan, executor)
    assert recovery.get_recovery_status()["active_recoveries"] == 0
    assert recovery.get_error_history() == []


async def test_errors_of_a_recovery_have_no_cause_in_what_the_caller_is_handling() -> None:
    recovery = manager()
    executor, _ = failing(RuntimeError("something else"))
    plan = RecoveryPlan(S.RETRY, retry_config=RetryConfig(max_attempts=1))
    try:
        raise MemoryError("handled by the caller")
    except MemoryError:
        assert not await recovery.execute_recovery("s", plan, executor)
    assert recovery.get_error_history()[0].category is ErrorCategory.EXECUTION


# -- the time ----------------------------------------------------------------------------------------------------------


async def hangs(*_: Any) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "plan",
    [
        RecoveryPlan(S.RETRY, timeout=5),
        RecoveryPlan(S.RETRY_WITH_BACKOFF, timeout=5),
        RecoveryPlan(S.ROLLBACK, timeout=5),
        RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["a"], timeout=5),
        RecoveryPlan(S.MANUAL_INTERVENTION, timeout=5),
    ],
    ids=lambda plan: plan.strategy,
)
async def test_a_timeout_bounds_the_whole_recovery(plan: RecoveryPlan) -> None:
    clock = FakeClock()
    recovery = manager(Context(), clock=clock)
    start = clock.time()
    assert not await recovery.execute_recovery("s", plan, hangs)
    assert clock.time() - start == 5
    last = recovery.get_error_history()[-1]
    assert isinstance(last.exception, RecoveryTimeoutError)
    assert last.category is ErrorCategory.TIMEOUT
    assert recovery.get_recovery_status()["waiting"] == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_wait_that_would_pass_the_time_is_not_waited() -> None:
    clock = FakeClock()
    recovery = manager(clock=clock)
    executor, calls = failing(ConnectionError("no"))
    config = RetryConfig(max_attempts=100, initial_delay=2)
    start = clock.time()
    plan = RecoveryPlan(S.RETRY_WITH_BACKOFF, retry_config=config, timeout=10)
    assert not await recovery.execute_recovery("s", plan, executor)
    assert (len(calls), clock.time() - start) == (2, 4)  # at 0 and at 4; the next one would be at 12


# -- who is told -------------------------------------------------------------------------------------------------------


async def test_the_tracker_is_told_of_every_attempt() -> None:
    class Tracker:
        seen: list[tuple[str, ...]] = []  # noqa: RUF012 - one test

        def on_step_started(self, *names: str) -> None:
            self.seen.append(names)
            raise RuntimeError("a tracker's fault breaks nothing")

    recovery = manager(Context())
    recovery.progress_tracker = Tracker()
    executor, _ = failing(ConnectionError("1"), "done")
    recovery.handle_error(ConnectionError("0"), "s", "Load the data")
    assert await recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor)
    assert Tracker.seen == [("e", "s", "Load the data"), ("e", "s", "")]
    recovery.progress_tracker.execution_context = recovery.execution_context  # type: ignore[attr-defined]
    assert await recovery.execute_recovery("s", RecoveryPlan(S.RETRY), executor)
    assert len(Tracker.seen) == 2  # the context tells it


@pytest.mark.timeout(10)
async def test_errors_are_told_in_their_order_and_outside_of_locks() -> None:
    recovery, told = manager(), []

    def handler(error: ErrorInfo) -> None:
        told.append(error.message)
        assert recovery.get_error_history()
        if len(told) == 1:
            recovery.handle_error(ValueError("from a handler"))
            assert len(told) == 1  # told when this one has returned

    end = recovery.on_error(handler)
    recovery.handle_error(ValueError("first"))
    end()
    recovery.handle_error(ValueError("unheard"))
    assert told == ["ValueError: first", "ValueError: from a handler"]
