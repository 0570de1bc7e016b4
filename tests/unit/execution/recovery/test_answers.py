"""A manual intervention: who waits, who answers, from where, and once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.unit.execution.recovery.parts import Context, failing, manager

from orchestrator.errors import InputError
from orchestrator.execution.recovery import RecoveryManager, RecoveryPlan, RecoveryStrategy

ASK = RecoveryPlan(RecoveryStrategy.MANUAL_INTERVENTION, manual_instructions="look at the disk")


async def asked(recovery: RecoveryManager, step_id: str = "s", executor: Any = None) -> asyncio.Task[bool]:
    """A recovery that waits for its answer."""
    task = asyncio.create_task(recovery.execute_recovery(step_id, ASK, executor))
    while step_id not in recovery.get_recovery_status()["waiting"]:
        await asyncio.sleep(0)
    return task


async def test_it_pauses_shows_its_instructions_and_runs_again_on_retry() -> None:
    context = Context()
    recovery = manager(context)
    executor, calls = failing("done")
    task = await asked(recovery, executor=executor)
    assert context.seen == ["pause"]
    assert recovery.is_step_recovering("s")
    waiting = recovery.get_recovery_status()["waiting"]["s"]
    assert waiting["instructions"] == "look at the disk"
    assert waiting["since"].endswith("+00:00")
    recovery.answer("s", "retry", by="ann")
    assert await task
    assert (calls, recovery.get_recovery_value("s"), context.seen) == ([1], "done", ["pause", "resume"])
    assert recovery.get_recovery_status()["waiting"] == {}


@pytest.mark.parametrize("value", [None, {"rows": []}])
async def test_a_skip_gives_its_value_and_runs_nothing(value: Any) -> None:
    context = Context()
    recovery = manager(context)
    executor, calls = failing("never")
    task = await asked(recovery, executor=executor)
    recovery.answer("s", "skip", value)
    assert await task
    assert (calls, recovery.get_recovery_value("s", "none"), context.seen[-1]) == ([], value, "resume")


async def test_an_abort_leaves_the_execution_paused() -> None:
    context = Context()
    recovery = manager(context)
    task = await asked(recovery)
    recovery.answer("s", "abort")
    assert not await task
    assert context.seen == ["pause"]
    assert recovery.get_error_history() == []  # a decision, no error


async def test_a_retry_that_fails_again_is_recorded() -> None:
    recovery = manager()
    executor, _ = failing(ValueError("still"))
    task = await asked(recovery, executor=executor)
    recovery.answer("s", "retry")
    assert not await task
    assert recovery.get_error_history("s")[0].message == "ValueError: still"


async def test_an_answer_from_a_thread() -> None:
    recovery = manager()
    task = await asked(recovery)
    thread = threading.Thread(target=recovery.answer, args=("s", "skip", 7))
    thread.start()
    assert await task
    thread.join()
    assert recovery.get_recovery_value("s") == 7


async def test_an_answer_from_the_handler_that_was_told() -> None:
    recovery = manager()
    recovery.on_intervention(lambda step_id, instructions: recovery.answer(step_id, "skip", instructions))
    assert await recovery.execute_recovery("s", ASK)
    assert recovery.get_recovery_value("s") == "look at the disk"


async def test_of_many_answers_at_once_one_counts() -> None:
    recovery = manager()
    task = await asked(recovery)
    refused, start = [], threading.Barrier(8)

    def answer(n: int) -> None:
        start.wait()
        try:
            recovery.answer("s", "skip", n)
        except InputError:
            refused.append(n)

    threads = [threading.Thread(target=answer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    assert await task
    for thread in threads:
        thread.join()
    assert sorted([*refused, recovery.get_recovery_value("s")]) == list(range(8))


async def test_who_does_not_wait_cannot_be_answered() -> None:
    recovery = manager()
    with pytest.raises(InputError, match="waiting: none"):
        recovery.answer("s", "retry")
    task = await asked(recovery, "b")
    with pytest.raises(InputError, match="step 's' does not wait for an answer; waiting: b"):
        recovery.answer("s", "retry")
    recovery.answer("b", "abort")
    with pytest.raises(InputError):
        recovery.answer("b", "abort")
    assert not await task


@pytest.mark.parametrize("wrong", [("maybe",), ("retry", 3), ("abort", 3)])
async def test_an_answer_that_makes_no_sense_is_refused_and_the_step_waits_on(wrong: tuple[Any, ...]) -> None:
    recovery = manager()
    task = await asked(recovery)
    with pytest.raises(InputError):
        recovery.answer("s", *wrong)
    recovery.answer("s", "abort")
    assert not await task


async def test_one_step_waits_once() -> None:
    recovery = manager()
    task = await asked(recovery)
    assert not await recovery.execute_recovery("s", ASK)
    assert "waits for an answer already" in recovery.get_error_history()[0].message
    recovery.answer("s", "skip", 1)
    assert await task


async def test_the_execution_runs_again_when_the_last_one_is_answered() -> None:
    context = Context()
    recovery = manager(context)
    tasks = [await asked(recovery, "a"), await asked(recovery, "b")]
    recovery.answer("a", "skip")
    assert await tasks[0]
    assert not context.running
    recovery.answer("b", "skip")
    assert await tasks[1]
    assert context.running
    assert context.seen == ["pause", "pause", "resume"]


async def test_an_execution_that_others_paused_stays_paused() -> None:
    context = Context(running=False)
    recovery = manager(context)
    task = await asked(recovery)
    recovery.answer("s", "skip")
    assert await task
    assert "resume" not in context.seen


async def test_what_waits_elsewhere_is_answered_by_the_hook() -> None:
    recovery, given = manager(), []

    def hook(*answer: Any) -> bool:
        given.append(answer)
        return answer[0] == "there"

    recovery.on_answer = hook
    recovery.answer("there", "skip", 5, by="ann")
    assert given == [("there", "skip", 5, "ann")]
    with pytest.raises(InputError):
        recovery.answer("nowhere", "retry")
    task = await asked(recovery)
    recovery.answer("s", "abort")
    assert not await task
    assert len(given) == 2  # its own ones are its own affair


async def test_without_instructions_the_last_error_is_told() -> None:
    recovery, told = manager(), []
    recovery.on_intervention(lambda *of: told.append(of))
    recovery.handle_error(ValueError("disk?"), "s")
    task = asyncio.create_task(recovery.execute_recovery("s", RecoveryPlan(RecoveryStrategy.MANUAL_INTERVENTION), None))
    while not told:
        await asyncio.sleep(0)
    assert told == [("s", "step 's' failed (ValueError: disk?): answer retry, skip or abort")]
    recovery.shutdown()
    assert not await task
