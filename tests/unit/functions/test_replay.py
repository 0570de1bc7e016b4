"""What is the same in every life: time, chance, variables, the order of ends; and what begins anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, everywhere, lives, still

from orchestrator import (
    ExecutionStatus,
    as_completed,
    checkpoint,
    now,
    patched,
    pipeline,
    progress,
    random,
    rollback,
    sleep,
    step,
    uuid,
    variables,
    wait_for_signal,
)
from orchestrator.errors import WrongPlaceError
from orchestrator.journal import events as ev

__all__ = ["lives", "still"]


@step
async def work(name: str) -> str:
    RAN.append(name)
    return name


@step
def quick(name: str) -> str:
    RAN.append(name)
    return name


# -- time and chance -------------------------------------------------------------------------------------------------


@pipeline
async def draws() -> list[Any]:
    found: list[Any] = [str(now()), str(uuid()), random().random()]
    await work("a")
    quick("b")
    found += [str(now()), str(uuid()), str(uuid()), random().randint(1, 10**9)]
    await sleep("1d")
    return [*found, str(now()), str(uuid()), *await child_draws(), random().random()]


@pipeline
async def child_draws() -> list[Any]:
    return [str(uuid()), random().random()]


@pipeline
def draws_plainly() -> list[Any]:
    found: list[Any] = [str(now()), str(uuid()), random().random()]
    quick("a")
    found += [str(now()), str(uuid())]
    sleep("1d")
    return [*found, str(now()), str(uuid()), *child_draws.wait(), random().random()]


@pytest.mark.parametrize("function", [draws, draws_plainly])
def test_time_and_chance_are_the_same_in_every_life(function: Any) -> None:
    found = everywhere(function)
    assert len({*map(str, found)}) >= len(found) - 1  # the same moment may be told twice


def test_two_executions_draw_differently(lives: Lives) -> None:
    app = lives.app()
    one, two = (app.run(draws, execution_id=id_, wait=True).result for id_ in "xy")
    assert not {one[1], one[4], one[5]} & {two[1], two[4], two[5]}
    assert one[2] != two[2]


@pipeline
async def draws_late() -> list[str]:
    first = str(uuid())
    name = await wait_for_signal("go")
    return [first, str(uuid()), name]


def test_a_fork_draws_the_same_until_something_new_happens(still: Lives) -> None:
    still.run(draws_late)
    app = still.app(draws_late)
    fork = app.fork("x", fork_id="y")
    app.signal("x", "go", "a")
    one = app.resume("x").result
    still.clock.advance(10)
    app.signal(fork, "go", "b")
    two = app.resume(fork).result
    assert one[0] == two[0]
    assert one[1] != two[1]
    assert (one[2], two[2]) == ("a", "b")


# -- variables -------------------------------------------------------------------------------------------------------


@pipeline
async def counts(limit: int) -> list[Any]:
    own = variables()
    seen = [own.get_variable("limit")]
    while (tries := own.get_variable("tries", 0)) < limit:
        own.set_variable("tries", tries + 1)
        seen.append(await work(f"t{tries}"))
    own.set_variable("list", [1])
    own.get_variable("list").append(2)
    return [*seen, own.get_variable("tries"), own.get_variable("list")]


@pipeline
def counts_plainly(limit: int) -> list[Any]:
    own = variables()
    seen = [own.get_variable("limit")]
    while (tries := own.get_variable("tries", 0)) < limit:
        own.set_variable("tries", tries + 1)
        seen.append(quick(f"t{tries}"))
    own.set_variable("list", [1])
    own.get_variable("list").append(2)
    return [*seen, own.get_variable("tries"), own.get_variable("list")]


@pytest.mark.parametrize("function", [counts, counts_plainly])
def test_variables_are_as_the_function_has_left_them(function: Any) -> None:
    assert everywhere(function, 2) == [2, "t0", "t1", 2, [1]]


def test_variables_are_those_of_the_execution(lives: Lives) -> None:
    lives.result(counts, 1)
    assert lives.app().value(lives.app().show("x").variables["tries"][0]) == 1


def test_a_fork_with_other_variables_is_told_them(lives: Lives) -> None:
    lives.result(counts, 1)
    app = lives.app(counts)
    fork = app.fork("x", at=4, variables={"limit": 3})
    assert app.resume(fork).result[0] in (1, 3)


def test_a_variable_cannot_be_deleted(lives: Lives) -> None:
    @pipeline
    async def deletes(limit: int) -> str:
        try:
            variables().delete_variable("limit")
        except WrongPlaceError as exc:
            return str(exc)
        return ""

    assert "set it to None" in lives.result(deletes, 1)


# -- progress --------------------------------------------------------------------------------------------------------


@step
async def reports() -> int:
    progress(0.5, "half of the step")
    return 1


@pipeline
async def tells() -> int:
    progress(0.25, "a quarter")
    await reports()
    progress(0.75, "three quarters")
    return 1


@pipeline
def tells_plainly() -> int:
    progress(0.25, "a quarter")
    return reports.wait()


def test_what_a_function_and_its_steps_report_is_kept(lives: Lives) -> None:
    lives.result(tells)
    told = [note.text for note in lives.app().logs("x")]
    assert told == ["half of the step", "three quarters"]  # the newest of each


def test_what_a_plain_function_reports_is_kept(lives: Lives) -> None:
    lives.result(tells_plainly)
    assert "a quarter" in [note.text for note in lives.app().logs("x")]


# -- checkpoints -----------------------------------------------------------------------------------------------------


@pipeline
async def rolls() -> list[str]:
    await work("a")
    await checkpoint("half")
    await work("b")
    if RAN.count("b") < 3:
        await rollback("half")
    return RAN[:]


@pipeline
def rolls_plainly() -> list[str]:
    quick("a")
    checkpoint("half")
    quick("b")
    if RAN.count("b") < 3:
        rollback("half")
    return RAN[:]


@pytest.mark.parametrize("function", [rolls, rolls_plainly])
def test_a_rollback_runs_again_what_came_after_the_checkpoint(lives: Lives, function: Any) -> None:
    assert lives.result(function) == ["a", "b", "b", "b"]
    assert lives.status("rollback") == "pending"


@pipeline
async def rolls_for_ever() -> str:
    await checkpoint("half")
    await work("b")
    try:
        await rollback("half")
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return type(exc).__name__
    return ""


def test_after_three_times_a_rollback_raises(lives: Lives) -> None:
    assert lives.result(rolls_for_ever) == "RollbackError"
    assert RAN == ["b"] * 4


@pipeline
async def nowhere() -> str:
    try:
        await rollback("nowhere")
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return str(exc)
    return ""


def test_a_rollback_to_a_checkpoint_that_there_is_not_says_which_there_are(lives: Lives) -> None:
    assert "nowhere" in lives.result(nowhere)


def test_a_restore_runs_the_function_again_from_the_checkpoint(lives: Lives) -> None:
    @pipeline
    async def marks() -> list[str]:
        await work("a")
        await checkpoint("half")
        await work("b")
        await wait_for_signal("go")
        return RAN[:]

    lives.run(marks)
    app = lives.app(marks)
    app.restore("x", next(c.id for c in app.checkpoints("x") if c.name == "half"))
    app.signal("x", "go")
    assert app.resume("x").result == ["a", "b", "b"]


# -- patched ---------------------------------------------------------------------------------------------------------

NEW: list[bool] = []


@pipeline
async def changes() -> list[Any]:
    found: list[Any] = [await work("a")]
    if NEW:
        found.append(await work("new") if patched("better") else await work("old"))
    else:
        found.append(await work("old"))
    found.append(await wait_for_signal("go", default=1, timeout="1d"))
    if NEW and patched("later"):
        found.append(await work("later"))
    return found


def test_an_execution_that_was_past_a_change_takes_the_old_way(still: Lives) -> None:
    NEW.clear()
    still.run(changes)
    NEW.append(True)
    still.app().signal("x", "go", 2)
    assert still.app(changes).check_replay("x").ok
    result = still.resume(changes)
    assert result.result[:3] == ["a", "old", 2]


def test_a_change_that_an_execution_had_not_reached_is_taken(still: Lives) -> None:
    NEW.clear()
    still.run(changes)
    NEW.append(True)
    still.app().signal("x", "go", 2)
    assert still.resume(changes).result == ["a", "old", 2, "later"]


def test_a_new_execution_takes_the_new_way() -> None:
    NEW[:] = [True]
    assert everywhere(changes) == ["a", "new", 1, "later"]


# -- the order of ends -----------------------------------------------------------------------------------------------


@step
async def after(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pipeline
async def in_order() -> list[float]:
    found = []
    async for done in as_completed([after(0.04), after(0.0), after(0.02)]):
        found.append(await done)
        await work.with_key(len(found))("x")
    return found


def test_ends_come_in_the_order_in_which_they_were_recorded() -> None:
    assert everywhere(in_order) == [0.0, 0.02, 0.04]


@step
async def fails(seconds: float) -> float:
    await asyncio.sleep(seconds)
    raise ValueError(f"{seconds}")


@pipeline
async def some_fail() -> list[Any]:
    found: list[Any] = []
    async for done in as_completed([after(0.03), fails(0.01)]):
        try:
            found.append(await done)
        except ValueError as exc:
            found.append(str(exc))
    return found


def test_a_call_that_failed_raises_when_it_is_looked_at() -> None:
    assert everywhere(some_fail) == ["0.01", 0.03]


@pipeline
async def leaves_early() -> Any:
    found: list[Any] = []
    async for done in as_completed([after(0.0), after(30.0)]):
        found.append(await done)
        break
    return [*found, await work("b")]


def test_what_nobody_waits_for_any_more_is_cancelled(lives: Lives) -> None:
    assert lives.result(leaves_early) == [0.0, "b"]
    assert lives.status("after#2") == "cancelled"


@pipeline
async def first_of_two() -> list[Any]:
    tasks = {asyncio.ensure_future(call) for call in (after(0.03), after(0.0))}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    first = done.pop().result()
    return [first, await work("next")]


def test_who_was_first_is_first_in_every_life() -> None:
    assert everywhere(first_of_two) == [0.0, "next"]


async def some_passes() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pipeline
async def cancels_what_came_late() -> str:
    async def beside() -> float:
        await some_passes()
        return await after.with_key("beside")(9.0)

    task = asyncio.ensure_future(beside())
    await after(0.05)
    task.cancel()
    return await work("next")


def test_an_outcome_is_told_when_all_that_began_before_it_was_asked_for() -> None:
    assert everywhere(cancels_what_came_late) == "next"


def test_a_run_again_of_a_step_takes_what_came_after_it_along(lives: Lives) -> None:
    @pipeline
    async def three() -> list[str]:
        return [await work("a"), await work.with_key(2)("b"), await work.with_key(3)("c")]

    lives.result(three)
    RAN.clear()
    assert lives.app(three).rerun("x", "work:2").result == ["a", "b", "c"]
    assert RAN == ["b", "c"]


def test_a_fork_from_a_step_keeps_what_came_before(lives: Lives) -> None:
    lives.result(rolls_for_ever)
    RAN.clear()
    app = lives.app(rolls_for_ever)
    fork = app.fork("x", from_step="work")
    assert app.resume(fork).status is ExecutionStatus.COMPLETED
    assert RAN
    assert len(app.history(fork)) > 0


def test_a_retry_of_a_failed_execution_keeps_what_went_well(lives: Lives) -> None:
    @step
    async def flaky() -> int:
        RAN.append("flaky")
        if RAN.count("flaky") == 1:
            raise ValueError("x")
        return 1

    @pipeline
    async def two() -> Any:
        return [await work("a"), await flaky(), await work("b")]

    assert lives.run(two).status is ExecutionStatus.FAILED
    assert lives.app(two).retry("x").result == ["a", 1, "b"]
    assert RAN == ["a", "flaky", "flaky", "b"]
    assert len(lives.history(ev.ExecutionRetried)) == 1
