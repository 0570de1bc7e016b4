"""Handlers inside the engine: on the loop and in threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import HandlerExitError, HandlerStillRunningError, IllegalMoveError, StepTimeoutError
from orchestrator.runners.supervise import Outcome
from orchestrator.runners.threads import _Job
from orchestrator.testing.runner_contract import leaving_nothing, make_attempt, until

from .conftest import Bench

EXITS = """
import asyncio, sys
def system_exit(): sys.exit("enough")
def keyboard_interrupt(): raise KeyboardInterrupt
def generator_exit(): raise GeneratorExit
async def async_system_exit(): sys.exit("enough")
async def async_keyboard_interrupt(): raise KeyboardInterrupt
async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(1)
async def awaits_a_cancelled_task():
    task = asyncio.ensure_future(asyncio.sleep(1))
    task.cancel()
    await task
"""


@pytest.mark.parametrize("name", [line.split("def ")[1].split("(")[0] for line in EXITS.splitlines() if "def " in line])
async def test_a_handler_cannot_end_the_engine(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    before = signal.signal(signal.SIGINT, lambda *_: None)  # as the command line does, so that it is not Ctrl-C's
    try:
        bench.handlers(EXITS)
        with pytest.raises(HandlerExitError):
            await bench.call(name)
    finally:
        signal.signal(signal.SIGINT, before)


async def test_a_stop_iteration_is_an_ordinary_failure(bench: Bench) -> None:
    bench.handlers("def f(): return next(iter([]))")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await bench.call("f")


async def test_wrong_arguments_are_the_steps_failure(bench: Bench) -> None:
    bench.handlers("def f(a): pass\nasync def g(a): pass")
    for name in ("f", "g"):
        with pytest.raises(TypeError, match="unexpected keyword argument 'b'"):
            await bench.call(name, b=1)


async def test_a_plain_function_that_gives_a_coroutine_has_it_awaited(bench: Bench) -> None:
    bench.handlers("""
        import threading
        async def work(x): return x, threading.current_thread() is threading.main_thread()
        def f(x): return work(x)
    """)
    assert await bench.call("f", x=3) == (3, True)


async def test_context_variables_of_a_handler_stay_its_own(bench: Bench) -> None:
    bench.handlers("""
        from contextvars import ContextVar
        seen = ContextVar("seen", default="nothing")
        async def f():
            before = seen.get(); seen.set("something"); return before
        def g():
            before = seen.get(); seen.set("something"); return before
    """)
    assert [await bench.call(name) for name in "fgfgg"] == ["nothing"] * 5


async def test_a_handler_sees_the_callers_context(bench: Bench) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    import sys

    sys.modules["__main__"].__dict__["read_variable"] = variable.get
    from orchestrator.execution.driver import PythonCall

    assert await bench.do(PythonCall("__main__:read_variable", {})) == "set"


async def test_a_thread_that_ends_in_the_grace_timed_out(bench: Bench) -> None:
    bench.handlers("import time\ndef f(): time.sleep(0.2)")
    with pytest.raises(StepTimeoutError, match=r"timeout of 0.05 s"):
        await bench.call("f", timeout=0.05)


async def test_a_thread_that_does_not_end_is_named_and_replaced(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(max_threads=1, thread_grace_seconds=0.05)
    bench.handlers("""
        import threading
        go = threading.Event()
        def stuck(): go.wait()
        def free(): return threading.current_thread().name
        def release(): go.set()
    """)
    before = {*threading.enumerate()}
    with pytest.raises(HandlerStillRunningError, match=r"step 'step' still runs in thread orchestrator-handler-1"):
        await bench.call("stuck", timeout=0.05)
    assert await bench.call("free") == "orchestrator-handler-2"
    await bench.call("release")
    await bench.runner.close()
    await until(lambda: {*threading.enumerate()} <= before)


async def test_cancelling_a_stuck_thread_says_so_in_its_cause(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(thread_grace_seconds=0.05)
    bench.handlers("""
        import threading
        go, ready = threading.Event(), threading.Event()
        def f(): ready.set(); go.wait()
        def let(): go.set()
        def wait(): ready.wait()
    """)
    task = asyncio.ensure_future(bench.call("f"))
    await bench.call("wait")
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, HandlerStillRunningError)
    await bench.call("let")
    await bench.runner.close()


async def test_a_task_that_swallows_its_cancellation_is_asked_again(bench: Bench) -> None:
    bench.handlers("""
        import asyncio
        async def f():
            for _ in range(2):
                try: await asyncio.sleep(60)
                except asyncio.CancelledError: pass
    """)
    with pytest.raises(StepTimeoutError):
        await bench.call("f", timeout=0.05)


async def test_a_task_that_swallows_every_cancellation_is_named(bench: Bench) -> None:
    bench.handlers("""
        import asyncio
        async def f():
            for _ in range(3):
                try: await asyncio.sleep(60)
                except asyncio.CancelledError: pass
    """)
    with pytest.raises(HandlerStillRunningError, match="a task on the event loop"):
        await bench.call("f", timeout=0.05)


async def test_a_handler_that_answers_a_cancellation_with_a_value_timed_out(bench: Bench) -> None:
    bench.handlers("""
        import asyncio
        async def f():
            try: await asyncio.sleep(60)
            except asyncio.CancelledError: return "fine"
    """)
    with pytest.raises(StepTimeoutError):
        await bench.call("f", timeout=0.05)


async def test_attempts_beyond_the_last_thread_wait_and_their_timeouts_with_them(
    make_bench: Callable[..., Bench],
) -> None:
    async with leaving_nothing():
        bench = make_bench(max_threads=2)
        bench.handlers("import time, threading\ndef f():\n    time.sleep(0.05)\n    return threading.get_ident()")
        idents = await asyncio.gather(*[bench.call("f", timeout=0.3) for _ in range(16)])
        assert len(set(idents)) == 2
        await bench.runner.close()


async def test_a_handler_that_forks_goes_on_once(bench: Bench, tmp_path: Path) -> None:
    """Whatever comes back from the handler in the fork, it is not a second engine."""
    text = """
        import os, warnings
        def body(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pid = os.fork()
            with open(path, "a") as file: file.write("x")
            if pid: os.waitpid(pid, 0)
            return os.getpid()
        def plain(path): return body(path)
        async def awaited(path): return body(path)
    """
    bench.handlers(text)
    for name, process in (("plain", False), ("awaited", False), ("plain", True)):
        path = tmp_path / f"{name}-{process}"
        pid = await bench.call(name, process=process, path=str(path))
        assert path.read_text() == "xx"
        assert process or pid == os.getpid()


async def test_closing_does_not_wait_for_a_thread_that_is_stuck(bench: Bench) -> None:
    before = set(threading.enumerate())  # what another test has left is not looked at
    bench.handlers("import threading\ngo = threading.Event()\ndef stuck(): go.wait()\ndef let(): return go")
    go = await bench.call("let")
    with pytest.raises(HandlerStillRunningError):
        await bench.call("stuck", timeout=0.01)
    await asyncio.wait_for(bench.runner.close(), 5)
    assert any(thread.name.startswith("orchestrator-handler") for thread in set(threading.enumerate()) - before)
    go.set()
    await until(lambda: not {t for t in threading.enumerate() if t.name.startswith("orchestrator-")} - before)


async def test_a_closed_runner_says_so(bench: Bench) -> None:
    bench.handlers("def f(): pass")
    await bench.runner.close()
    with pytest.raises(IllegalMoveError, match=r"the runner cannot go from closed to running"):
        await bench.call("f")


async def test_a_call_that_waits_for_a_thread_can_be_cancelled_and_its_timeout_does_not_count_yet(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(max_threads=1)
    bench.handlers(
        """
        import threading
        let, made = threading.Event(), []
        def stay(): let.wait(10)
        def note(word): made.append(word)
        async def free():
            let.set()
            return made
        """
    )
    async with leaving_nothing():
        await bench.call("note", word="first")  # its module is there: what follows begins at once
        first = asyncio.ensure_future(bench.call("stay"))
        await until(lambda: not bench.runner._threads._free)
        second = asyncio.ensure_future(bench.call("note", word="second"))
        third = asyncio.ensure_future(bench.call("note", word="third", timeout=0.05))
        await asyncio.sleep(0.1)
        assert not (first.done() or second.done() or third.done())
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        made = await bench.call("free")
        await asyncio.gather(first, third)
        await bench.runner.close()
    assert made == ["first", "third"]


async def test_what_a_plain_function_gave_to_be_awaited_is_ended_like_any_other(bench: Bench) -> None:
    bench.handlers(
        """
        import asyncio
        ended = []
        async def rest():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(1)
        def f(): return rest()
        def count(): return len(ended)
        """
    )
    assert await bench.call("count") == 0
    task = asyncio.ensure_future(bench.call("f"))
    await until(lambda: bench.runner._tasks)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(StepTimeoutError):
        await bench.call("f", timeout=0.05)
    assert await bench.call("count") == 2


async def test_a_call_that_ends_in_the_moment_of_its_cancellation_is_not_taken_for_stuck() -> None:
    loop = asyncio.get_running_loop()
    job = _Job(int, loop, lambda job: outcome.settle(*job.take()))
    attempt = make_attempt(None, Path())  # type: ignore[arg-type]  # nobody looks at its work
    outcome = Outcome(attempt, lambda: job.reins(30.0), loop)
    outcome.begin()
    job.perform()
    outcome.cancel()
    job.end()
    with pytest.raises(asyncio.CancelledError) as raised:
        await asyncio.wait_for(outcome, 10)
    assert raised.value.__cause__ is None


async def test_a_call_that_is_cancelled_twice_in_one_pass_comes_to_its_end(bench: Bench) -> None:
    bench.handlers(
        """
        import asyncio
        async def waits(): await asyncio.get_running_loop().create_future()
        """
    )
    task = asyncio.ensure_future(bench.call("waits"))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 10)
