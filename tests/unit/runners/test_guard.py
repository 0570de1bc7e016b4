"""The guard and its client: what happens when either of them, or a keeper, is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from orchestrator.errors import WorkerLostError
from orchestrator.runners.processes import process_table
from orchestrator.testing.runner_contract import is_alive, until

from .conftest import Bench

SLEEPER = "(setsid sh -c 'echo $$ >> pids; exec sleep 600' &); echo $$ >> pids; exec sleep 600"


async def two_running(bench: Bench) -> tuple[asyncio.Task[object], list[int]]:
    """A command that runs, and the pids of its leader and of its daemon."""
    task = asyncio.ensure_future(bench.sh(SLEEPER))
    path = bench.folder / "pids"
    await until(lambda: path.exists() and path.read_text().count("\n") == 2)
    return task, [int(pid) for pid in path.read_text().split()]


def parent(pid: int) -> int:
    return process_table()[pid][0]


def keeper_of(pids: list[int]) -> int:
    """The daemon's parent is its keeper, as is the leader's."""
    keepers = {parent(pid) for pid in pids}
    assert len(keepers) == 1
    return keepers.pop()


async def test_orphans_belong_to_the_keeper_and_keepers_to_the_guard(bench: Bench) -> None:
    task, pids = await two_running(bench)
    assert parent(parent(keeper_of(pids))) == os.getpid()
    task.cancel()
    await asyncio.wait({task})


async def test_a_killed_keeper_takes_its_tree_along(bench: Bench) -> None:
    task, pids = await two_running(bench)
    os.kill(keeper_of(pids), signal.SIGKILL)
    with pytest.raises(WorkerLostError, match=r"the process that watched over .* was killed"):
        await task
    await until(lambda: not any(map(is_alive, pids)))
    assert (await bench.sh("echo on"))["stdout"] == "on\n"


async def test_a_killed_guard_is_replaced_and_its_children_run_on(bench: Bench) -> None:
    task, pids = await two_running(bench)
    guard = parent(keeper_of(pids))
    os.kill(guard, signal.SIGKILL)
    await until(lambda: not is_alive(guard))
    assert (await bench.sh("echo on"))["stdout"] == "on\n"
    assert all(map(is_alive, pids))
    task.cancel()
    await asyncio.wait({task})
    assert not any(map(is_alive, pids))


async def test_a_killed_guard_and_keeper_are_known_by_the_mark(bench: Bench) -> None:
    """Nobody is left that knows the tree; what carries the child's mark is ended all the same."""
    task, pids = await two_running(bench)
    keeper = keeper_of(pids)
    guard = parent(keeper)
    os.kill(guard, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        await task
    os.kill(guard, signal.SIGKILL)
    assert not any(map(is_alive, pids))


async def test_the_terminals_signals_do_not_reach_the_children(bench: Bench) -> None:
    task, pids = await two_running(bench)
    guard = parent(keeper_of(pids))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard, number)
    assert (await bench.sh("echo on"))["stdout"] == "on\n"
    assert os.getsid(guard) == guard
    assert {os.getsid(pid) for pid in pids} == set(pids)
    task.cancel()
    await asyncio.wait({task})


async def test_open_starts_the_guard_alone(bench: Bench) -> None:
    await bench.runner.open()
    await until(lambda: any(parent == os.getpid() for parent, _ in process_table().values()))


async def test_keepers_are_gone_when_their_children_are(bench: Bench) -> None:
    task, pids = await two_running(bench)
    keeper = keeper_of(pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Exception, match="signal 9"):
        await task
    await until(lambda: not is_alive(keeper) and not Path(f"/proc/{keeper}").exists())
