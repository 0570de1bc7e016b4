"""What the options of steps and pipelines do: retry, timeout, on_error, effect, important, runner."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, everywhere, lives

from orchestrator import ExecutionStatus, RetryConfig, checkpoint, pipeline, sleep, step
from orchestrator.errors import ExecutionFailedError, InputError, PipelineFileError, StepTimeoutError
from orchestrator.failure import ErrorCategory
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

__all__ = ["lives"]

LIVES: list[Lives] = []


@pytest.fixture(autouse=True)
def known(lives: Lives) -> None:
    LIVES[:] = [lives]


def fails_first(times: int, error: type[Exception] = ConnectionError) -> int:
    RAN.append("try")
    if RAN.count("try") <= times:
        raise error("not yet")
    return RAN.count("try")


# -- retry -----------------------------------------------------------------------------------------------------------


@step(retry=3)
async def thrice() -> int:
    return fails_first(2, ValueError)


@step(retry=RetryConfig(max_attempts=4, initial_delay=60.0, retry_on_categories=frozenset({ErrorCategory.NETWORK})))
def configured() -> int:
    return fails_first(3)


@step(retry={"max_attempts": 2, "initial_delay": "10s", "on": ["network"]})
async def mapped() -> int:
    return fails_first(1)


@pipeline
async def retries(name: str) -> int:
    if name == "configured":
        return await configured.aio()
    return await {"thrice": thrice, "mapped": mapped}[name]()


@pipeline
def retries_plainly(name: str) -> int:
    return configured() if name == "configured" else {"thrice": thrice, "mapped": mapped}[name].wait()


@pytest.mark.parametrize("function", [retries, retries_plainly])
@pytest.mark.parametrize(("name", "tries"), [("thrice", 3), ("configured", 4), ("mapped", 2)])
def test_a_step_is_tried_again_as_its_retry_says(lives: Lives, function: Any, name: str, tries: int) -> None:
    assert lives.result(function, name) == tries
    assert len(lives.history(ev.StepRetrying)) == tries - 1


@pytest.mark.parametrize("name", ["configured", "mapped"])
def test_a_delay_is_waited_for(lives: Lives, name: str) -> None:
    before = lives.clock.time()
    lives.result(retries, name)
    assert lives.clock.time() - before >= 5.0


@pipeline
async def retries_in_place() -> int:
    return configured()


def test_a_step_that_is_waited_for_in_place_is_tried_again(lives: Lives) -> None:
    assert lives.result(retries_in_place) == 4


@step(retry={"max_attempts": 5, "initial_delay": 0, "on": ["network"]})
async def wrong_kind() -> int:
    return fails_first(1, ValueError)


@pipeline
async def does_not_retry() -> str:
    try:
        await wrong_kind()
    except ValueError as exc:
        return str(exc)
    return ""


def test_an_error_of_another_category_is_not_retried(lives: Lives) -> None:
    assert lives.result(does_not_retry) == "not yet"
    assert RAN == ["try"]


@pytest.mark.parametrize("retry", [0, -1, True, "3", 2.5])
def test_a_retry_that_is_none_is_refused(retry: Any) -> None:
    with pytest.raises(InputError, match="retry"):
        step(retry=retry)(fails_first)


def test_a_retry_with_a_wrong_word_is_refused() -> None:
    with pytest.raises(PipelineFileError, match="max_atempts"):
        step(retry={"max_atempts": 3})(fails_first)


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        step(retries=3)(fails_first)  # type: ignore[call-overload]


# -- timeout ---------------------------------------------------------------------------------------------------------


@step(timeout=timedelta(milliseconds=40))
async def hangs() -> None:
    await asyncio.sleep(30)


@step(timeout=0.04)
def hangs_plainly() -> None:
    time.sleep(0.15)


@pipeline
async def times_out(name: str) -> str:
    try:
        if name == "in place":
            hangs_plainly()
        elif name == "aio":
            await hangs_plainly.aio()
        else:
            await hangs()
    except StepTimeoutError:
        return "late"
    return "?"


@pipeline
def times_out_plainly(name: str) -> str:
    try:
        hangs_plainly() if name == "sync" else hangs.wait()
    except TimeoutError:
        return "late"
    return "?"


@pytest.mark.parametrize("name", ["async", "aio", "in place"])
def test_an_attempt_that_takes_too_long_fails(lives: Lives, name: str) -> None:
    assert lives.result(times_out, name) == "late"


@pytest.mark.parametrize("name", ["async", "sync"])
def test_an_attempt_of_a_plain_pipeline_that_takes_too_long_fails(lives: Lives, name: str) -> None:
    assert lives.result(times_out_plainly, name) == "late"


@pytest.mark.parametrize("timeout", ["soon", -1, 0])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises((InputError, PipelineFileError), match="timeout"):
        step(timeout=timeout)(fails_first)


# -- on_error --------------------------------------------------------------------------------------------------------


@step(on_error={"strategy": "skip", "output": {"none": True}})
async def skipped() -> dict[str, bool]:
    raise ValueError("x")


@step(on_error=[{"exception": KeyError, "strategy": "skip", "output": 1}, {"strategy": "skip", "output": 2}])
def by_kind(kind: str) -> int:
    raise KeyError(kind) if kind == "key" else ValueError(kind)


@step
async def mirror(city: str, days: int) -> str:
    RAN.append("mirror")
    return "of no use"


@step
def cache(city: str, days: int) -> str:
    RAN.append("cache")
    return f"{city} for {days} from the cache"


@step(on_error={"strategy": "alternative_path", "steps": [mirror, cache]})
async def weather(city: str, days: int = 3) -> str:
    RAN.append("weather")
    raise ConnectionError("down")


@pipeline
async def recovers() -> list[Any]:
    return [await skipped(), by_kind("key"), await by_kind.aio("value"), await weather("oslo", days=2)]


@pipeline
def recovers_plainly() -> list[Any]:
    return [skipped.wait(), by_kind("key"), by_kind("value"), weather.wait("oslo", days=2)]


@pytest.mark.parametrize("function", [recovers, recovers_plainly])
def test_what_on_error_says_is_done(lives: Lives, function: Any) -> None:
    assert lives.result(function) == [{"none": True}, 1, 2, "oslo for 2 from the cache"]
    assert RAN == ["weather", "mirror", "cache"]


@pytest.mark.parametrize("function", [recovers, recovers_plainly])
def test_what_on_error_says_is_done_wherever_the_engine_dies(function: Any) -> None:
    everywhere(function)


@step(on_error={"strategy": "manual_intervention", "instructions": "What now?"})
async def asks() -> int:
    return fails_first(1)


@pipeline
async def intervenes() -> Any:
    return ["got", await asks()]


@pipeline
def intervenes_plainly() -> Any:
    return ["got", asks.wait()]


@pytest.mark.parametrize("function", [intervenes, intervenes_plainly])
@pytest.mark.parametrize(("word", "wanted"), [("retry", ["got", 2]), ("skip", ["got", 7])])
def test_a_person_says_what_becomes_of_a_step(lives: Lives, function: Any, word: str, wanted: Any) -> None:
    result = lives.run(function)
    assert result.status is ExecutionStatus.PAUSED
    assert result.waiting == {StepKey("asks"): "What now?"}
    lives.app().answer("x", "asks", word, 7 if word == "skip" else None)
    assert lives.resume(function).result == wanted


def test_a_person_may_let_a_step_fail(lives: Lives) -> None:
    lives.run(intervenes)
    lives.app().answer("x", "asks", "abort")
    result = lives.resume(intervenes)
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "asks")


@step(on_error={"strategy": "rollback", "checkpoint": "start"})
async def sets_back() -> int:
    return fails_first(2)


@step
async def counted() -> int:
    RAN.append("counted")
    return RAN.count("counted")


@pipeline
async def rolls_back() -> list[int]:
    await checkpoint("start")
    return [await counted(), await sets_back()]


@pipeline
def rolls_back_plainly() -> list[int]:
    checkpoint("start")
    return [counted.wait(), sets_back.wait()]


@pytest.mark.parametrize("function", [rolls_back, rolls_back_plainly])
def test_a_step_sets_the_execution_back(lives: Lives, function: Any) -> None:
    assert lives.result(function) == [3, 3]
    assert len(lives.history(ev.ExecutionRestored)) == 2


def test_rules_that_are_none_are_refused() -> None:
    with pytest.raises(PipelineFileError, match="strategy"):
        step(on_error={"strategy": "pray"})(fails_first)
    with pytest.raises(InputError, match="steps are functions with @step"):
        step(on_error={"strategy": "alternative_path", "steps": [fails_first]})(fails_first)


# -- effect ----------------------------------------------------------------------------------------------------------


def charge() -> str:
    RAN.append("charge")
    if RAN.count("charge") == 1:
        LIVES[0].die()
    return "charged"


def look() -> dict[str, Any]:
    RAN.append("look")
    return {"happened": True, "output": "found"}


charge_retry = step(effect="retry", name="charge")(charge)
charge_skip = step(effect="skip", name="charge")(charge)
charge_ask = step(effect="ask", name="charge")(charge)
charge_verify = step(effect={"verify": look}, name="charge")(charge)
CHARGES = {"retry": charge_retry, "skip": charge_skip, "ask": charge_ask, "verify": charge_verify}


@pipeline
async def charges(policy: str) -> Any:
    return [await CHARGES[policy].aio(), await counted()]


@pipeline
def charges_plainly(policy: str) -> Any:
    return [CHARGES[policy](), counted.wait()]


@pipeline
async def charges_in_place(policy: str) -> Any:
    return [CHARGES[policy](), await counted()]


BOTH = pytest.mark.parametrize("function", [charges, charges_plainly, charges_in_place])


@BOTH
def test_an_effect_in_doubt_is_tried_again(lives: Lives, function: Any) -> None:
    lives.dying(function, "retry")
    assert lives.resume(function).result == ["charged", 1]
    assert RAN.count("charge") == 2
    assert [event.policy for event in lives.history(ev.StepInDoubt)] == ["retry"]


@BOTH
def test_an_effect_in_doubt_is_left_out(lives: Lives, function: Any) -> None:
    lives.dying(function, "skip")
    assert lives.resume(function).result == [None, 1]
    assert RAN.count("charge") == 1


@BOTH
def test_an_effect_in_doubt_is_looked_for(lives: Lives, function: Any) -> None:
    lives.dying(function, "verify")
    assert lives.resume(function).result == ["found", 1]
    assert (RAN.count("look"), RAN.count("charge")) == (1, 1)


@pytest.mark.parametrize("function", [charges, charges_plainly])
def test_a_person_is_asked_about_an_effect_in_doubt(lives: Lives, function: Any) -> None:
    lives.dying(function, "ask")
    result = lives.resume(function)
    assert list(result.waiting) == ["charge"]
    lives.app().answer("x", "charge", "skip", "by hand")
    assert lives.resume(function).result == ["by hand", 1]
    assert RAN.count("charge") == 1


def test_a_question_cannot_be_waited_for_in_place_and_says_so(lives: Lives) -> None:
    lives.dying(charges_in_place, "ask")
    with pytest.raises(ExecutionFailedError, match=r"await charge\.aio"):
        lives.resume(charges_in_place).raise_for_status()


def test_effects_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="there is no policy 'skipp'"):
        step(effect="skipp")(charge)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="verify needs the function"):
        step(effect="verify")(charge)  # type: ignore[call-overload]


# -- important, runner -----------------------------------------------------------------------------------------------


@step(important=True)
async def matters() -> int:
    return 1


@step(important=True)
def matters_plainly() -> int:
    return 1


@pipeline
async def important() -> int:
    return await matters() + matters_plainly() + await counted()


def test_an_important_step_leaves_a_checkpoint(lives: Lives) -> None:
    assert lives.result(important) == 3
    assert [found.step for found in lives.app(important).checkpoints("x")] == [None, "matters", "matters_plainly"]


@step(runner="process")
def in_process(number: int, *, more: int = 1) -> int:
    return os.getpid() if number == 0 else number + more


@step(runner="process", timeout=20)
async def in_process_async(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number * 2


@pipeline
async def processes() -> list[Any]:
    found: list[Any] = [await in_process.aio(0) != os.getpid(), await in_process.aio(1, more=2)]
    try:
        await in_process_async(3)
    except ValueError as exc:
        found.append(str(exc))
    return [*found, *await in_process_async.map([1, 2])]


@pipeline
def processes_plainly() -> list[Any]:
    return [in_process(0) != os.getpid(), in_process(1, more=2), in_process_async.wait(2)]


def test_a_step_runs_in_a_process_of_its_own(lives: Lives) -> None:
    assert lives.result(processes) == [True, 3, "three", 2, 4]


def test_a_step_of_a_plain_pipeline_runs_in_a_process_of_its_own(lives: Lives) -> None:
    assert lives.result(processes_plainly) == [True, 3, 4]


@pipeline
async def process_in_place() -> Any:
    return in_process(1)


def test_a_process_cannot_be_waited_for_in_place_and_says_so(lives: Lives) -> None:
    with pytest.raises(ExecutionFailedError, match=r"\.aio"):
        lives.result(process_in_place)


def test_a_runner_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="runner is 'process'"):
        step(runner="thread")(charge)


# -- of pipelines ----------------------------------------------------------------------------------------------------


@pipeline(retry=3, name="hard-worker")
async def child() -> int:
    await counted()
    return fails_first(2, ValueError)


@pipeline(timeout=0.05)
async def late_child() -> None:
    try:
        await sleep(1000)
    finally:
        RAN.append("tidied")
        await counted()


@pipeline
async def parents() -> list[Any]:
    found: list[Any] = [await child()]
    try:
        await late_child()
    except StepTimeoutError:
        found.append("late")
    return [*found, await counted()]


def test_a_pipeline_inside_of_another_has_its_retry_and_its_timeout() -> None:
    lives = Lives()
    assert lives.app().run(parents, execution_id="x", wait=True).result == [3, "late", 5]
    assert "tidied" in RAN
    assert "late_child/counted" in lives.ended()
    assert [key for key in lives.ended() if key.endswith("counted")][:2] == ["hard-worker/counted"] * 2
