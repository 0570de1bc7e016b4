"""Who runs an execution, and whether that process is still there.

A process is named by host, boot, pid and start time. On its own machine its death is a fact that `/proc` tells, so that
what it left behind is free at once; from elsewhere it can only be guessed from the age of its heartbeat. A pid means
something inside one process namespace alone, so the namespace is part of the boot id: two containers of one machine
that share a host name judge each other by heartbeat. Where the kernel has no `/proc`, a pid that is gone proves a
death, and one that is there proves nothing.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from orchestrator.clock import Clock, new_id
from orchestrator.journal.store import LEASE_SECONDS, Owner

_PROC = Path("/proc")


def this_owner(clock: Clock) -> Owner:
    """This process as an owner, under a token that no other call gives."""
    pid = os.getpid()
    stat = _stat(pid)
    return Owner(new_id(clock), platform.node(), _boot_id(), pid, stat[1] if stat else 0)


def is_gone(owner: Owner, *, heartbeat_age_seconds: float) -> bool:
    """Whether nothing of this owner can still write: its process is known to be gone, or has been silent too long."""
    known = _known_gone(owner)
    return heartbeat_age_seconds > LEASE_SECONDS if known is None else known


def _known_gone(owner: Owner) -> bool | None:
    """What this machine can tell for certain; None where it can tell nothing."""
    boot, _, namespace = owner.boot_id.partition("/")
    our_boot, _, our_namespace = _boot_id().partition("/")
    if owner.host != platform.node() or bool(boot) != bool(our_boot):
        return None
    if boot != our_boot:
        return True
    return _process_is_gone(owner.pid, owner.started) if namespace == our_namespace else None


def _process_is_gone(pid: int, started: int) -> bool | None:
    if os.name != "posix" or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it is there, and is somebody else's
    stat = _stat(pid)
    if stat is None or not started:
        return None
    state, its_start = stat
    return state in ("Z", "X") or its_start != started


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time in clock ticks; None where `/proc` does not say."""
    text = _read(_PROC / str(pid) / "stat")
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return (fields[0], int(fields[19])) if len(fields) > 19 else None


def _boot_id() -> str:
    """The kernel's boot id and this process namespace, `boot/namespace`; empty where there is no such thing."""
    boot = _read(_PROC / "sys/kernel/random/boot_id").strip()
    return f"{boot}/{_namespace()}" if boot else ""


def _namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
