"""Ends before the end: what is cancelled, paused, interrupted, given up after a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, at_the_end, everywhere, lives, still

from orchestrator import ExecutionResult, ExecutionStatus, pipeline, sleep, step, wait_for_signal
from orchestrator.errors import ExecutionFailedError, NotResumableError
from orchestrator.journal import events as ev

__all__ = ["lives", "still"]


@step
async def work(name: str) -> str:
    RAN.append(name)
    return name


@step
async def hangs() -> None:
    RAN.append("hangs")
    try:
        await asyncio.sleep(60)
    finally:
        RAN.append("let go")


@pipeline
async def tidies() -> None:
    await work("reserve")
    try:
        await hangs()
    finally:
        await work("release")
        RAN.append("tidied")


@pipeline
def tidies_plainly() -> None:
    work.wait("reserve")
    try:
        hangs.wait()
    finally:
        work.wait("release")
        RAN.append("tidied")


@pipeline
async def tidies_waiting() -> None:
    await work("reserve")
    try:
        await wait_for_signal("never")
    finally:
        await work("release")
        RAN.append("tidied")


@pipeline
def tidies_waiting_plainly() -> None:
    work.wait("reserve")
    try:
        wait_for_signal("never")
    finally:
        work.wait("release")
        RAN.append("tidied")


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come about")


async def while_it_runs(lives: Lives, function: Any, do: Any, *, wait: bool = True) -> ExecutionResult:
    app = lives.app()
    running = asyncio.create_task(app.arun(function, {}, execution_id="x", wait=wait))
    await until(lambda: "hangs" in RAN)
    await do(app)
    return await asyncio.wait_for(running, 10)


# -- cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [tidies, tidies_plainly])
async def test_what_runs_is_cancelled_and_clean_up_steps_run(lives: Lives, function: Any) -> None:
    result = await while_it_runs(lives, function, lambda app: app.acancel("x", "enough"))
    assert (result.status, result.reason) == (ExecutionStatus.CANCELLED, "enough")
    assert RAN == ["reserve", "hangs", "let go", "release", "tidied"]
    assert lives.status("hangs") == "cancelled"
    assert lives.status("work#2") == "completed"
    with pytest.raises(ExecutionFailedError, match="was cancelled: enough"):
        result.raise_for_status()


@pytest.mark.parametrize("function", [tidies_waiting, tidies_waiting_plainly])
def test_what_waits_is_cancelled_where_nobody_runs_it(lives: Lives, function: Any) -> None:
    assert lives.run(function).status is ExecutionStatus.PAUSED
    lives.app(function).cancel("x", "enough")
    assert str(lives.app().show("x").status) == "cancelled"
    assert RAN == ["reserve", "release", "tidied"]
    assert lives.status("signal:never") == "cancelled"
    with pytest.raises(NotResumableError):
        lives.resume(function)


@pytest.mark.parametrize("function", [tidies_waiting, tidies_waiting_plainly])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cancellation_that_dies_half_way_is_gone_on_with(function: Any, when: Any) -> None:
    from orchestrator import Orchestrator
    from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

    for at in range(1, 6):
        RAN.clear()
        lives = Lives()
        lives.run(function)
        store = CrashingStore(lives.store, at, when)
        app = Orchestrator(store, clock=lives.clock)
        app.knows(function)
        try:
            app.cancel("x", "enough")
        except SimulatedCrash:
            store.bury()
            status = lives.app().show("x").status
            if status is ExecutionStatus.PAUSED or str(status) == "running":
                lives.app(function).resume("x")
        assert str(lives.app().show("x").status) == "cancelled", (at, when)
        assert RAN[-1] == "tidied"


@pipeline
async def swallows() -> str:
    try:
        await hangs()
    except asyncio.CancelledError:
        await work("release")
    return "all is well"


async def test_a_function_that_swallows_a_cancellation_is_cancelled_all_the_same(lives: Lives) -> None:
    result = await while_it_runs(lives, swallows, lambda app: app.acancel("x"))
    assert result.status is ExecutionStatus.CANCELLED
    assert RAN == ["hangs", "let go", "release"]


@pipeline
async def fails_tidying() -> None:
    try:
        await hangs()
    finally:
        raise ValueError("while tidying")


async def test_a_function_that_fails_while_it_tidies_up_is_cancelled(lives: Lives) -> None:
    result = await while_it_runs(lives, fails_tidying, lambda app: app.acancel("x"))
    assert result.status is ExecutionStatus.CANCELLED


@pipeline
async def child() -> None:
    try:
        await hangs()
    finally:
        await work("inner")


@pipeline
async def parent() -> None:
    try:
        await child()
    finally:
        await work("outer")


async def test_a_cancellation_reaches_children_first(lives: Lives) -> None:
    result = await while_it_runs(lives, parent, lambda app: app.acancel("x"))
    assert result.status is ExecutionStatus.CANCELLED
    assert RAN == ["hangs", "let go", "inner", "outer"]
    assert lives.status("child") == "cancelled"


@step
async def ends_slowly() -> None:
    RAN.append("hangs")
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)
        RAN.append("let go")


@pipeline
async def tidies_after() -> None:
    try:
        await ends_slowly()
    finally:
        await work("release")


async def test_clean_up_begins_when_what_was_cancelled_has_ended(lives: Lives) -> None:
    await while_it_runs(lives, tidies_after, lambda app: app.acancel("x"))
    assert RAN == ["hangs", "let go", "release"]


@step
def plain_work(name: str) -> str:
    RAN.append(name)
    return name


@pipeline
def computes() -> str:
    plain_work("before")
    RAN.append("hangs")
    until_in_place(lambda: "go" in RAN)
    try:
        return plain_work("after")
    finally:
        plain_work("tidied")


def until_in_place(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


async def test_a_plain_function_that_is_cancelled_between_two_steps_ends_at_the_next(lives: Lives) -> None:
    async def cancel(app: Any) -> None:
        await app.acancel("x")
        await asyncio.sleep(0.25)  # it is told when nothing else is going on
        RAN.append("go")

    result = await while_it_runs(lives, computes, cancel)
    assert result.status is ExecutionStatus.CANCELLED
    assert RAN == ["before", "hangs", "go", "tidied"]


# -- pause, interrupt ------------------------------------------------------------------------------------------------


@step
async def waits_for_go() -> str:
    RAN.append("hangs")
    await until(lambda: "go" in RAN)
    return "went"


@pipeline
async def pausable() -> list[str]:
    return [await waits_for_go(), await work("after")]


@pipeline
def pausable_plainly() -> list[str]:
    return [waits_for_go.wait(), work.wait("after")]


@pytest.mark.parametrize("function", [pausable, pausable_plainly])
async def test_a_pause_lets_end_what_runs_and_starts_nothing_new(lives: Lives, function: Any) -> None:
    async def pause(app: Any) -> None:
        await app.apause("x", "lunch")
        RAN.append("go")

    result = await while_it_runs(lives, function, pause)
    assert (result.status, result.waits) == (ExecutionStatus.PAUSED, False)
    assert "lunch" in result.reason
    assert "after" not in RAN
    assert lives.status("waits_for_go") == "completed"
    resumed = await lives.app(function).aresume("x")
    assert resumed.result == ["went", "after"]
    assert RAN.count("hangs") == 1


@pytest.mark.parametrize("function", [pausable, pausable_plainly])
async def test_an_interrupt_lets_end_what_runs(lives: Lives, function: Any) -> None:
    async def interrupt(app: Any) -> None:
        app.interrupt()
        await asyncio.sleep(0.01)
        RAN.append("go")

    result = await while_it_runs(lives, function, interrupt)
    assert (result.status, result.reason) == (ExecutionStatus.PAUSED, "interrupted")
    assert (await lives.app(function).aresume("x")).result == ["went", "after"]


async def test_a_caller_that_cancels_leaves_it_paused(lives: Lives) -> None:
    app = lives.app()
    running = asyncio.create_task(app.arun(tidies, {}, execution_id="x"))
    await until(lambda: "hangs" in RAN)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert str(app.show("x").status) == "paused"
    assert "release" not in RAN  # it is no cancellation of the execution
    await app.acancel("x")
    assert RAN[-2:] == ["release", "tidied"]


# -- what a function gives up by itself ------------------------------------------------------------------------------


@pipeline
async def with_timeout() -> list[Any]:
    found: list[Any] = []
    try:
        async with asyncio.timeout(0.05):
            await hangs()
    except TimeoutError:
        found.append("late")
    try:
        await asyncio.wait_for(hangs(), 0.05)
    except TimeoutError:
        found.append("late again")
    return [*found, await work("after")]


def test_a_timeout_of_the_function_cancels_its_step(lives: Lives) -> None:
    assert lives.result(with_timeout) == ["late", "late again", "after"]
    assert [lives.status("hangs"), lives.status("hangs#2")] == ["cancelled"] * 2
    assert RAN == ["hangs", "let go"] * 2 + ["after"]


def test_a_timeout_of_the_function_comes_to_the_same_in_a_later_life() -> None:
    assert at_the_end(with_timeout) == ["late", "late again", "after"]


@pipeline
async def timeout_of_waits() -> list[Any]:
    found: list[Any] = []
    for call in (sleep("3d"), wait_for_signal("never")):
        try:
            async with asyncio.timeout(0.03):
                found.append(await call)
        except TimeoutError:
            found.append("late")
    return [*found, await work("after")]


def test_a_timeout_over_a_wait_that_is_not_near_is_no_reason_to_stay_for_ever() -> None:
    lives = Lives(jumping=False)
    assert lives.run(timeout_of_waits).result == ["late", "late", "after"]


@pipeline
async def cancels_a_task() -> list[Any]:
    task = asyncio.ensure_future(hangs())
    await work("a")
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return ["gone", await work("b")]
    return []


def test_a_task_that_the_function_cancels_is_cancelled_in_every_life() -> None:
    assert everywhere(cancels_a_task) == ["gone", "b"]


@pipeline
async def leaves_tasks() -> str:
    tasks = [asyncio.ensure_future(hangs()) for _ in range(2)]
    return await work("done") if tasks else ""


def test_what_a_function_leaves_behind_is_cancelled_at_its_end(lives: Lives) -> None:
    result = lives.run(leaves_tasks)
    assert result.result == "done"
    assert lives.status("hangs") == "cancelled"
    ended = [type(event).__name__ for event in lives.history(ev.StepCancelled, ev.ExecutionCompleted)]
    assert ended[-1] == "ExecutionCompleted"


@pipeline
async def fails_beside() -> None:
    async def inner() -> None:
        await work.with_key("inner")("x")
        raise ValueError("inner failed")

    await asyncio.gather(inner(), hangs())


def test_a_step_that_still_runs_when_the_function_fails_is_cancelled(lives: Lives) -> None:
    result = lives.run(fails_beside)
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None
    assert "inner failed" in result.error["message"]
    assert lives.status("hangs") == "cancelled"
