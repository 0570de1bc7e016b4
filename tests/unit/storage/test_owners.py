"""Who is alive: what this machine can tell of its own processes, and of others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.clock import SystemClock
from orchestrator.journal.store import LEASE_SECONDS, Owner
from orchestrator.storage import this_owner
from orchestrator.storage.owners import is_gone

FRESH, OLD = 1.0, LEASE_SECONDS + 1


@pytest.fixture
def owner() -> Owner:
    owner = this_owner(SystemClock())
    if not owner.started:
        pytest.skip("this system does not tell when a process started")
    return owner


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that says who it is and waits to be told to end."""
    code = (
        "from orchestrator.storage import this_owner; from orchestrator.clock import SystemClock; import sys\n"
        "o = this_owner(SystemClock()); print(o.token, o.host, o.boot_id, o.pid, o.started, flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True)
    with process:
        yield process


def told(child: subprocess.Popen[str]) -> Owner:
    assert child.stdout is not None
    token, host, boot, pid, started = child.stdout.readline().split()
    return Owner(token, host, boot, int(pid), int(started))


def test_every_call_gives_a_token_of_its_own(owner: Owner) -> None:
    assert this_owner(SystemClock()).token != owner.token
    assert str(owner) == f"{owner.host}:{os.getpid()}"


def test_this_process_lives_however_old_its_heartbeat(owner: Owner) -> None:
    assert not is_gone(owner, heartbeat_age_seconds=OLD)


def test_another_process_lives_until_it_ends(owner: Owner, child: subprocess.Popen[str]) -> None:
    other = told(child)
    assert (other.host, other.boot_id) == (owner.host, owner.boot_id)
    assert not is_gone(other, heartbeat_age_seconds=OLD)
    child.kill()
    # Dead, and not waited for: a zombie.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(other, heartbeat_age_seconds=FRESH)
    child.wait()
    assert is_gone(other, heartbeat_age_seconds=FRESH)


@pytest.mark.parametrize(
    ("changes", "gone_when_fresh", "gone_when_old"),
    [
        ({"started": 1}, True, True),  # the number was given to another process
        ({"pid": 2**31 - 1}, True, True),
        ({"pid": 2**80}, True, True),
        ({"boot_id": "another/pid:[1]"}, True, True),  # the machine has been started since
        ({"boot_id": "SAME/pid:[1]"}, False, True),  # another container: its numbers mean nothing here
        ({"boot_id": ""}, False, True),
        ({"host": "another"}, False, True),
        ({"host": "another", "boot_id": "another"}, False, True),
        ({"started": 0}, False, True),  # it did not know when it started
        ({"pid": 0}, False, True),
    ],
)
def test_what_can_be_told_of_others(
    owner: Owner, changes: dict[str, object], gone_when_fresh: bool, gone_when_old: bool
) -> None:
    boot = str(changes.get("boot_id", "")).replace("SAME", owner.boot_id.partition("/")[0])
    other = replace(owner, **{**changes, **({"boot_id": boot} if "boot_id" in changes else {})})  # type: ignore[arg-type]
    assert is_gone(other, heartbeat_age_seconds=FRESH) is gone_when_fresh
    assert is_gone(other, heartbeat_age_seconds=OLD) is gone_when_old
