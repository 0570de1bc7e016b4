"""What every runner must do, as tests: a new runner inherits `RunnerContract` and says how it is made.

The tests make real calls and start real processes. What a handler did is witnessed by the files that it wrote, and
each test ends with a look at what was left: no process, no thread, no descriptor.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import (
    CommandNotStartedError,
    HandlerNotFoundError,
    OutputError,
    ShellError,
    StepTimeoutError,
)
from orchestrator.execution.driver import Attempt, PythonCall, Runner, ShellCommand, Work
from orchestrator.journal.store import Note
from orchestrator.runners.processes import descendants, process_table
from orchestrator.types import ExecutionId, StepKey

HANDLERS = """
import asyncio, os, time
from pathlib import Path
from orchestrator.execution.progress import current_attempt, progress

def plain(value): return value
async def awaited(value):
    await asyncio.sleep(0)
    return value

def plain_fault(): raise ValueError("this is wrong", 7)
async def awaited_fault(): raise ValueError("this is wrong", 7)

def plain_key():
    time.sleep(0.005)
    return current_attempt().step_key
async def awaited_key():
    await asyncio.sleep(0.005)
    return current_attempt().step_key

def plain_progress(): progress(0.25, "a quarter")
async def awaited_progress(): progress(0.25, "a quarter")

def plain_forever(started):
    Path(started).write_text(str(os.getpid()))
    while True: time.sleep(0.01)
async def awaited_forever(started):
    Path(started).write_text(str(os.getpid()))
    try:
        await asyncio.sleep(3600)
    finally:
        Path(started + ".end").touch()
"""

#: The Python kinds: prefix of the handler's name, and whether it runs in a process.
KINDS = [("plain", False), ("awaited", False), ("plain", True), ("awaited", True)]
over_kinds = pytest.mark.parametrize(("kind", "process"), KINDS)


def make_attempt(
    work: Work,
    base_dir: Path,
    *,
    notes: list[Note] | None = None,
    step_key: str = "step",
    timeout_seconds: float | None = None,
) -> Attempt:
    """An attempt of a step; its notes are appended to `notes`."""
    emit: Callable[[Note], None] = notes.append if notes is not None else lambda _: None
    return Attempt(
        ExecutionId("execution"), "pipeline", StepKey(step_key), 1, 1, work, timeout_seconds, str(base_dir), emit
    )


def sh(text: str, base_dir: Path, *, env: Mapping[str, str] | None = None, parse: str = "text") -> ShellCommand:
    """A command of `sh -c`."""
    return ShellCommand(("sh", "-c", text), env or {}, str(base_dir), parse=parse, shown=text)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Look again and again, until it holds; fails where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether that process runs (a zombie does not)."""
    return pid in process_table()


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """Fails where the block leaves a process, a thread or a descriptor behind."""
    files, children, threads = open_files(), below_this_process(), {*threading.enumerate()}
    yield
    assert not below_this_process() - children, "processes were left"
    assert not {*threading.enumerate()} - threads, "threads were left"
    assert open_files() <= files, "descriptors were left"


