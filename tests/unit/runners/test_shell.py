"""Shell steps, with real processes."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import CommandNotStartedError, OutputError, ShellError, StepTimeoutError
from orchestrator.execution.driver import ShellCommand
from orchestrator.runners.lines import LINES_KEPT
from orchestrator.runners.notes import FLOOD_TICK_SECONDS
from orchestrator.testing.runner_contract import is_alive, leaving_nothing, open_files, until

from .conftest import Bench

#: Ways to leave a process behind, each writing its pid to `pids`; `{}` is what runs.
WAYS = {
    "background": "sh -c 'echo $$ >> pids; exec sleep 600' &",
    "nohup": "nohup sh -c 'echo $$ >> pids; exec sleep 600' >/dev/null 2>&1 &",
    "setsid": "setsid sh -c 'echo $$ >> pids; exec sleep 600' &",
    "double fork": "( setsid sh -c 'sh -c \"echo \\$\\$ >> pids; exec sleep 600\" &' & )",
    "no environment": "env -i setsid sh -c '(sh -c \"echo \\$\\$ >> pids; exec sleep 600\" &)' >/dev/null 2>&1 &",
    "deaf": "( trap '' TERM INT HUP; echo $(exec sh -c 'echo $PPID') >> pids; sleep 600 & sleep 600 ) &",
}
WAIT = "; until [ -s pids ]; do sleep 0.01; done"


def pids(bench: Bench) -> list[int]:
    return [int(text) for text in (bench.folder / "pids").read_text().split()]


# -- what is left behind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_when_a_command_has_ended(bench: Bench, way: str) -> None:
    await bench.sh(WAYS[way].rstrip("&") + "&" + WAIT.removeprefix(";"))
    assert pids(bench)
    assert not any(map(is_alive, pids(bench)))


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_after_a_timeout(bench: Bench, way: str) -> None:
    with pytest.raises(StepTimeoutError):
        await bench.sh(WAYS[way].rstrip("&") + "&" + WAIT.removeprefix(";") + "; sleep 600", timeout=0.5)
    assert pids(bench)
    assert not any(map(is_alive, pids(bench)))


async def test_a_pipe_held_open_keeps_nobody_waiting(bench: Bench) -> None:
    begin = time.monotonic()
    assert (await bench.sh("echo done; sleep 600 &"))["stdout"] == "done\n"
    assert time.monotonic() - begin < 5


async def test_what_ends_by_itself_may_do_so(bench: Bench) -> None:
    """A reader of a process substitution is behind the leader's end."""
    bench.write("late.sh", "exec > >(while read line; do sleep 0.05; echo got $line >> got; done)\necho a\n")
    await bench.do(ShellCommand(("bash", "late.sh"), {}, str(bench.folder)))
    assert (bench.folder / "got").read_text() == "got a\n"


# -- ending ------------------------------------------------------------------------------------------------------------


async def test_a_timeout_asks_first_and_the_whole_tree_has_the_grace(make_bench: Callable[..., Bench]) -> None:
    async with leaving_nothing():
        bench = make_bench(kill_grace_seconds=10)
        trap = "trap 'sleep 0.3; echo cleaned >> cleaned; exit' TERM; echo $$ >> pids; while :; do sleep 0.01; done"
        bench.write("careful.sh", trap)
        with pytest.raises(StepTimeoutError, match=r"step 'step' was ended after its timeout of 0\.3 s"):
            await bench.sh("setsid sh careful.sh & sh careful.sh & sleep 600", timeout=0.3)
        assert (bench.folder / "cleaned").read_text() == "cleaned\n" * 2
        await bench.runner.close()


async def test_the_grace_counts_from_when_it_was_asked(make_bench: Callable[..., Bench]) -> None:
    """Not from when the keeper last had something to do."""
    async with leaving_nothing():
        bench = make_bench(kill_grace_seconds=0.5)
        trap = "trap 'sleep 0.1; echo cleaned >> cleaned; exit' TERM; exec 3>&-; while :; do read x <> fifo; done"
        bench.write("careful.sh", f"mkfifo fifo; {trap}")
        with pytest.raises(StepTimeoutError):
            await bench.sh("sh careful.sh", timeout=0.8)
        assert (bench.folder / "cleaned").read_text() == "cleaned\n"
        await bench.runner.close()


async def test_what_does_not_heed_is_killed_after_the_grace(bench: Bench) -> None:
    with pytest.raises(StepTimeoutError):
        await bench.sh("trap '' TERM; echo $$ > pids; while :; do sleep 0.05; done", timeout=0.2)
    assert not is_alive(pids(bench)[0])


async def test_a_signal_is_told(bench: Bench) -> None:
    with pytest.raises(ShellError, match="was ended by signal 15") as caught:
        await bench.sh("kill -TERM $$")
    assert caught.value.exit_code == -signal.SIGTERM


async def test_an_interrupt_is_not_repeated_politely(make_bench: Callable[..., Bench]) -> None:
    """Who was asked by an interrupt and is then cancelled has had its grace."""
    async with leaving_nothing():
        bench = make_bench(kill_grace_seconds=60)
        task = asyncio.ensure_future(bench.sh("trap '' TERM; echo $$ > pids; while :; do sleep 0.05; done"))
        await until(lambda: (bench.folder / "pids").exists() and pids(bench))
        bench.runner.interrupt()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.wait({task}), 10)
            await task
        await bench.runner.close()


# -- output ------------------------------------------------------------------------------------------------------------


