"""Code that has changed under an execution: what is told, that nothing is harmed, and that the old code goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, lives, still

from orchestrator import ExecutionStatus, pipeline, step, wait_for_signal
from orchestrator.errors import InputError, NonDeterminismError, NotResumableError
from orchestrator.journal import events as ev

__all__ = ["lives", "still"]

#: Which version of its code each function below runs.
CODE = ["old"]


@pytest.fixture(autouse=True)
def old_code() -> None:
    CODE[:] = ["old"]


@step
async def a(value: int = 1) -> int:
    RAN.append("a")
    return value


@step
async def b(value: int = 2) -> int:
    RAN.append("b")
    return value


@step
async def renamed(value: int = 1) -> int:
    RAN.append("renamed")
    return value


@step
def quick() -> int:
    RAN.append("quick")
    return 4


@pipeline
async def job() -> Any:
    if CODE == ["renamed"]:
        found = [await renamed(), await b()]
    elif CODE == ["removed"]:
        found = [await b()]
    elif CODE == ["inserted"]:
        found = [await a(), await renamed(), await b()]
    elif CODE == ["in place"]:
        found = [quick(), await a(), await b()]
    elif CODE == ["order"]:
        found = [await b(), await a()]
    elif CODE == ["ends"]:
        return "early"
    elif CODE == ["raises"]:
        raise ValueError("early")
    elif CODE == ["gathered"]:
        found = [*await asyncio.gather(a(), b())]
    else:
        found = [await a(), await b()]
    return [*found, await wait_for_signal("go")]


@pipeline
def plain_job() -> Any:
    if CODE == ["renamed"]:
        found = [renamed.wait(), b.wait()]
    elif CODE == ["removed"]:
        found = [b.wait()]
    elif CODE == ["inserted"]:
        found = [a.wait(), renamed.wait(), b.wait()]
    elif CODE == ["in place"]:
        found = [quick(), a.wait(), b.wait()]
    elif CODE == ["order"]:
        found = [b.wait(), a.wait()]
    elif CODE == ["ends"]:
        return "early"
    elif CODE == ["raises"]:
        raise ValueError("early")
    else:
        found = [a.wait(), b.wait()]
    return [*found, wait_for_signal("go")]


JOBS = pytest.mark.parametrize("function", [job, plain_job])
CHANGES = {
    "renamed": ("'a'", "'renamed'"),
    "removed": ("'a'", "'b'"),
    "inserted": ("'b'", "'renamed'"),
    "in place": ("'a'", "'quick'"),
    "ends": ("'a'", "its end"),
}


@JOBS
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_and_harms_nothing(lives: Lives, function: Any, change: str) -> None:
    lives.run(function)
    lives.app().signal("x", "go", 3)
    recorded, wanted = CHANGES[change]
    CODE[:] = [change]
    check = lives.app(function).check_replay("x")
    assert not check.ok
    with pytest.raises(NonDeterminismError) as caught:
        lives.resume(function)
    for text in (str(caught.value), check.message):
        assert recorded in text
        assert wanted in text
        if change != "ends":
            assert "test_determinism.py:" in text
    assert caught.value.recorded
    assert RAN == ["a", "b"]
    assert lives.app().show("x").status is ExecutionStatus.PAUSED
    CODE[:] = ["old"]
    assert lives.resume(function).result == [1, 2, 3]
    assert RAN == ["a", "b"]


@JOBS
def test_another_order_of_calls_that_follow_each_other_is_told(lives: Lives, function: Any) -> None:
    lives.run(function)
    CODE[:] = ["order"]
    assert not lives.app(function).check_replay("x").ok
    with pytest.raises(NonDeterminismError):
        lives.resume(function)
    CODE[:] = ["old"]
    assert lives.app(function).check_replay("x").ok


def test_a_change_that_asks_for_the_same_may_be_gone_on_with(lives: Lives) -> None:
    lives.run(job)
    CODE[:] = ["gathered"]
    assert lives.app(job).check_replay("x").ok
    lives.app().signal("x", "go", 3)
    assert lives.resume(job).result == [1, 2, 3]


@JOBS
def test_a_function_that_raises_where_it_went_on_is_no_failure_of_the_execution(lives: Lives, function: Any) -> None:
    lives.run(function)
    CODE[:] = ["raises"]
    assert not lives.app(function).check_replay("x").ok
    with pytest.raises(NonDeterminismError):
        lives.resume(function)
    assert lives.app().show("x").status is ExecutionStatus.PAUSED


@JOBS
def test_the_line_is_that_of_the_call(lives: Lives, function: Any) -> None:
    lives.run(function)
    CODE[:] = ["renamed"]
    with pytest.raises(NonDeterminismError) as caught:
        lives.resume(function)
    [(key, where)] = caught.value.asked
    file, _, line = where.rpartition(":")
    source = Path(file).read_text().splitlines()[int(line) - 1]
    assert key == "renamed"
    assert "renamed" in source
    assert ("await" in source) == (function is job)


# -- check_replay ----------------------------------------------------------------------------------------------------


@JOBS
def test_a_check_runs_nothing_and_writes_nothing(lives: Lives, function: Any) -> None:
    lives.run(function)
    before = len(lives.history())
    check = lives.app(function).check_replay("x")
    assert (check.ok, check.execution_id, check.pipeline_id) == (True, "x", function.name)
    lives.app().signal("x", "go", 3)
    lives.resume(function)
    assert lives.app(function).check_replay("x").ok
    assert RAN == ["a", "b"]
    assert before < len(lives.history())


@JOBS
def test_a_check_of_what_completed_compares_the_results(lives: Lives, function: Any) -> None:
    lives.run(function)
    lives.app().signal("x", "go", 3)
    lives.resume(function)
    for change in ("ends", "raises", "renamed"):
        CODE[:] = [change]
        assert not lives.app(function).check_replay("x").ok, change


@pipeline
async def fails() -> int:
    await a()
    if CODE == ["mended"]:
        return await b()
    raise ValueError("as it was")


def test_a_check_of_what_failed_says_how_it_ends_now(lives: Lives) -> None:
    lives.run(fails)
    check = lives.app(fails).check_replay("x")
    assert (check.ok, "as it was" in check.message) == (True, True)
    CODE[:] = ["mended"]
    check = lives.app(fails).check_replay("x")
    assert (check.ok, check.goes_on_with) == (True, ("b",))


def test_a_check_of_a_pipeline_that_is_no_function_is_refused(lives: Lives) -> None:
    from orchestrator import Pipeline

    app = lives.app()
    app.run(Pipeline.loads("pipeline: p\nsteps: [{id: a, set: {b: 1}}]"), execution_id="x")
    with pytest.raises(InputError):
        app.check_replay("x")


# -- arguments -------------------------------------------------------------------------------------------------------


def versions() -> tuple[Any, Any, Any]:
    """One function in three versions of one name."""

    @pipeline(name="changing")
    async def first(city: str, nights: int = 1) -> Any:
        return [city, nights, await wait_for_signal("go")]

    @pipeline(name="changing")
    async def more(city: str, nights: int = 1, room: str = "any") -> Any:
        return [city, nights, room, await wait_for_signal("go")]

    @pipeline(name="changing")
    async def other(town: str) -> Any:
        return [town, await wait_for_signal("go")]

    for one in (more, other):
        one.target, one.folder = first.target, first.folder
    return first, more, other


def test_a_new_parameter_with_a_default_is_no_change(lives: Lives) -> None:
    first, more, _ = versions()
    lives.run(first, "oslo")
    lives.app().signal("x", "go", 1)
    assert lives.resume(more).result == ["oslo", 1, "any", 1]


def test_a_parameter_of_another_name_is_told_and_harms_nothing(lives: Lives) -> None:
    first, _, other = versions()
    lives.run(first, "oslo")
    lives.app().signal("x", "go", 1)
    with pytest.raises(InputError, match=r"was begun with \(city, nights\), and takes \(town"):
        lives.resume(other)
    assert lives.app().show("x").status in (ExecutionStatus.PAUSED, ExecutionStatus.RUNNING)
    assert lives.resume(first).result == ["oslo", 1, 1]


def test_an_id_that_is_taken_by_other_arguments_is_refused(lives: Lives) -> None:
    first, more, _ = versions()
    lives.run(first, "oslo")
    with pytest.raises(InputError, match="other inputs"):
        lives.run(first, "rome")
    with pytest.raises(InputError, match="another pipeline"):
        lives.run(more, "oslo")


def test_what_has_completed_gives_its_result_again_and_what_failed_says_so(lives: Lives) -> None:
    lives.run(fails)
    with pytest.raises(NotResumableError, match="retry"):
        lives.resume(fails)
    assert lives.run(fails).status is ExecutionStatus.FAILED
    assert RAN == ["a"]


# -- what is not deterministic ---------------------------------------------------------------------------------------


@pipeline
async def by_chance() -> Any:
    if len(RAN) % 2:
        RAN.append("odd")
        await a()
    else:
        RAN.append("even")
        await b()
    await wait_for_signal("go")


def test_a_function_that_asks_the_world_is_found_out(lives: Lives) -> None:
    lives.run(by_chance)
    with pytest.raises(NonDeterminismError, match="by_chance"):
        RAN.append("x") if len(RAN) % 2 == 0 else None
        lives.resume(by_chance)
    assert len(lives.history(ev.ExecutionFailed)) == 0
