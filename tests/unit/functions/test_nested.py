"""Functions in functions, pipelines in functions, functions in pipelines, and executions that a function starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, at_the_end, everywhere, lives, still

from orchestrator import (
    ExecutionStatus,
    Orchestrator,
    Pipeline,
    flow,
    pipeline,
    run_pipeline,
    sleep,
    start_child,
    step,
    wait_for_signal,
)
from orchestrator.errors import InnerStepError, InputError
from orchestrator.journal import events as ev
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

__all__ = ["lives", "still"]


@step
async def work(name: str) -> str:
    RAN.append(name)
    if name == "bad":
        raise ValueError("bad work")
    return name


@step
def add(left: int, right: int = 1) -> int:
    RAN.append(left)
    return left + right


@pipeline
async def leaf(name: str) -> str:
    return await work(name) + await work("-")


@pipeline
def plain_leaf(name: str) -> str:
    return work.wait(name) + str(add(1))


@pipeline
async def twig(name: str) -> str:
    return await leaf(name) + await plain_leaf.aio(name)


# -- children --------------------------------------------------------------------------------------------------------


@pipeline
async def tree() -> list[Any]:
    found = [*await asyncio.gather(*(leaf.with_key(name)(name) for name in "abc")), await twig("t")]
    try:
        await leaf("bad")
    except ValueError as exc:
        found.append(str(exc))
    return found


@pipeline
def plain_tree() -> list[Any]:
    found = [leaf.wait("a"), twig.wait("t"), plain_leaf("p")]
    try:
        leaf.wait("bad")
    except ValueError as exc:
        found.append(str(exc))
    return found


def test_children_are_awaited_gathered_and_caught() -> None:
    assert at_the_end(tree) == ["a-", "b-", "c-", "t-t2", "bad work"]
    assert at_the_end(plain_tree) == ["a-", "t-t2", "p2", "bad work"]


def test_children_come_to_the_same_wherever_the_engine_dies() -> None:
    everywhere(plain_tree)


def test_the_steps_of_children_have_keys_below_theirs(lives: Lives) -> None:
    lives.result(tree)
    assert {"leaf:a/work", "leaf:b/work#2", "twig/leaf/work", "twig/plain_leaf/add", "leaf"} - set(lives.ended()) == {
        "leaf"
    }
    assert lives.status("leaf") == "failed"
    assert lives.status("leaf/work") == "failed"


@pipeline(retry={"max_attempts": 3, "initial_delay": "1d", "on": ["network"]})
async def flaky_child() -> int:
    await work("c")
    RAN.append("try")
    if RAN.count("try") < 3:
        raise ConnectionError("again")
    return RAN.count("try")


@pipeline
async def has_flaky() -> int:
    return await flaky_child()


def test_a_child_that_fails_is_run_again_from_its_first_line(lives: Lives) -> None:
    assert lives.app().run(has_flaky, {}, execution_id="x", wait=True).result == 3
    assert RAN == ["c", "try"] * 3
    assert lives.ended() == ["flaky_child/work"] * 3 + ["flaky_child"]


@pipeline(timeout="1h")
async def late_child() -> str:
    await work("a")
    try:
        return str(await wait_for_signal("never"))
    finally:
        await work("tidied")


@pipeline
async def has_late() -> str:
    try:
        return await late_child()
    except TimeoutError as exc:
        return f"{type(exc).__name__} {await work('b')}"


def test_the_time_of_a_child_runs_while_nobody_runs_it(still: Lives) -> None:
    assert still.run(has_late).until == still.clock.time() + 3600
    still.clock.advance(3600)
    assert still.resume(has_late).result == "StepTimeoutError b"
    assert still.status("late_child") == "failed"
    assert RAN == ["a", "tidied", "b"]


@pipeline
async def deep(levels: int) -> int:
    return 0 if not levels else 1 + await deep(levels - 1)


def test_a_function_may_call_itself() -> None:
    assert at_the_end(deep, 12) == 12


# -- run_pipeline ----------------------------------------------------------------------------------------------------

YAML = f"""
pipeline: sub
inputs: {{n: {{type: integer}}}}
steps:
  - {{id: first, call: "{__name__}:plus", with: {{left: "${{n}}"}}}}
  - {{id: each, for_each: [1, 2], call: "{__name__}:plus", with: {{left: "${{item}}", right: "${{first}}"}}}}
  - {{id: inner, pipeline: member, with: {{m: "${{first}}"}}}}
outputs: {{total: "${{each[0] + each[1] + inner.out}}"}}
pipelines:
  member:
    inputs: {{m: {{type: integer}}}}
    steps: [{{id: last, call: "{__name__}:plus", with: {{left: "${{m}}", right: 100}}}}]
    outputs: {{out: "${{last}}"}}
