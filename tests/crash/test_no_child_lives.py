"""No child outlives its engine: an engine is killed, and every process that it or a descendant started must be gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.runners.leftovers import end_leftovers
from orchestrator.runners.processes import descendants, kill, marked, process_table

#: kind -> how many pids its children write.
STARTED = {"shell": 7, "marked": 6, "process": 8, "thread": 6, "fork": 1}


class Engine:
    """A running engine and what it started."""

    def __init__(self, kind: str, folder: Path, token: str) -> None:
        program = Path(__file__).with_name("runner_engine.py")
        self.token, self.folder = token, folder
        self.process = subprocess.Popen([sys.executable, str(program), kind, str(folder), token], cwd=folder)
        until(lambda: len(self._pids(folder)) == STARTED[kind])
        self.pids = self._pids(folder)
        self.guard = marked(f"ORCHESTRATOR_GUARD={token}".encode())

    @staticmethod
    def _pids(folder: Path) -> set[int]:
        path = folder / "pids"
        return {int(line) for line in path.read_text().splitlines()} if path.exists() else set()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def living(self) -> set[int]:
        return self.pids & process_table().keys()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    engines: list[Engine] = []

    def start(kind: str) -> Engine:
        folder = tmp_path / str(len(engines))
        folder.mkdir()
        engines.append(Engine(kind, folder, f"crash-{uuid.uuid4().hex}"))
        assert engines[-1].living() == engines[-1].pids
        return engines[-1]

    yield start
    for engine in engines:
        with suppress(ProcessLookupError):
            engine.kill()
        kill(engine.living() | engine.guard)


@pytest.mark.parametrize("kind", STARTED)
def test_when_the_engine_is_killed(start: Callable[[str], Engine], kind: str) -> None:
    """Whatever they did to get away: another session, a double fork, deaf to signals, an empty environment."""
    engine = start(kind)
    engine.kill()
    until(lambda: not engine.living())
    until(lambda: not engine.guard & process_table().keys())


@pytest.mark.parametrize("kind", ["shell", "process"])
def test_when_the_engine_and_the_guard_are_killed(start: Callable[[str], Engine], kind: str) -> None:
    """Each keeper sees it by itself."""
    engine = start(kind)
    (guard,) = (pid for pid in engine.guard if process_table()[pid][0] == engine.process.pid)
    os.kill(guard, signal.SIGKILL)
    engine.kill()
    until(lambda: not engine.living())


def shot_with_all_who_know(start: Callable[[str], Engine]) -> Engine:
    """An engine that died with its guard and keepers, and left something; on a busy machine that takes tries."""
    for _ in range(5):
        engine = start("marked")
        kill(engine.guard, signal.SIGSTOP)
        kill(engine.guard | {engine.process.pid})
        engine.process.wait()
        until(lambda: not engine.guard & process_table().keys())  # noqa: B023 - called at once
        leader = int((engine.folder / "leader").read_text())
        until(lambda: leader not in engine.living())  # noqa: B023 - called at once
        if engine.living():
            return engine
    raise AssertionError("nothing was ever left, so that this test shows nothing")


def test_when_nobody_is_left_who_knows_them(start: Callable[[str], Engine]) -> None:
    """Engine, guard and keepers die at one blow. Leaders die with them; what carries the owner's mark is found."""
    engine = shot_with_all_who_know(start)
    assert end_leftovers("another token") == 0
    assert engine.living()
    assert end_leftovers(engine.token) >= 1
    assert not engine.living()
    assert end_leftovers(engine.token) == 0


def test_leftovers_wait_for_a_guard_that_is_at_work(start: Callable[[str], Engine]) -> None:
    """It knows more than the marks tell: what it ends is not counted, and is gone on return."""
    engine = start("shell")
    engine.kill()
    end_leftovers(engine.token)
    assert not engine.living()


def test_leftovers_spare_who_asks_and_those_above(tmp_path: Path) -> None:
    """A resume that was itself started by a step of the dead engine goes on."""
    token = f"crash-{uuid.uuid4().hex}"
    program = f"""
import os, subprocess, sys
from orchestrator.runners.leftovers import end_leftovers
child = subprocess.Popen(["sleep", "600"])
print(end_leftovers({token!r}), child.wait(), flush=True)
"""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c '{program.replace(chr(39), chr(34))}'; echo still here"],
        env={**os.environ, "ORCHESTRATOR_OWNER": token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "1 -9\nstill here\n", done.stderr


def test_an_engine_that_ends_by_itself_leaves_nothing(tmp_path: Path) -> None:
    """Even one that forgot to close its runner, by an exception or by `os._exit`."""
    program = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.runners.local import LocalRunner
from orchestrator.testing.runner_contract import make_attempt, sh
async def main():
    runner = LocalRunner(sys.argv[1])
    command = sh("setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 600' & sleep 600", Path.cwd())
    asyncio.ensure_future(runner.invoke(make_attempt(command, Path.cwd())))
    while not Path("pid").exists(): await asyncio.sleep(0.01)
    os._exit(7)
asyncio.run(main())
"""
    token = f"crash-{uuid.uuid4().hex}"
    done = subprocess.run([sys.executable, "-c", program, token], cwd=tmp_path, timeout=60)
    assert done.returncode == 7
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not {pid, *marked(f"ORCHESTRATOR_GUARD={token}".encode())} & process_table().keys())
    assert not descendants({os.getpid()}, process_table()) & {pid}


def test_a_command_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    """What a handler in the engine's own process has started ends with it, also where that has left its session."""
    (tmp_path / "tasks.py").write_text(
        """
import subprocess

def starts():
    subprocess.Popen(["sh", "-c", "echo $$ >> pids; exec sleep 600"])
    subprocess.run(["sh", "-c", "setsid sh -c 'echo $$ >> pids; exec sleep 600' &"])
    while len(open("pids").read().split()) < 2: pass
"""
    )
    (tmp_path / "pipeline.yaml").write_text("{pipeline: p, steps: [{id: a, call: 'tasks:starts'}]}")
    (tmp_path / "pids").touch()
    command = [sys.executable, "-m", "orchestrator", "run", "pipeline.yaml", "--store", "memory:"]
    done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, text=True)
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    try:
        assert done.returncode == 0, done.stderr
        assert len(pids) == 2
        until(lambda: not pids & process_table().keys())
    finally:
        kill(pids)
