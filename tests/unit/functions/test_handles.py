"""Executions in the background, and the front door: run, arun, start, resume, fork."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Kept

from orchestrator import (
    ExecutionStatus,
    Orchestrator,
    approve,
    arun,
    fork,
    pipeline,
    resume,
    run,
    start,
    step,
    wait_for_signal,
)
from orchestrator.errors import (
    ExecutionFailedError,
    ExecutionWaitsError,
    InputError,
    NotResumableError,
    UnknownExecutionError,
)
from orchestrator.journal import events as ev


@pytest.fixture(autouse=True)
def fresh() -> None:
    RAN.clear()


@pytest.fixture
def store() -> Kept:
    return Kept()


@step
async def work(name: str) -> str:
    RAN.append(name)
    return name


@step
def plain_work(name: str) -> str:
    RAN.append(name)
    return name


@pipeline
async def job(name: str, times: int = 1) -> list[str]:
    return [await work(name) for _ in range(times)]


@pipeline
def plain_job(name: str, times: int = 1) -> list[str]:
    return [plain_work(name) for _ in range(times)]


@pipeline
async def asks(name: str) -> list[Any]:
    await work(name)
    answer = await approve("Go on?", name="go_on")
    return [answer["choice"], await wait_for_signal("go")]


@pipeline
async def fails() -> None:
    raise ValueError("as told")


@step
async def hangs() -> None:
    RAN.append("hangs")
    await asyncio.sleep(60)


@pipeline
async def hangs_on() -> None:
    try:
        await hangs()
    finally:
        await work("tidied")


JOBS = pytest.mark.parametrize("function", [job, plain_job])


def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


# -- run, arun -------------------------------------------------------------------------------------------------------


@JOBS
def test_run_gives_what_the_function_returns(function: Any, store: Kept) -> None:
    assert run(function.options(store=store), "a", times=2) == ["a", "a"]


@JOBS
async def test_arun_gives_what_the_function_returns(function: Any, store: Kept) -> None:
    assert await arun(function.options(store=store), "a") == ["a"]


@JOBS
def test_the_default_store_is_in_the_working_folder(
    function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(function.options(durability="process"), "a") == ["a"]
    assert (tmp_path / ".orchestrator" / "journal.db").exists()


def test_options_are_of_one_run_and_leave_the_function_as_it_is(store: Kept) -> None:
    with_id = job.options(store=store, execution_id="trip")
    assert run(with_id, "a") == ["a"]
    assert run(with_id, "a") == ["a"]  # the result again
    assert RAN == ["a"]
    assert with_id.options(wait=True).run_options.execution_id == "trip"
    assert job.run_options.execution_id is None
    with pytest.raises(InputError, match="other inputs"):
        run(with_id, "b")


def test_arguments_that_do_not_fit_are_refused_before_anything_ran(store: Kept) -> None:
    with pytest.raises(InputError, match=r"it takes \(name"):
        run(job.options(store=store), "a", nights=3)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="missing a required argument: 'name'"):
        start(job.options(store=store))  # type: ignore[call-overload]
    assert not Orchestrator(store).list()


def test_a_failure_is_raised_with_its_cause(store: Kept) -> None:
    with pytest.raises(ExecutionFailedError, match="as told") as caught:
        run(fails.options(store=store))
    assert isinstance(caught.value.__cause__, ValueError)


async def test_run_on_a_loop_says_what_to_write(store: Kept) -> None:
    with pytest.raises(Exception, match="arun"):
        run(job.options(store=store), "a")


# -- resume, fork ----------------------------------------------------------------------------------------------------


def test_resume_with_the_function_gives_what_it_returns(store: Kept) -> None:
    with pytest.raises(ExecutionWaitsError):
        run(asks.options(store=store, execution_id="x"), "a")
    app = Orchestrator(store)
    app.answer("x", "go_on", "approve")
    app.signal("x", "go", 5)
    assert resume("x", asks, store=store) == ["approve", 5]
    assert resume("x", store=store).result == ["approve", 5]
    assert RAN == ["a"]


def test_resume_of_what_there_is_not_says_so(store: Kept) -> None:
    with pytest.raises(UnknownExecutionError):
        resume("nobody", job, store=store)


def test_a_fork_is_an_execution_of_its_own(store: Kept) -> None:
    run(job.options(store=store, execution_id="x"), "a", times=3)
    other = fork("x", from_step="work#2", fork_id="y", store=store)
    assert other == "y"
    assert resume("y", job, store=store) == ["a", "a", "a"]
    assert len(RAN) == 5


# -- start -----------------------------------------------------------------------------------------------------------


@JOBS
def test_a_handle_gives_the_result(function: Any, store: Kept) -> None:
    handle = start(function.options(store=store, execution_id="x"), "a", times=2)
    assert handle.id == "x"
    assert handle.result(10) == ["a", "a"]
    assert handle.status is ExecutionStatus.COMPLETED
    assert repr(handle) == "<execution x>"
    assert handle.result() == ["a", "a"]


async def test_a_handle_can_be_awaited(store: Kept) -> None:
    handle = start(job.options(store=store), "a")
    assert await handle == ["a"]
    assert await handle == ["a"]


@JOBS
def test_progress_are_the_entries_as_they_come(function: Any, store: Kept) -> None:
    handle = start(function.options(store=store), "a")
    kinds = [type(entry.event).__name__ for entry in handle.progress()]
    assert kinds[-1] == "ExecutionCompleted"
    assert "StepSucceeded" in kinds
    assert [type(entry.event).__name__ for entry in handle.progress()] == kinds


async def test_progress_can_be_iterated_over_on_a_loop(store: Kept) -> None:
    handle = start(job.options(store=store), "a")
    positions = [entry.position async for entry in handle.progress()]
    assert positions == sorted(positions)
    assert len(positions) > 3


def test_a_handle_waits_and_takes_answers_and_signals(store: Kept) -> None:
    handle = start(asks.options(store=store), "a")
    for entry in handle.progress():
        if isinstance(entry.event, ev.StepWaiting | ev.InterventionRequested):
            break
    with pytest.raises(TimeoutError):
        handle.result(0.01)
    assert handle.status in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)
    handle.answer("go_on", "reject", by="me")
    handle.signal("go", {"a": 1})
    assert handle.result(10) == ["reject", {"a": 1}]


def test_a_handle_cancels(store: Kept) -> None:
    handle = start(hangs_on.options(store=store))
    until(lambda: "hangs" in RAN)
    handle.cancel("enough")
    with pytest.raises(ExecutionFailedError, match="was cancelled: enough"):
        handle.result(10)
    assert handle.status is ExecutionStatus.CANCELLED
    assert RAN == ["hangs", "tidied"]


def test_a_handle_of_what_failed_raises_with_the_cause(store: Kept) -> None:
    handle = start(fails.options(store=store))
    with pytest.raises(ExecutionFailedError) as caught:
        handle.result(10)
    assert isinstance(caught.value.__cause__, ValueError)
    assert handle.status is ExecutionStatus.FAILED


def test_a_handle_that_has_ended_says_so(tmp_path: Path) -> None:
    function = job.options(store=tmp_path / "x.db", durability="process", execution_id="x")
    first = start(function, "a")
    assert first.result(10) == ["a"]
    second = start(function, "b")
    with pytest.raises(InputError):
        second.result(10)
    until(lambda: not any(thread.name == "orchestrator-x" for thread in threading.enumerate()))
    for handle in (first, second):
        assert handle.status is ExecutionStatus.COMPLETED
        with pytest.raises(NotResumableError, match="there is nothing to cancel"):
            handle.cancel()
        with pytest.raises(NotResumableError, match="there is nothing to signal"):
            handle.signal("go")


def test_a_loop_that_looks_no_more_at_a_handle_ends_at_once(store: Kept) -> None:
    handle = start(asks.options(store=store), "a")

    async def looks() -> int:
        seen = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                async for _ in handle.progress():
                    seen += 1
        return seen

    before = time.monotonic()
    assert asyncio.run(looks()) > 3
    assert time.monotonic() - before < 5
    handle.cancel()
    with pytest.raises(ExecutionFailedError):
        handle.result(10)


def test_two_handles_at_once(store: Kept) -> None:
    handles = [start(function.options(store=store), name, times=3) for function in (job, plain_job) for name in "ab"]
    assert [handle.result(10) for handle in handles] == [["a"] * 3, ["b"] * 3] * 2
    assert len({handle.id for handle in handles}) == 4


def test_one_id_started_twice_is_one_execution(store: Kept) -> None:
    first = start(job.options(store=store, execution_id="x"), "a", times=3)
    second = start(job.options(store=store, execution_id="x"), "a", times=3)
    assert first.result(10) == second.result(10) == ["a"] * 3
    assert RAN == ["a"] * 3


def test_one_id_started_twice_while_it_waits_is_one_execution(store: Kept) -> None:
    first = start(asks.options(store=store, execution_id="x"), "a")
    second = start(asks.options(store=store, execution_id="x"), "a")
    until(lambda: Orchestrator(store).approvals("x"))
    second.answer("go_on", "approve")
    first.signal("go", 1)
    assert first.result(10) == second.result(10) == ["approve", 1]
    assert RAN == ["a"]


def test_one_id_with_other_arguments_is_refused_by_the_second_handle(store: Kept) -> None:
    assert start(job.options(store=store, execution_id="x"), "a").result(10) == ["a"]
    with pytest.raises(InputError, match="other inputs"):
        start(job.options(store=store, execution_id="x"), "b").result(10)


def test_a_handle_leaves_no_thread_behind(store: Kept) -> None:
    handle = start(job.options(store=store, execution_id="x"), "a")
    handle.result(10)
    until(lambda: not any(thread.name == "orchestrator-x" for thread in threading.enumerate()))


def test_a_plain_function_is_no_pipeline_and_says_so() -> None:
    def nothing() -> None: ...

    for verb in (run, start, arun):
        with pytest.raises(InputError, match="write @pipeline above it"):
            verb(nothing)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="write @pipeline above it"):
        run(work, "a")  # type: ignore[call-overload]


def test_a_file_cannot_be_started(store: Kept) -> None:
    with pytest.raises(InputError, match="`run` runs a file"):
        start("pipeline.yaml")  # type: ignore[call-overload]