async def test_lines_come_while_it_runs(bench: Bench) -> None:
    task = asyncio.ensure_future(bench.sh("echo first; until [ -e go ]; do sleep 0.01; done; echo second"))
    await until(lambda: bench.texts("stdout") == ["first"])
    (bench.folder / "go").touch()
    await task
    assert bench.texts("stdout") == ["first", "second"]


async def test_progress_lines(bench: Bench) -> None:
    await bench.sh("echo 0.5 half way >&3; sleep 0.1; echo 7 >&3; sleep 0.1; echo half >&3")
    told = [(note.fraction, note.text) for note in bench.notes if note.kind == "progress"]
    assert told == [(0.5, "half way"), (1.0, "")]
    assert bench.texts("log") == ["not understood on the progress descriptor: half"]


async def test_a_flood_costs_neither_the_loop_nor_memory(bench: Bench) -> None:
    """100 MB in 50 million lines: the loop goes round all the while, and what is kept is bounded."""
    start = time.monotonic()
    passes, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    task = asyncio.ensure_future(bench.sh("yes | head -c 100000000 >&2; echo end >&2"))
    while not task.done():
        await asyncio.sleep(0.001)
        passes += 1
    value = await task
    assert value["stderr"].endswith("y\nend\n")
    assert len(value["stderr"]) <= 64 * 1024
    assert bench.texts("stderr")[-1] == "end"
    assert any("lines of output left out" in text for text in bench.texts("log"))
    assert passes > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    ticks = (time.monotonic() - start) / FLOOD_TICK_SECONDS
    assert len(bench.notes) < (ticks + 3) * (LINES_KEPT + 1)


async def test_too_much_stdout_fails_and_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(OutputError, match="more than 16 MiB to stdout; let it write to a file"):
        await bench.sh("yes; sleep 600")


async def test_a_large_stdout_comes_whole(bench: Bench) -> None:
    value = await bench.sh("head -c 10000000 /dev/zero | tr '\\0' x")
    assert value["stdout"] == "x" * 10_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [("true", "stdout is empty"), ("echo '{\"a\": '", "begins with"), ("printf '\\377'", "cannot be read as JSON")],
)
async def test_bad_json_is_shown(bench: Bench, text: str, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        await bench.sh(text, parse="json")


# -- what a command gets -----------------------------------------------------------------------------------------------


async def test_it_gets_no_descriptor_of_the_engines(bench: Bench) -> None:
    """Nor one of the guard's or of another command; 4 is what `ls` reads."""
    values = await asyncio.gather(*[bench.sh("ls /proc/self/fd; sleep 0.05") for _ in range(10)])
    assert {value["stdout"] for value in values} == {"0\n1\n2\n3\n4\n"}


async def test_its_signals_are_the_kernels_defaults(bench: Bench) -> None:
    ignored = (await bench.sh("grep SigIgn /proc/self/status"))["stdout"].split()[1]
    assert int(ignored, 16) & 0x7FFF_FFFF == 0, "above 31 are the C library's own"


async def test_it_reads_nothing_and_has_no_terminal(bench: Bench) -> None:
    assert (await bench.sh("cat; tty || true"))["stdout"].strip() == "not a tty"


async def test_text_that_is_no_unicode_reaches_it(bench: Bench) -> None:
    text = os.fsdecode(b"\xff\xfe")
    value = await bench.do(ShellCommand(("printf", "%s", text), {}, str(bench.folder)))
    assert value["stdout"] == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("argv", "cwd", "said"),
    [
        (("no-such",), ".", "no command 'no-such' on PATH"),
        (("./no-such",), ".", "there is no file './no-such'"),
        (("./plain",), ".", "may not be executed"),
        (("./text",), ".", "needs a first line like"),
        (("true",), "nowhere", "its working folder .*nowhere cannot be entered"),
        (("true", "x" * 200_000), ".", r"too large \([\d,]+ characters, 200,000 in the longest\)"),
        (("true", "a\0b"), ".", "contains a NUL character"),
    ],
    ids=["PATH", "file", "permission", "format", "folder", "too large", "NUL"],
)
async def test_what_cannot_be_started_says_why(bench: Bench, argv: tuple[str, ...], cwd: str, said: str) -> None:
    bench.write("plain", "echo")
    bench.write("text", "\x01\x02")
    (bench.folder / "text").chmod(0o755)
    with pytest.raises(CommandNotStartedError, match=said) as caught:
        await bench.do(ShellCommand(argv, {}, str(bench.folder / cwd)))
    assert len(str(caught.value)) < 2000


# -- many --------------------------------------------------------------------------------------------------------------


async def test_two_hundred_in_a_row_leak_nothing(bench: Bench) -> None:
    await bench.sh("true")
    before = open_files()
    for i in range(200):
        if i % 20:
            await bench.sh("true")
        else:
            with pytest.raises(CommandNotStartedError):
                await bench.do(ShellCommand(("no-such",), {}, str(bench.folder)))
    assert open_files() == before


async def test_fifty_at_once(bench: Bench) -> None:
    values = await asyncio.gather(*[bench.sh(f"sleep 0.2; echo {i}") for i in range(50)])
    assert [value["stdout"] for value in values] == [f"{i}\n" for i in range(50)]


async def test_cancelled_at_every_moment_leaves_nothing(bench: Bench) -> None:
    """From before the guard started until after the command has ended."""
    for turns in range(40):
        task = asyncio.ensure_future(bench.sh(f"echo $$ >> pids; sleep 0.0{turns % 10}"))
        for _ in range(turns):
            await asyncio.sleep(0 if turns < 20 else 0.001)
        task.cancel()
        await asyncio.wait({task})
        assert Path(bench.folder / "pids").exists() is False or not any(map(is_alive, pids(bench)))
