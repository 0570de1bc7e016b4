"""The guard: a small program that starts every child of an engine and lets none of them outlive it.

    engine ── guard ─┬─ keeper ── leader (a shell command) ── whatever that starts
                     └─ keeper ── leader (a worker process) ── …

The guard itself does next to nothing: for each child it is handed four descriptors over a socket (the keeper's end of a
socket to the engine, and the leader's descriptors 1, 2 and 3), and forks a keeper, see `keeper.py`. It is the subreaper
above the keepers and ends what a killed keeper leaves. When the engine is gone, it ends everything. It knows that by a
pidfd of the engine, which a fork of the engine that inherited the socket cannot keep quiet.

Rejected: process groups alone (`setsid` leaves them); marks in the environment alone (`env -i` removes them); cgroups
(not there without rights); forking in the engine (a program with threads and an open database); one guard without
keepers (it cannot tell whose an orphan is that carries no mark).

It starts in 25 ms (`python -I -S`, little of the standard library), in a session of its own, deaf to the terminal's
signals. It is no part of the engine's process, so it reads its own clock. Arguments: the socket, the engine's pid,
and the inode of the engine's end of the socket where forks of the engine are to be ended too (else 0).
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import socket
import sys
import time

from orchestrator.runners.keeper import keep, tell
from orchestrator.runners.processes import (
    AGAIN_SECONDS,
    PR_SET_CHILD_SUBREAPER,
    descendants,
    has_ended,
    holders,
    kill,
    marked,
    pidfd,
    prctl,
    process_table,
    reap,
    wake_on_child,
)

_FIRST_FREE_FD = 10
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def start_keeper(server: socket.socket, fds: list[int], engine: int | None) -> int | None:
    """Fork a keeper for the child whose descriptors these are; None where no process can be made."""
    with socket.socket(fileno=fds[0]) as control:
        try:
            pid = os.fork()
        except OSError as exc:
            tell(control, f"failed {exc.errno} fork")
            pid = None
        if pid == 0:
            status = 1
            try:
                server.close()
                keep(control, fds[1:], engine)
                status = 0
            finally:
                if status:
                    sys.excepthook(*sys.exc_info())
                os._exit(status)
    for fd in fds[1:]:
        os.close(fd)
    return pid


def serve(server: socket.socket, engine: int | None) -> bool:
    """Start keepers until the engine says that it is done, or has died (True)."""
    wake = wake_on_child()
    poller = select.poll()
    for fd in (server.fileno(), wake, engine):
        if fd is not None:
            poller.register(fd, select.POLLIN)
    keepers: set[int] = set()
    lost_one = False
    while True:
        ended, _ = reap()
        lost_one = lost_one or any(status for pid, status in ended.items() if pid in keepers)
        keepers -= ended.keys()
        if lost_one:
            lost_one = end_strays(keepers)
        for fd, _ in poller.poll(AGAIN_SECONDS * 1000 if lost_one else None):
            if fd == wake:
                os.read(wake, 4096)
                continue
            if fd == engine:
                return True
            message, fds = receive(server)
            if not fds:  # a farewell; or the end of the socket, which comes shortly before the end of its process
                return not message and has_ended(engine, within_seconds=1.0)
            pid = start_keeper(server, fds, engine)
            if pid:
                keepers.add(pid)


def receive(server: socket.socket) -> tuple[bytes, list[int]]:
    """A message and the descriptors with it. (`socket.recv_fds` ignores its flags in CPython 3.11.)"""
    fds = array.array("i")
    space = socket.CMSG_SPACE(4 * fds.itemsize)
    message, ancillary, _, _ = server.recvmsg(16, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    return message, fds.tolist()


def end_strays(keepers: set[int]) -> bool:
    """Kill the guard's own children that are no keepers: theirs was killed. Tells whether there were any."""
    table = process_table()
    mine = os.getpid()
    strays = {pid for pid, (parent, _) in table.items() if parent == mine and pid not in keepers}
    kill(strays | descendants(strays, table))
    return bool(strays)


def end_everything(wake: int) -> None:
    """Kill all descendants, again and again, until there is not one."""
    while True:
        kill(descendants({os.getpid()}, process_table()))
        if not reap()[1]:
            return
        select.select([wake], [], [], AGAIN_SECONDS)


def end_relatives(mark: bytes, inode: int) -> None:
    """End what handlers inside the engine started past the guard: marked processes, and forks of the engine."""
    for _ in range(int(10 / AGAIN_SECONDS)):
        found = (marked(mark) | holders(inode)) - {os.getpid()}
        if not found:
            return
        kill(found)
        time.sleep(AGAIN_SECONDS)


def main() -> None:
    """The guard's life: see the top of this file."""
    fd, engine_pid, inode = map(int, sys.argv[1:4])
    token = os.environb.get(b"ORCHESTRATOR_GUARD", b"")
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    server = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD))
    os.close(fd)
    while os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) < _FIRST_FREE_FD - 1:
        continue  # low numbers are taken, so that a leader's descriptors never meet their own sources
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    engine = pidfd(engine_pid)
    engine_died = os.getppid() != engine_pid  # so soon
    try:
        engine_died = engine_died or serve(server, engine)
    finally:
        end_everything(wake_on_child())
    if engine_died and inode:
        end_relatives(b"ORCHESTRATOR_OWNER=" + token, inode)