def open_files() -> set[str]:
    """The descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def below_this_process() -> set[int]:
    """The living processes that were started here, and theirs."""
    return descendants({os.getpid()}, process_table())


class RunnerContract:
    """Inherit, and override `make_runner`. Graces should be short (a second at most)."""

    def make_runner(self) -> Runner:
        """The runner to be tried, not yet used."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Runner]:
        """A runner and the contract's handlers in `folder`; closed at the end, when nothing may be left."""
        (folder / "contract_handlers.py").write_text(HANDLERS)
        async with leaving_nothing():
            runner = self.make_runner()
            try:
                yield runner
            finally:
                await runner.close()

    @staticmethod
    def call(name: str, process: bool, folder: Path, **arguments: Any) -> PythonCall:
        """A call of one of the contract's handlers."""
        return PythonCall(f"contract_handlers:{name}", arguments, process)

    # -- values and errors -------------------------------------------------------------------------------------------

    @over_kinds
    @pytest.mark.parametrize("value", [None, 0, "text", {"a": [1, (2, b"3")]}])
    async def test_gives_the_handlers_value(self, tmp_path: Path, kind: str, process: bool, value: Any) -> None:
        """Of equal type, None included."""
        async with self.running(tmp_path) as runner:
            work = self.call(kind, process, tmp_path, value=value)
            assert await runner.invoke(make_attempt(work, tmp_path)) == value

    @over_kinds
    async def test_raises_what_the_handler_raised(self, tmp_path: Path, kind: str, process: bool) -> None:
        """With its arguments."""
        async with self.running(tmp_path) as runner:
            with pytest.raises(ValueError, match="this is wrong") as caught:
                await runner.invoke(make_attempt(self.call(f"{kind}_fault", process, tmp_path), tmp_path))
            assert caught.value.args == ("this is wrong", 7)

    @pytest.mark.parametrize("process", [False, True])
    async def test_names_a_handler_that_does_not_exist(self, tmp_path: Path, process: bool) -> None:
        """And the nearest one that does."""
        async with self.running(tmp_path) as runner:
            with pytest.raises(HandlerNotFoundError, match="did you mean 'plain'"):
                await runner.invoke(make_attempt(self.call("plaim", process, tmp_path), tmp_path))

    async def test_gives_what_a_command_wrote(self, tmp_path: Path) -> None:
        """Exit code, stdout, stderr; the parsed JSON where asked for."""
        async with self.running(tmp_path) as runner:
            work = sh("""echo '{"n": 1}'; echo careful >&2""", tmp_path, parse="json")
            value = await runner.invoke(make_attempt(work, tmp_path))
            assert value == {"exit_code": 0, "stdout": '{"n": 1}\n', "stderr": "careful\n", "json": {"n": 1}}

    async def test_raises_a_commands_exit_code(self, tmp_path: Path) -> None:
        """With the end of its stderr."""
        async with self.running(tmp_path) as runner:
            with pytest.raises(ShellError, match="no such luck") as caught:
                await runner.invoke(make_attempt(sh("echo no such luck >&2; exit 3", tmp_path), tmp_path))
            assert caught.value.exit_code == 3

    async def test_says_why_a_command_cannot_be_used(self, tmp_path: Path) -> None:
        """Not found; or no JSON where JSON was asked for."""
        async with self.running(tmp_path) as runner:
            with pytest.raises(CommandNotStartedError, match="no command 'no-such-program' on PATH"):
                work = ShellCommand(("no-such-program",), {}, str(tmp_path))
                await runner.invoke(make_attempt(work, tmp_path))
            with pytest.raises(OutputError, match="begins with 'plain text'"):
                await runner.invoke(make_attempt(sh("echo plain text", tmp_path, parse="json"), tmp_path))

    # -- whose attempt -----------------------------------------------------------------------------------------------

    @over_kinds
    async def test_parallel_attempts_know_themselves(self, tmp_path: Path, kind: str, process: bool) -> None:
        """Also where threads and processes are used again."""
        async with self.running(tmp_path) as runner:
            keys = [f"step[{i}]" for i in range(30)]
            work = self.call(f"{kind}_key", process, tmp_path)
            attempts = [make_attempt(work, tmp_path, step_key=key) for key in keys]
            assert await asyncio.gather(*map(runner.invoke, attempts)) == keys

    @over_kinds
    async def test_progress_is_a_note_of_the_attempt(self, tmp_path: Path, kind: str, process: bool) -> None:
        """Told by the time that the attempt ends."""
        notes: list[Note] = []
        async with self.running(tmp_path) as runner:
            work = self.call(f"{kind}_progress", process, tmp_path)
            await runner.invoke(make_attempt(work, tmp_path, notes=notes, step_key="mine"))
        assert [(n.step_key, n.kind, n.text, n.fraction) for n in notes] == [("mine", "progress", "a quarter", 0.25)]

    async def test_a_commands_output_and_progress_are_notes(self, tmp_path: Path) -> None:
        """Line by line, each of its kind."""
        notes: list[Note] = []
        async with self.running(tmp_path) as runner:
            text = 'echo one; echo two >&2; echo "0.5 half" >&$ORCHESTRATOR_PROGRESS_FD; printf three'
            await runner.invoke(make_attempt(sh(text, tmp_path), tmp_path, notes=notes))
        assert sorted((n.kind, n.text) for n in notes) == [
            ("progress", "half"), ("stderr", "two"), ("stdout", "one"), ("stdout", "three"),
        ]  # fmt: skip

    async def test_a_command_knows_whose_it_is(self, tmp_path: Path) -> None:
        """By its environment; `python` is the interpreter that runs the engine."""
        async with self.running(tmp_path) as runner:
            text = 'echo "$ORCHESTRATOR_EXECUTION_ID $ORCHESTRATOR_STEP $ORCHESTRATOR_ATTEMPT $MORE"; command -v python'
            attempt = make_attempt(sh(text, tmp_path, env={"MORE": "added"}), tmp_path, step_key="mine")
            value = await runner.invoke(attempt)
        assert value["stdout"] == f"execution mine 1 added\n{Path(sys.executable).parent / 'python'}\n"

    # -- ending ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", ["awaited", "process", "command"])
    @pytest.mark.parametrize("how", ["timeout", "cancel", "cancel twice"])
    async def test_ends_what_takes_too_long(self, tmp_path: Path, kind: str, how: str) -> None:
        """When it has raised, nothing of the attempt runs; a cancellation is raised as one."""
        started = tmp_path / "started"
        async with self.running(tmp_path) as runner:
            attempt = make_attempt(
                self._forever(kind, tmp_path, started), tmp_path, timeout_seconds=0.4 if how == "timeout" else None
            )
            task = asyncio.ensure_future(runner.invoke(attempt))
            await until(lambda: started.exists() and started.read_text())
            for _ in range(how.count("cancel") + how.count("twice")):
                task.cancel()
                await asyncio.sleep(0.01)
            with pytest.raises(StepTimeoutError if how == "timeout" else asyncio.CancelledError):
                await task
            if kind == "awaited":
                assert (tmp_path / "started.end").exists()
            else:
                assert not is_alive(int(started.read_text()))

    async def test_interrupt_asks_processes_to_end(self, tmp_path: Path) -> None:
        """With SIGTERM, which they may heed."""
        async with self.running(tmp_path) as runner:
            text = "trap 'echo heard; exit 0' TERM; touch started; while :; do sleep 0.01; done"
            task = asyncio.ensure_future(runner.invoke(make_attempt(sh(text, tmp_path), tmp_path)))
            await until((tmp_path / "started").exists)
            runner.interrupt()
            assert (await task)["stdout"] == "heard\n"

    @pytest.mark.parametrize("kind", ["awaited", "process", "command"])
    async def test_close_ends_what_is_left(self, tmp_path: Path, kind: str) -> None:
        """At once, and a second close does nothing."""
        started = tmp_path / "started"
        async with self.running(tmp_path) as runner:
            work = self._forever(kind, tmp_path, started)
            task = asyncio.ensure_future(runner.invoke(make_attempt(work, tmp_path)))
            await until(lambda: started.exists() and started.read_text())
            await runner.close()
            await runner.close()
            with suppress(Exception):
                await task
            assert task.done()
            assert kind == "awaited" or not is_alive(int(started.read_text()))

    def _forever(self, kind: str, folder: Path, started: Path) -> Work:
        if kind == "command":
            return sh(f"echo $$ > {started}.new; mv {started}.new {started}; while :; do sleep 1; done", folder)
        name = "awaited_forever" if kind == "awaited" else "plain_forever"
        return self.call(name, kind == "process", folder, started=str(started))
