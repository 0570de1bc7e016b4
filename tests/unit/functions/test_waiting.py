"""Waiting: for a time, a signal, a person; and that nothing of it needs a process."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, everywhere, lives, still

from orchestrator import ExecutionStatus, approve, arun, now, pipeline, run, sleep, step, wait_for_signal
from orchestrator.errors import DeadlineError, ExecutionFailedError, ExecutionWaitsError, InputError, WrongPlaceError
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

__all__ = ["lives", "still"]

DAY = 86_400.0


@step
async def work(name: str) -> str:
    RAN.append(name)
    return name


@pipeline
async def sleeps(until: Any) -> list[Any]:
    before = now()
    await work("a")
    over = await sleep(until)
    return [await work("b"), (now() - before).total_seconds(), over is not None]


@pipeline
def sleeps_plainly(until: Any) -> list[Any]:
    before = now()
    work.wait("a")
    over = sleep(until)
    return [work.wait("b"), (now() - before).total_seconds(), over is not None]


BOTH = pytest.mark.parametrize("function", [sleeps, sleeps_plainly])


@BOTH
@pytest.mark.parametrize("until", [30, "30s", timedelta(seconds=30)])
def test_a_short_sleep_is_waited_for(lives: Lives, function: Any, until: Any) -> None:
    assert lives.result(function, until) == ["b", 30.0, True]


@BOTH
def test_a_long_sleep_needs_no_process_and_no_step_runs_again(still: Lives, function: Any) -> None:
    result = still.run(function, "2d")
    assert (result.status, result.waits) == (ExecutionStatus.PAUSED, True)
    assert result.until == still.clock.time() + 2 * DAY
    assert still.store.next_due() == result.until
    still.clock.advance(DAY)
    assert still.resume(function).status is ExecutionStatus.PAUSED
    still.clock.advance(DAY)
    assert still.resume(function).result == ["b", 2 * DAY, True]
    assert RAN == ["a", "b"]


@BOTH
def test_sleep_until_a_moment(still: Lives, function: Any) -> None:
    moment = datetime.fromtimestamp(still.clock.time() + 3 * DAY, UTC)
    result = still.run(function, moment)
    assert result.until == still.clock.time() + 3 * DAY
    still.clock.advance(3 * DAY)
    assert still.resume(function).result[1] == 3 * DAY


def test_sleep_until_a_date_and_a_text(still: Lives) -> None:
    assert still.run(sleeps, date(2040, 1, 1)).until == datetime(2040, 1, 1, tzinfo=UTC).timestamp()
    other = Lives(jumping=False)
    assert other.run(sleeps, "2040-01-01T00:00:00Z").until == datetime(2040, 1, 1, tzinfo=UTC).timestamp()


def test_sleep_until_what_has_passed_does_not_wait(still: Lives) -> None:
    assert still.run(sleeps, datetime(2001, 1, 1, tzinfo=UTC)).result[0] == "b"
    assert Lives(jumping=False).run(sleeps, 0).result[0] == "b"


@pytest.mark.parametrize("until", [-1, "soon", float("nan"), float("inf"), None, [1]])
def test_a_time_that_is_none_is_refused(lives: Lives, until: Any) -> None:
    with pytest.raises(ExecutionFailedError, match="sleep: "):
        lives.result(sleeps, until)


def test_sleeps_come_to_the_same_wherever_the_engine_dies() -> None:
    assert everywhere(sleeps, "2d")[0] == "b"
    assert everywhere(sleeps_plainly, "2d")[0] == "b"


# -- signals ---------------------------------------------------------------------------------------------------------


@pipeline
async def signalled(timeout: Any = None, **default: Any) -> Any:
    await work("a")
    try:
        return await wait_for_signal("go", timeout=timeout, **default)
    except DeadlineError as exc:
        return type(exc).__name__


@pipeline
def signalled_plainly(timeout: Any = None, **default: Any) -> Any:
    work.wait("a")
    try:
        return wait_for_signal("go", timeout=timeout, **default)
    except DeadlineError as exc:
        return type(exc).__name__


SIGNALLED = pytest.mark.parametrize("function", [signalled, signalled_plainly])


@SIGNALLED
def test_a_signal_brings_its_payload(lives: Lives, function: Any) -> None:
    result = lives.run(function)
    assert (result.status, result.waits, result.until) == (ExecutionStatus.PAUSED, True, None)
    lives.app().signal("x", "go", {"n": (1, 2)})
    assert lives.resume(function).result == {"n": (1, 2)}
    assert RAN == ["a"]
    assert lives.ended()[-1] == "signal:go"


@SIGNALLED
def test_after_the_timeout_there_is_the_default_or_an_error(still: Lives, function: Any) -> None:
    for default, wanted in (({"default": None}, None), ({"default": 5}, 5), ({}, "DeadlineError")):
        lives = Lives(jumping=False)
        assert lives.run(function, "1d", **default).until == lives.clock.time() + DAY
        lives.clock.advance(DAY)
        assert lives.resume(function).result == wanted


def test_a_signal_that_came_before_is_taken_at_once(lives: Lives) -> None:
    app = lives.app()
    app.start(signalled, execution_id="x")
    app.signal("x", "go", 1)
    app.signal("x", "go", 2)
    assert app.resume("x").result == 1


@pipeline
async def two_signals() -> list[Any]:
    first = await asyncio.gather(wait_for_signal("go"), wait_for_signal("stop"), wait_for_signal("go"))
    return [*first, await wait_for_signal("a/b c")]


def test_signals_are_taken_in_the_order_of_the_calls(lives: Lives) -> None:
    lives.run(two_signals)
    for name, payload in (("go", 1), ("stop", 2), ("go", 3), ("a/b c", 4)):
        lives.app().signal("x", name, payload)
    assert lives.resume(two_signals).result == [1, 2, 3, 4]


def test_a_signal_without_a_name_is_refused(lives: Lives) -> None:
    @pipeline
    async def nameless() -> Any:
        await wait_for_signal("")

    with pytest.raises(ExecutionFailedError, match="the name of a signal"):
        lives.result(nameless)


# -- approvals -------------------------------------------------------------------------------------------------------

FORM = {"amount": {"type": "integer"}}


@pipeline
async def asks(**options: Any) -> Any:
    await work("a")
    try:
        answer = await approve("Pay ${price} to {x}?", **options)
    except DeadlineError:
        return "nobody answered"
    return [answer["choice"], answer["form"], answer["by"], answer["at"]]


@pipeline
def asks_plainly(**options: Any) -> Any:
    work.wait("a")
    try:
        answer = approve("Pay ${price} to {x}?", **options)
    except DeadlineError:
        return "nobody answered"
    return [answer["choice"], answer["form"], answer["by"], answer["at"]]


ASKS = pytest.mark.parametrize("function", [asks, asks_plainly])


@ASKS
def test_a_person_is_asked_in_the_very_words(lives: Lives, function: Any) -> None:
    result = lives.run(function)
    assert result.waiting == {StepKey("approve"): "Pay ${price} to {x}?"}
    assert list(result.choices[StepKey("approve")]) == ["approve", "reject"]
    lives.app().answer("x", "approve", "reject", by="me")
    answered = lives.resume(function).result
    assert answered[0] == "reject"
    assert answered[2] == "me"
    assert RAN == ["a"]


@ASKS
def test_a_question_has_a_name_choices_a_form_and_those_who_may_answer(lives: Lives, function: Any) -> None:
    lives.run(function, name="pay", choices=["yes", "no"], who=["boss"], form=FORM)
    app = lives.app()
    with pytest.raises(InputError, match="yes"):
        app.answer("x", "pay", "maybe", by="boss")
    with pytest.raises(InputError, match="boss"):
        app.answer("x", "pay", "yes", {"amount": 3}, by="clerk")
    with pytest.raises(InputError, match="amount"):
        app.answer("x", "pay", "yes", {"amount": "much"}, by="boss")
    app.answer("x", "pay", "yes", {"amount": 3}, by="boss")
    assert lives.resume(function).result[:3] == ["yes", {"amount": 3}, "boss"]


@ASKS
def test_a_question_that_nobody_answers_has_a_default_or_an_error(function: Any) -> None:
    for options, wanted in (({"default": "reject"}, "reject"), ({}, "nobody answered")):
        lives = Lives(jumping=False)
        lives.run(function, timeout="1h", **options)
        lives.clock.advance(3600)
        found = lives.resume(function).result
        assert wanted in (found, found[0])


@pytest.mark.parametrize(
    "options", [{"choices": []}, {"default": "perhaps", "timeout": 1}, {"form": {"a": {"typ": 1}}}]
)
def test_a_question_that_is_none_is_refused(lives: Lives, options: Any) -> None:
    result = lives.run(asks, **options)
    assert result.status is ExecutionStatus.FAILED


@pipeline
async def asks_twice() -> list[Any]:
    found = await asyncio.gather(approve("one?", name="one"), approve("two?", name="two"))
    return [one["choice"] for one in found]


def test_two_questions_wait_side_by_side(lives: Lives) -> None:
    assert list(lives.run(asks_twice).waiting) == ["one", "two"]
    lives.app().answer("x", "two", "approve")
    assert list(lives.resume(asks_twice).waiting) == ["one"]
    lives.app().answer("x", "one", "reject")
    assert lives.resume(asks_twice).result == ["reject", "approve"]


# -- what is not waited for ------------------------------------------------------------------------------------------


def test_run_says_what_is_waited_for(lives: Lives) -> None:
    with pytest.raises(ExecutionWaitsError, match=r"orchestrator answer x approve approve\|reject") as caught:
        run(asks.options(store=lives.store, execution_id="x"))
    assert caught.value.waiting == {"approve": "Pay ${price} to {x}?"}
    with pytest.raises(ExecutionWaitsError, match="signal"):
        run(signalled.options(store=lives.store, execution_id="y"))
    with pytest.raises(ExecutionWaitsError, match="orchestrator scheduler"):
        asyncio.run(arun(sleeps.options(store=lives.store, execution_id="z"), "2d"))


def test_with_wait_it_stays_until_the_end(lives: Lives) -> None:
    given = sleeps.bind("300d")
    assert lives.app().run(sleeps, given, execution_id="x", wait=True).result[1] == 300 * DAY


async def test_with_wait_a_signal_is_taken_at_once(lives: Lives) -> None:
    app = lives.app()
    running = asyncio.create_task(app.arun(signalled, execution_id="x", wait=True))
    while not app.list() or len(app.history("x")) < 6:
        await asyncio.sleep(0.005)
    app.signal("x", "go", "now")
    result = await asyncio.wait_for(running, 5)
    assert result.result == "now"


@pipeline
async def waits_beside_work() -> list[Any]:
    async def slow() -> str:
        await sleep("3d")
        return await work.with_key("after")("after")

    return [*await asyncio.gather(slow(), work("b"), wait_for_signal("go", timeout="5d", default="none"))]


def test_it_is_unloaded_only_when_everything_waits(still: Lives) -> None:
    result = still.run(waits_beside_work)
    assert result.until == still.clock.time() + 3 * DAY
    assert RAN == ["b"]
    still.clock.advance(3 * DAY)
    assert still.resume(waits_beside_work).until == still.clock.time() + 2 * DAY
    assert RAN == ["b", "after"]
    still.clock.advance(2 * DAY)
    assert still.resume(waits_beside_work).result == ["after", "b", "none"]
    assert RAN == ["b", "after"]


def test_waits_beside_work_come_to_the_same_wherever_the_engine_dies() -> None:
    assert everywhere(waits_beside_work) == ["after", "b", "none"]


async def a_while() -> None:
    await asyncio.sleep(0.3)


@pipeline
async def own_waits() -> str:
    """Waits for what is no step."""
    await work("a")
    await a_while()
    return await work("b")


def test_a_function_that_does_something_else_is_not_unloaded(lives: Lives) -> None:
    assert lives.result(own_waits) == "b"


@pipeline
async def own_waits_beside() -> list[Any]:
    async def own() -> str:
        await a_while()
        return await work("own")

    return [*await asyncio.gather(own(), sleep("1d"))]


def test_a_wait_of_its_own_beside_a_durable_one_begins_anew_and_ends(still: Lives) -> None:
    result = still.run(own_waits_beside)
    assert result.status is ExecutionStatus.PAUSED
    still.clock.advance(DAY)
    assert still.resume(own_waits_beside).result[0] == "own"
    assert RAN == ["own"]


def test_waiting_belongs_into_a_pipeline() -> None:
    for wait in (lambda: sleep(1), lambda: wait_for_signal("a"), lambda: approve("ok?"), now):
        with pytest.raises(WrongPlaceError, match="@pipeline"):
            wait()


def test_a_wait_is_recorded_as_one(lives: Lives) -> None:
    lives.run(signalled)
    assert lives.ended(ev.StepWaiting) == ["signal:go"]
