"""What beginners write, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, lives

from orchestrator import ExecutionStatus, Orchestrator, pipeline, step, wait_for_signal
from orchestrator.errors import ExecutionFailedError, InputError, NotAwaitedError, WrongPlaceError

__all__ = ["lives"]


@step
async def fetch(city: str = "oslo") -> str:
    RAN.append(city)
    return city


@step
def parse(text: str = "x") -> int:
    RAN.append(text)
    return len(text)


# -- what cannot be a step or a pipeline -----------------------------------------------------------------------------


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


class Callable_:
    def __call__(self) -> None: ...


AS_CLASSMETHOD: Any = generator
NOT_FUNCTIONS: list[tuple[Any, str]] = [
    (lambda: 1, "a lambda has no name"),
    (generator, "is a generator"),
    (async_generator, "is a generator"),
    (Callable_, "is for functions"),
    (Callable_(), "is for functions"),
    (staticmethod(generator), "stands below @staticmethod"),
    (classmethod(AS_CLASSMETHOD), "stands below @classmethod"),
    ("fetch", "is for functions"),
    (None, "is for functions"),
]


@pytest.mark.parametrize("decorate", [step(retry=1), pipeline(retry=1)])
@pytest.mark.parametrize(("what", "told"), NOT_FUNCTIONS)
def test_what_is_no_function_is_refused_where_it_is_written(decorate: Any, what: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        decorate(what)


def test_a_step_of_a_step_and_a_pipeline_of_a_step_are_refused() -> None:
    for decorate in (step, pipeline):
        for function in (fetch, parse):
            with pytest.raises(InputError):
                decorate(function)


@pytest.mark.parametrize("name", ["a b", "a/b", "1a", "", "ü", "a.b", "a:b", "a#2"])
def test_a_name_that_cannot_be_part_of_a_key_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        step(name=name)(lambda: 1)


@pytest.mark.parametrize("default", [[], {}, set(), bytearray()])
def test_a_default_that_one_execution_would_share_with_the_next_is_refused(default: Any) -> None:
    def book(city: str, tags: Any = default) -> None: ...

    with pytest.raises(InputError, match="write `tags=None`"):
        pipeline(book)


def test_methods_are_steps() -> None:
    class Agency:
        def __init__(self, name: str) -> None:
            self.name = name

        @step
        async def book(self, city: str) -> str:
            return f"{self.name} {city}"

        @staticmethod
        @step
        def price(city: str) -> int:
            return len(city)

    @pipeline
    async def trip(name: str) -> list[Any]:
        agency = Agency(name)
        return [await agency.book("oslo"), Agency.price("oslo"), await Agency.book(agency, "rome")]

    assert Lives().result(trip, "best") == ["best oslo", 4, "best rome"]


# -- awaiting --------------------------------------------------------------------------------------------------------


def test_a_step_that_is_not_awaited_fails_the_execution_and_is_named(lives: Lives) -> None:
    @pipeline
    async def forgets() -> int:
        fetch("a")  # type: ignore[unused-coroutine]
        await fetch("b")
        parse.aio("c")  # type: ignore[unused-coroutine]
        return 1

    result = lives.run(forgets)
    assert result.status is ExecutionStatus.FAILED
    with pytest.raises(ExecutionFailedError, match=r"step 'fetch' was called without `await`") as caught:
        result.raise_for_status()
    assert "step 'parse'" in str(caught.value)
    assert "test_mistakes.py:" in str(caught.value)
    assert isinstance(caught.value.__cause__, NotAwaitedError)
    assert RAN == ["b"]
    gc.collect()


def test_a_step_that_is_not_awaited_by_a_function_that_fails_leaves_its_error(lives: Lives) -> None:
    @pipeline
    async def forgets_and_fails() -> None:
        fetch("a")  # type: ignore[unused-coroutine]
        raise ValueError("the fault")

    with pytest.raises(ExecutionFailedError, match="the fault"):
        lives.result(forgets_and_fails)
    gc.collect()


def test_a_coroutine_of_a_step_is_awaited_once(lives: Lives) -> None:
    @pipeline
    async def twice() -> str:
        call = fetch("a")
        await call
        try:
            await call
        except RuntimeError as exc:
            return str(exc)
        return ""

    assert "already awaited" in lives.result(twice)


def test_an_async_step_in_a_plain_pipeline_says_what_to_write(lives: Lives) -> None:
    @pipeline
    def plain() -> Any:
        found = []
        for call in (lambda: fetch("a"), lambda: parse.aio("a"), lambda: fetch.map(["a"]), lambda: parse.amap(["a"])):
            with contextlib.suppress(WrongPlaceError):
                call()
                found.append("not refused")
        return [*found, fetch.wait("a"), parse("b")]

    assert lives.result(plain) == ["a", 1]


def test_a_wait_in_an_async_pipeline_says_what_to_write(lives: Lives) -> None:
    @pipeline
    async def holds() -> Any:
        told = []
        for call in (lambda: fetch.wait("a"), lambda: parse.map(["a"]), lambda: child.wait(), lambda: plain_child()):
            try:
                call()
            except WrongPlaceError as exc:
                told.append(str(exc))
        return told

    told = lives.result(holds)
    assert ["fetch.wait" in told[0], "amap" in told[1], "await child" in told[2], ".aio" in told[3]] == [True] * 4


@pipeline
async def child() -> str:
    return await fetch()


@pipeline
def plain_child() -> int:
    return parse()


def test_waits_outside_of_a_pipeline_say_where_they_belong() -> None:
    with pytest.raises(WrongPlaceError, match=r"await fetch"):
        fetch.wait("a")
    with pytest.raises(InputError, match=r"run\(child"):
        child.wait()
    with pytest.raises(InputError, match="plain_child"):
        plain_child.aio()  # type: ignore[unused-coroutine]


# -- threads and loops -----------------------------------------------------------------------------------------------


def test_a_step_called_in_a_thread_of_an_async_pipeline_says_so(lives: Lives) -> None:
    @pipeline
    async def threads() -> str:
        def body() -> str:
            try:
                parse("in a thread")
            except WrongPlaceError as exc:
                return str(exc)
            return "ran"

        return await asyncio.to_thread(body)

    assert "another thread" in lives.result(threads)
    assert RAN == []


def test_a_step_called_when_its_function_has_ended_does_not_run(lives: Lives) -> None:
    late: list[Any] = []

    @pipeline
    def leaves_thread() -> str:
        context = copy_context()
        late.append(lambda: context.run(parse, "late"))
        return "done"

    assert lives.result(leaves_thread) == "done"
    with pytest.raises(asyncio.CancelledError):
        late[0]()
    assert RAN == []


def test_an_open_file_is_no_result(lives: Lives, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    opened: list[Any] = []

    @step
    async def opens(path: str) -> Any:
        opened.append(Path(path).open())  # noqa: SIM115 - as a beginner does
        return opened[0]

    @pipeline
    async def reads(path: str) -> Any:
        return await opens(path)

    with pytest.raises(ExecutionFailedError, match="TextIOWrapper"):
        lives.result(reads, str(tmp_path / "a"))
    opened[0].close()


# -- names and places ------------------------------------------------------------------------------------------------


def test_a_function_inside_of_a_function_is_found_where_it_is_given(lives: Lives) -> None:
    @pipeline
    async def nested() -> Any:
        await fetch("a")
        return await wait_for_signal("go")

    lives.run(nested)
    lives.app().signal("x", "go", 1)
    with pytest.raises(Exception, match="inside of another function"):
        Orchestrator(lives.store, clock=lives.clock).resume("x")
    assert lives.resume(nested).result == 1


def test_a_program_is_found_again_by_another_process(tmp_path: Path) -> None:
    program = """
        from orchestrator import ExecutionStatus, Orchestrator, pipeline, step, wait_for_signal

        @step
        def one() -> int:
            print("one ran")
            return 1

        @pipeline
        def job() -> int:
            return one() + wait_for_signal("go")

        if __name__ == "__main__":
            app = Orchestrator("x.db", durability="process")
            assert app.run(job, execution_id="x").status is ExecutionStatus.PAUSED
            app.signal("x", "go", 41)
            app.close()
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    again = "from orchestrator import resume; print(resume('x', store='x.db').result)"
    told = []
    for command in (["program.py"], ["-c", again]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told == ["one ran\n", "42\n"]


# -- what is kept ----------------------------------------------------------------------------------------------------


class Large:
    """Stands for what takes memory: an argument that cannot be recorded is passed as it is."""


ALIVE: list[int] = []
KNOWN: list[weakref.ref[Large]] = []


@step
async def takes(large: Large) -> int:
    return 1


def known_large() -> Large:
    large = Large()
    KNOWN.append(weakref.ref(large))
    return large


@step
async def counts() -> int:
    gc.collect()
    ALIVE.append(sum(known() is not None for known in KNOWN))
    return 1


@pipeline
async def many() -> int:
    KNOWN.clear()
    ALIVE.clear()
    for _ in range(10):
        await takes(known_large())
    await counts()
    return 1


def test_the_arguments_of_a_call_that_has_ended_are_let_go_of(lives: Lives) -> None:
    lives.result(many)
    assert ALIVE[0] <= 1


def test_the_tasks_of_a_function_that_have_ended_are_let_go_of(lives: Lives) -> None:
    @pipeline
    async def gathers() -> int:
        KNOWN.clear()
        ALIVE.clear()

        async def one(number: int) -> str:
            KNOWN.append(weakref.ref(asyncio.current_task()))  # type: ignore[arg-type]  # likewise
            return await fetch.with_key(number)("x")

        await asyncio.gather(*map(one, range(10)))
        return await counts()

    lives.result(gathers)
    assert ALIVE == [0]


def test_after_an_execution_nothing_of_it_is_kept(lives: Lives) -> None:
    lives.result(many)
    gc.collect()
    assert [known() for known in KNOWN] == [None] * 10


def test_no_thread_is_left_behind(lives: Lives) -> None:
    @pipeline
    def plain() -> int:
        return parse("a")

    lives.result(plain)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("orchestrator-function")]
