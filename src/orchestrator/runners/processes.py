"""Processes as the kernel shows them: who is whose child, who carries a mark, and how to end them.

For Linux, by `/proc` and signals. Used by the guard (which is a program of its own) and by whoever looks for what a
dead engine left. It imports little, so that the guard starts fast; hence `os` where the house uses `pathlib`.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal

#: How often to look again while something is being killed.
AGAIN_SECONDS = 0.05
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def process_table() -> dict[int, tuple[int, int]]:
    """Every living process: pid -> (parent, group). Zombies count as dead."""
    table = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if fields[0] not in b"ZX":
                table[int(name)] = (int(fields[1]), int(fields[2]))
    return table


def descendants(roots: set[int], table: dict[int, tuple[int, int]]) -> set[int]:
    """All that stands below these processes."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    front = list(roots)
    while front:
        fresh = [pid for pid in children.get(front.pop(), ()) if pid not in found]
        found.update(fresh)
        front += fresh
    return found


def marked(*marks: bytes) -> set[int]:
    """The processes that were started with one of these `NAME=value` in their environment."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
                environment = file.read()  # empty of a zombie and of the kernel's own
            if environment and not {*marks}.isdisjoint(environment.split(b"\0")):
                found.add(int(pid))
        except OSError:  # ended, or another user's
            continue
    return found


def holders(inode: int) -> set[int]:
    """The processes that have this socket open."""
    found = set()
    for pid in process_table():
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":  # noqa: PTH115
                    found.add(pid)
        except OSError:
            continue
    return found


def kill(pids: set[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each; those that are gone, or that we may not signal, are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def reap() -> tuple[dict[int, int], bool]:
    """Take the ended children, pid -> wait status; and whether any child, living or ended, is left."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended[pid] = status


def wake_on_child() -> int:
    """A descriptor that becomes readable whenever a child ends."""
    signal.set_wakeup_fd(-1)
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def prctl(option: int, value: int) -> None:
    """prctl(2); what the kernel cannot do is left undone."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when that process has ended; None where the kernel has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def has_ended(watched: int | None, within_seconds: float = 0.0) -> bool:
    """Whether the process of this pidfd has ended, or does so in that time."""
    return watched is not None and bool(select.select([watched], [], [], within_seconds)[0])
