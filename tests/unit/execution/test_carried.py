"""A step that is carried on by callbacks: what it waits for, what ends it, what it never hears of."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from orchestrator.errors import HandlerStillRunningError
from orchestrator.execution.driver import Attempt, Record
from orchestrator.execution.engine import EngineParts, StateGraphEngine
from orchestrator.execution.engine.carried import LATER, Carried, Interrupted
from orchestrator.journal.store import Owner
from orchestrator.pipelines.model import Pipeline
from orchestrator.steps import KINDS
from orchestrator.storage.memory import MemoryStore


class Course:
    """One deed of two requests, and what becomes of it."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.heard, self.closed = list(answers), list[Any](), False
        self.ended: list[BaseException | None] = []
        self.carried = Carried(
            self._deed(), self._perform, lambda _, error: self.ended.append(error), asyncio.get_running_loop()
        )

    def _deed(self) -> Generator[Record, Any, None]:
        try:
            for _ in range(2):
                try:
                    self.heard.append((yield Record(())))
                except ValueError as exc:
                    self.heard.append(exc)
        except GeneratorExit:
            self.closed = True
            raise

    def _perform(self, _request: Any, carried: Carried) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, asyncio.Future):
            carried.wait_for(answer)
            return LATER
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def passes(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_goes_on_with_what_has_come() -> None:
    waits: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    course = Course(1, waits)
    course.carried.go()
    assert (course.heard, course.ended) == ([1], [])
    waits.set_result(2)
    await passes()
    assert (course.heard, course.ended) == ([1, 2], [None])


async def test_what_performing_raises_is_thrown_in() -> None:
    fault = ValueError("no")
    course = Course(fault, 2)
    course.carried.go()
    assert (course.heard, course.ended) == ([fault, 2], [None])


async def test_an_interrupt_ends_it_without_an_error() -> None:
    course = Course(Interrupted())
    course.carried.go()
    assert course.closed
    assert course.ended == [None]


async def test_what_was_cancelled_hears_of_nothing_any_more_and_ends_in_a_later_pass() -> None:
    course = Course(LATER)
    course.carried.go()
    course.carried.cancel()
    course.carried.go("recorded")
    assert course.ended == []
    await passes()
    assert (course.heard, course.closed, course.ended) == ([], True, [None])


async def test_the_handler_that_outlived_its_cancellation_is_named() -> None:
    waits: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    course = Course(waits)
    course.carried.go()
    course.carried._waits_for = Stuck(waits)  # type: ignore[assignment]  # as a runner's future is
    course.carried.cancel()
    await passes()
    assert course.carried.stuck is STUCK
    assert course.ended == [None]


STUCK = HandlerStillRunningError("late", "a thread", 0.1)


class Stuck:
    """A future whose cancellation tells of a handler that still runs."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future

    def cancel(self) -> bool:
        cancelled = asyncio.CancelledError()
        cancelled.__cause__ = STUCK
        self.future.set_exception(cancelled)
        return True


class StubbornRunner:
    """Runs nothing: `late` cannot be ended, `fails` fails once."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def invoke(self, attempt: Attempt) -> asyncio.Future[Any]:
        self.made.append((attempt.step_key, attempt.generation))
        loop = asyncio.get_running_loop()
        if attempt.step_key == "late":
            return Unending(loop=loop)
        future: asyncio.Future[Any] = loop.create_future()
        if attempt.generation == 1 and attempt.step_key == "fails":
            loop.call_later(0.01, future.set_exception, ConnectionError("down"))
        else:
            future.set_result(None)
        return future

    def interrupt(self) -> None: ...

    async def close(self) -> None: ...


class Unending(asyncio.Future[Any]):
    """An attempt that is given up."""

    def cancel(self, msg: Any = None) -> bool:
        return Stuck(self).cancel() if not self.done() else False


async def test_a_step_is_not_run_beside_its_own_handler_that_could_not_be_ended() -> None:
    runner = StubbornRunner()
    engine = StateGraphEngine(EngineParts(MemoryStore(), runner, KINDS, Owner("t", "h", "b", 1, 0)))
    result = await engine.execute(
        Pipeline.loads(
            """
            pipeline: p
            steps:
              - {id: one, call: "m:f", checkpoint: base}
              - {id: late, needs: [one], call: "m:f"}
              - {id: fails, needs: [one], call: "m:f", on_error: [{strategy: rollback, checkpoint: base}]}
            """
        )
    )
    engine.close()
    assert result.failed_step == "late"
    assert "still runs" in str(result.error)
    assert ("late", 2) not in runner.made


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_ends_the_step_too(kind: type[BaseException]) -> None:
    course = Course(kind())
    with pytest.raises(kind):
        course.carried.go()
    assert [type(error) for error in course.ended] == [kind]
