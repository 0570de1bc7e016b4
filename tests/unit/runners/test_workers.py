"""Worker processes: what is kept, what is told, and how they die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from orchestrator.errors import (
    EncodeError,
    HandlerExitError,
    HandlerNotFoundError,
    RemoteError,
    StepTimeoutError,
    WorkerLostError,
)
from orchestrator.execution.driver import PythonCall
from orchestrator.testing.runner_contract import below_this_process, is_alive, leaving_nothing, until

from .conftest import Bench


async def test_a_worker_is_used_again(bench: Bench) -> None:
    bench.handlers("import os\ndef f(): return os.getpid()")
    pids = [await bench.call("f", process=True) for _ in range(5)]
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()


async def test_at_most_so_many_at_once(make_bench: Callable[..., Bench]) -> None:
    async with leaving_nothing():
        bench = make_bench(max_workers=2)
        bench.handlers("import os, time\ndef f():\n    time.sleep(0.05)\n    return os.getpid()")
        pids = await asyncio.gather(*[bench.call("f", process=True, timeout=0.4) for _ in range(20)])
        assert len(set(pids)) == 2
        await bench.runner.close()


async def test_values_of_every_kind_go_both_ways(bench: Bench) -> None:
    bench.handlers("""
        from dataclasses import dataclass
        @dataclass
        class Row:
            number: int
        def make(): return [Row(1), Row(2)]
        def total(rows): return sum(row.number for row in rows), type(rows[0]) is Row
        def same(value): return value
    """)
    rows = await bench.call("make", process=True)
    assert [row.number for row in rows] == [1, 2]
    assert await bench.call("total", process=True, rows=rows) == (3, True)
    large = os.urandom(20_000_000)
    assert await bench.call("same", process=True, value=large) == large


async def test_a_value_that_cannot_travel_is_named(bench: Bench) -> None:
    bench.handlers("def f(): return {'rows': [1, open('/dev/null')]}\ndef g(x): pass")
    with pytest.raises(EncodeError, match=r"at rows\[1\] stands a"):
        await bench.call("f", process=True)
    with pytest.raises(EncodeError, match=r"at x stands a"):
        await bench.call("g", process=True, x=object())


async def test_an_exception_of_its_own_class_is_named(bench: Bench) -> None:
    bench.handlers("class Odd(Exception): pass\ndef f(): raise Odd('very')")
    with pytest.raises(RemoteError, match=r"handlers.Odd: very") as caught:
        await bench.call("f", process=True)
    assert "handlers.py" in caught.value.remote_traceback


async def test_sys_exit_is_a_failure_and_the_worker_lives_on(bench: Bench) -> None:
    bench.handlers("import os, sys\ndef f(): sys.exit(3)\ndef pid(): return os.getpid()")
    pid = await bench.call("pid", process=True)
    with pytest.raises(HandlerExitError, match=r"SystemExit\(3\)"):
        await bench.call("f", process=True)
    assert await bench.call("pid", process=True) == pid


@pytest.mark.parametrize(
    ("body", "said", "exit_code"),
    [
        ("os._exit(5)", "exit code 5 and gave no result", 5),
        ("os.kill(os.getpid(), 9)", "SIGKILL, perhaps for want of memory", -9),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV", -11),
        ("os.closerange(0, 100); time.sleep(60)", "SIGKILL", -9),
    ],
)
async def test_a_lost_worker_is_told_and_replaced(bench: Bench, body: str, said: str, exit_code: int) -> None:
    bench.handlers(f"import os, signal, time\ndef f(): {body}\ndef fine(): return 'fine'")
    with pytest.raises(WorkerLostError, match=f"worker process of step 'step' .*{said}") as caught:
        await bench.call("f", process=True)
    assert caught.value.exit_code == exit_code
    assert await bench.call("fine", process=True) == "fine"


async def test_memory_that_is_not_there_is_the_handlers_error(bench: Bench) -> None:
    bench.handlers("""
        import resource
        def f():
            resource.setrlimit(resource.RLIMIT_AS, (400_000_000, resource.RLIM_INFINITY))
            try: return len(b"x" * 10**10)
            finally: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    """)
    with pytest.raises(MemoryError):
        await bench.call("f", process=True)


async def test_a_timeout_ends_the_whole_tree(bench: Bench) -> None:
    bench.handlers("""
        import os, subprocess, time
        def f(path):
            child = subprocess.Popen(["setsid", "sleep", "600"])
            with open(path, "w") as file: file.write(f"{os.getpid()} {child.pid}")
            time.sleep(600)
    """)
    path = bench.folder / "pids"
    with pytest.raises(StepTimeoutError):
        await bench.call("f", process=True, timeout=1.0, path=str(path))
    assert [is_alive(int(pid)) for pid in path.read_text().split()] == [False, False]


@pytest.mark.parametrize(
    "leave",
    [
        "subprocess.Popen(['sleep', '600'])",
        "subprocess.run(['sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 &'])",
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "os.fork() or time.sleep(600)",
    ],
)
async def test_what_an_attempt_leaves_in_its_worker_ends_with_it(bench: Bench, leave: str) -> None:
    before = below_this_process()
    bench.handlers(f"import os, subprocess, threading, time\ndef f():\n    {leave}\n    return os.getpid()")
    pid = await bench.call("f", process=True)
    assert not is_alive(pid)
    await until(lambda: len(below_this_process() - before) == 1)  # the guard
    assert await bench.call("f", process=True) != pid


async def test_what_is_printed_is_told_of_the_right_attempt(make_bench: Callable[..., Bench]) -> None:
    async with leaving_nothing():
        bench = make_bench(max_workers=1)
        bench.handlers("""
            import logging, subprocess, sys
            from orchestrator import progress
            def f(i):
                print("out", i); print("err", i, file=sys.stderr)
                subprocess.run(["echo", "sub", str(i)])
                logging.getLogger("w").info("log %d", i)
                progress(i / 10, f"at {i}")
                print("unfinished", i, end="")
        """)
        for i in range(3):
            bench.notes.clear()
            await bench.call("f", process=True, i=i)
            assert bench.texts("stdout") == [f"out {i}", f"sub {i}", f"unfinished {i}"]
            assert bench.texts("stderr") == [f"err {i}"]
            assert bench.texts("log") == [f"INFO w: log {i}"]
            assert bench.texts("progress") == [f"at {i}"]
        await bench.runner.close()


async def test_a_flood_of_notes_is_bounded(bench: Bench) -> None:
    bench.handlers("""
        import logging
        from orchestrator import progress
        def f():
            for i in range(20_000):
                progress(i / 20_000); logging.info("line %d", i)
    """)
    await bench.call("f", process=True)
    assert bench.texts("log")[-1] == "INFO root: line 19999"
    assert len(bench.texts("progress")) < 2000


async def test_folders_do_not_share_a_worker(bench: Bench) -> None:
    bench.handlers("import os\ndef f(): return os.getpid(), os.path.abspath(__file__)")
    other = bench.folder / "other"
    other.mkdir()
    (other / "handlers.py").write_text((bench.folder / "handlers.py").read_text())
    first = await bench.call("f", process=True)
    home, bench.folder = bench.folder, other
    second = await bench.call("f", process=True)
    bench.folder = home
    assert (first[1], second[1]) == (str(home / "handlers.py"), str(other / "handlers.py"))
    assert first[0] != second[0]
    assert await bench.call("f", process=True) == first


async def test_an_idle_worker_that_died_is_replaced(bench: Bench) -> None:
    before = below_this_process()
    bench.handlers("import os\ndef f(): return os.getpid()")
    pid = await bench.call("f", process=True)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid))
    await until(lambda: len(below_this_process() - before) == 1)
    assert await bench.call("f", process=True) != pid


async def test_a_worker_that_cannot_start_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("sitecustomize.py", "import os, sys\nprint('no licence', file=sys.stderr, flush=True)\nos._exit(4)")
    monkeypatch.setenv("PYTHONPATH", str(bench.folder))
    bench.handlers("def f(): pass")
    with pytest.raises(WorkerLostError, match="did not start: no licence"):
        await bench.call("f", process=True)


async def test_the_program_itself_is_no_module_of_a_worker(bench: Bench) -> None:
    with pytest.raises(HandlerNotFoundError, match="put the handler into a module"):
        await bench.do(PythonCall("__main__:f", {}, process=True))


async def test_cancelled_at_every_moment_leaves_nothing(bench: Bench) -> None:
    bench.handlers("import time\ndef f(): time.sleep(0.02)")
    for turns in range(30):
        task = asyncio.ensure_future(bench.call("f", process=True))
        for _ in range(turns):
            await asyncio.sleep(0 if turns < 10 else 0.006)
        task.cancel()
        await asyncio.wait({task})