"""


def plus(left: int, right: int = 1) -> int:
    RAN.append(("plus", left))
    if left < 0:
        raise ValueError("below zero")
    return left + right


def sub() -> Pipeline:
    return Pipeline.loads(YAML)


@pipeline
async def runs_pipelines() -> list[Any]:
    one = await run_pipeline(sub(), {"n": 1})
    two = await asyncio.gather(run_pipeline(sub(), {"n": 2}), run_pipeline(sub(), {"n": 3}, name="third"))
    return [one, *two]


@pipeline
def runs_pipelines_plainly() -> list[Any]:
    return [run_pipeline(sub(), {"n": 1}), run_pipeline(sub(), {"n": 2}, name="second")]


def test_a_function_runs_pipelines_with_loops_and_pipelines_in_them(lives: Lives) -> None:
    assert lives.result(runs_pipelines) == [{"total": 109}, {"total": 112}, {"total": 115}]
    assert {"sub/first", "sub#2/each[1]", "third/inner/last", "sub"} <= set(lives.ended())


def test_pipelines_in_functions_come_to_the_same_wherever_the_engine_dies() -> None:
    everywhere(runs_pipelines_plainly)
    at_the_end(runs_pipelines)


@pipeline
async def catches_pipeline() -> str:
    try:
        await run_pipeline(sub(), {"n": -1})
    except InnerStepError as exc:
        return f"{exc.error['type']}, {await work('b')}"
    return ""


def test_what_fails_in_a_pipeline_fails_the_call() -> None:
    assert everywhere(catches_pipeline) == "ValueError, b"


def test_inputs_that_do_not_fit_a_pipeline_fail_the_call(lives: Lives) -> None:
    @pipeline
    async def misfit() -> str:
        try:
            await run_pipeline(sub(), {"m": 1})
        except Exception as exc:  # noqa: BLE001 - whatever it is
            return f"{type(exc).__name__}: {exc}"
        return ""

    told = lives.result(misfit)
    assert "n" in told


def test_what_is_no_pipeline_is_refused(lives: Lives) -> None:
    @pipeline
    async def wrong() -> None:
        await run_pipeline(leaf, {})  # type: ignore[arg-type]

    result = lives.run(wrong)
    assert result.error is not None
    assert "run_pipeline takes a Pipeline" in result.error["message"]


# -- functions as steps of a pipeline --------------------------------------------------------------------------------


@pipeline
async def unit(n: int) -> int:
    value = await add.aio(n)
    await sleep(1)
    return await add.aio(value)


@pipeline
def plain_unit(n: int) -> int:
    return add(add(n))


@pipeline
async def unlucky(n: int) -> int:
    await add.aio(n)
    RAN.append("try")
    if RAN.count("try") < 3:
        raise ConnectionError("again")
    return n


@pipeline
async def waits_long(n: int) -> int:
    try:
        await add.aio(n)
        await wait_for_signal("never")
    finally:  # also where it is unloaded, as far as the next step
        RAN.append("tidied")
        await add.aio(100)
    return n


def outer(steps: str, outputs: str = "") -> Pipeline:
    text = steps.replace("do: ", f"call: {__name__}:")
    return Pipeline.loads(f"pipeline: outer\nsteps:\n{text}\n{outputs}")


def run_outer(lives: Lives, definition: Pipeline, *, wait: bool = False) -> Any:
    return lives.app().run(definition, execution_id="x", wait=wait)


def test_a_function_is_a_step_of_a_pipeline(lives: Lives) -> None:
    definition = outer(
        """  - {id: one, do: unit, with: {n: 1}}
  - {id: each, for_each: [10, 20], do: unit, with: {n: "${item + one}"}}
  - {id: plain, do: plain_unit, with: {n: "${each[0]}"}}""",
        'outputs: {all: "${each}", plain: "${plain}"}',
    )
    assert run_outer(lives, definition).outputs == {"all": [15, 25], "plain": 17}
    assert {"one/add", "one/sleep", "one/add#2", "each[1]/add", "plain/add#2"} <= set(lives.ended())


def test_a_function_that_is_a_step_has_its_retry(lives: Lives) -> None:
    definition = outer(
        '  - {id: one, do: unlucky, with: {n: 5}, retry: {max_attempts: 3, initial_delay: 10s, "on": [network]}}',
        'outputs: {one: "${one}"}',
    )
    assert run_outer(lives, definition, wait=True).outputs == {"one": 5}
    assert RAN == [5, "try"] * 3


def test_a_function_that_is_a_step_has_its_timeout(still: Lives) -> None:
    definition = outer(
        """  - {id: one, do: waits_long, with: {n: 5}, timeout: 1h, on_error: [{strategy: skip, output: 7}]}
  - {id: two, do: plain_unit, with: {n: "${one}"}}""",
        'outputs: {two: "${two}"}',
    )
    assert run_outer(still, definition).status is ExecutionStatus.PAUSED
    still.clock.advance(3600)
    assert still.app().resume("x").outputs == {"two": 9}
    assert RAN == [5, "tidied", "tidied", 100, 7, 8]


def test_a_function_that_is_a_step_has_its_on_error(lives: Lives) -> None:
    definition = outer(
        """  - {id: one, do: unlucky, with: {n: 5}, on_error: [{strategy: alternative_path, steps: [other]}]}
  - {id: other, do: plus, with: {left: 30}}""",
        'outputs: {one: "${one}"}',
    )
    assert run_outer(lives, definition).outputs == {"one": 31}


def test_a_function_in_a_branch_that_lost_tidies_up(lives: Lives) -> None:
    definition = outer(
        """  - id: race
    join: 1
    parallel:
      - {id: quick, do: plus, with: {left: 1}}
      - {id: slow, do: waits_long, with: {n: 5}}""",
    )
    result = run_outer(lives, definition)
    assert result.status is ExecutionStatus.COMPLETED, result.error
    assert lives.status("race.slow") == "cancelled"


def test_functions_in_a_loop_wait_and_go_on(lives: Lives) -> None:
    definition = outer(
        '  - {id: each, for_each: [1, 2, 3], max_parallel: 2, do: waits_for_it, with: {n: "${item}"}}',
        'outputs: {all: "${each}"}',
    )
    assert run_outer(lives, definition).status is ExecutionStatus.PAUSED
    for n in (1, 2):
        lives.app().signal("x", "it", n)
        assert lives.app().resume("x").status is ExecutionStatus.PAUSED
    lives.app().signal("x", "it", 3)
    assert lives.app().resume("x").outputs == {"all": [11, 22, 33]}
    assert [name for name in RAN if name in (1, 2, 3)] == [1, 2, 3]


@pipeline
async def waits_for_it(n: int) -> int:
    await add.aio(n)
    return int(await wait_for_signal("it")) + n * 10


@pytest.mark.parametrize("kind", ["unit", "plain_unit"])
def test_a_function_as_a_step_comes_to_the_same_wherever_the_engine_dies(kind: str) -> None:
    definition = outer(
        f'  - {{id: each, for_each: [1, 2], do: {kind}, with: {{n: "${{item}}"}}}}', 'outputs: {all: "${each}"}'
    )
    for at in range(2, 20):
        lives = Lives()
        store = CrashingStore(lives.store, at, "before")
        try:
            Orchestrator(store, clock=lives.clock).run(definition, execution_id="x")
        except SimulatedCrash:
            store.bury()
            assert lives.app().resume("x").outputs == {"all": [3, 4]}, at
        else:
            assert at > 3
            break


# -- executions of their own -----------------------------------------------------------------------------------------


@pipeline
async def independent(name: str) -> str:
    return await work(name)


@step
async def goes_on() -> int:
    RAN.append("on")
    return 1


@pipeline
async def starts(name: str) -> list[Any]:
    first = await start_child(independent, name)
    second = await start_child(independent, name + "2")
    return [first, second, await goes_on()]


def test_a_child_of_its_own_is_an_execution(lives: Lives) -> None:
    first, second, _ = lives.result(starts, "a")
    assert first != second
    app = lives.app(independent)
    for id_ in (first, second):
        if app.show(id_).status is not ExecutionStatus.COMPLETED:
            app.resume(id_)
    assert sorted(RAN) == ["a", "a2", "on"]
    assert lives.ended()[0].startswith("start_independent")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_child_of_its_own_is_started_once_however_often_the_parent_dies(when: Any) -> None:
    for at in range(2, 7):
        RAN.clear()
        lives = Lives()
        store = CrashingStore(lives.store, at, when)
        app = Orchestrator(store, clock=lives.clock)
        try:
            app.run(starts, {"name": "a"}, execution_id="x")
        except SimulatedCrash:
            store.bury()
            result = lives.app(starts).resume("x")
            assert result.status is ExecutionStatus.COMPLETED, (at, result.error)
        assert len(lives.app().list()) == 3, at


@pytest.mark.parametrize("id_", ["x", "y" * 100, "z" * 120])
def test_children_of_their_own_have_ids_of_their_own(lives: Lives, id_: str) -> None:
    @pipeline
    async def starts_some() -> list[str]:
        found = [await start_child(independent, "a"), await start_child(independent, "a")]
        async with flow("ü b"):
            return [*found, await start_child(independent, "a")]

    result = lives.app().run(starts_some, {}, execution_id=id_)
    assert result.result is not None, result.error
    assert len({*result.result}) == 3
    assert all(child.startswith(id_[:90]) for child in result.result)


def test_arguments_that_do_not_fit_a_child_are_refused(lives: Lives) -> None:
    @pipeline
    async def misfits() -> list[str]:
        found = []
        for call in (lambda: leaf(), lambda: leaf("a", "b"), lambda: start_child(independent)):  # type: ignore[call-arg]
            try:
                await call()
            except InputError as exc:
                found.append(str(exc))
        return found

    told = lives.result(misfits)
    assert len(told) == 3
    assert all("it takes (name" in text for text in told)
    assert not lives.history(ev.StepFailed)
