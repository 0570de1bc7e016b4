"""A keeper: the process between the guard and one child, which stays until nothing of the child's tree is left.

It is a *subreaper* (prctl(2)): a grandchild that leaves its session, or whose parent has ended (`setsid`, `nohup`, a
double fork), becomes the keeper's child instead of init's. So a tree cannot lose a member, whatever its members do to
their session, group or environment, and "nothing is left" is one answer of waitpid(2), not a guess.

A tree is ended when its leader has ended (the rest gets `SETTLE_SECONDS` to end by itself: `> >(tee log)` does), when
the engine asks, and when the engine is gone: its end of the socket closed, or its pidfd readable.

The engine sends, after the length in 4 bytes and separated by NUL (which no string of exec(3) contains): the grace in
seconds, 1 where the leader is to be a subreaper too, the folder, the number of arguments, the arguments, the
environment. Then `t` ends the tree politely, with SIGKILL after the grace; hanging up ends it at once. It is told, a
line each: `started <pid>`, `failed <errno> <fork|chdir|exec>`, `ended <exit code> <how many had to be killed>`. After
the last nothing of the tree is left.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time

from orchestrator.runners.processes import (
    AGAIN_SECONDS,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    descendants,
    has_ended,
    kill,
    prctl,
    process_table,
    reap,
    wake_on_child,
)

#: How long what a leader leaves behind may take to end by itself.
SETTLE_SECONDS = 0.2
#: Signals that the guard ignores or Python does; a leader gets the kernel's defaults.
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)


def read_request(control: socket.socket) -> list[bytes] | None:
    """What to run; None where the engine changed its mind."""
    length = int.from_bytes(control.recv(4, socket.MSG_WAITALL), "big")
    data = control.recv(length, socket.MSG_WAITALL) if length else b""
    return data.split(b"\0") if data and len(data) == length else None


def tell(control: socket.socket, line: str) -> None:
    """Say something to the engine; an engine that is gone hears nothing."""
    try:
        control.sendall(f"{line}\n".encode())
    except OSError:
        return


def become(request: list[bytes], outputs: list[int], keeper: int, complain: int) -> None:
    """In the fork: turn into the leader. Returns only where that failed, having written why to `complain`."""
    subreaper, cwd, count = request[1] == b"1", request[2], int(request[3])
    argv, environment = request[4 : 4 + count], request[4 + count :]
    stage = "exec"
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            return
        if subreaper:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        for target, fd in enumerate(outputs, 1):
            os.dup2(fd, target)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        stage = "chdir"
        os.chdir(cwd)
        stage = "exec"
        os.execvpe(argv[0], argv, dict(entry.split(b"=", 1) for entry in environment))
    except OSError as exc:
        os.write(complain, f"{exc.errno} {stage}".encode())


def launch(request: list[bytes], outputs: list[int]) -> tuple[int, str]:
    """Start the leader: its pid, and what went wrong (`<errno> <stage>`, empty where nothing did)."""
    read_end, write_end = os.pipe()
    keeper = os.getpid()
    leader = os.fork()
    if leader == 0:
        try:
            become(request, outputs, keeper, write_end)
        finally:
            os._exit(127)
    for fd in (write_end, *outputs):
        os.close(fd)
    with os.fdopen(read_end, "rb") as stream:
        return leader, stream.read().decode()


def ask_to_end(leader: int, leads: bool) -> None:
    """SIGTERM once to every process below this one; the leader's group gets it as a group."""
    table = process_table()
    below = descendants({os.getpid()}, table)
    if leads:  # it was not reaped, so that the number is still its own
        os.killpg(leader, signal.SIGTERM)
        below = {pid for pid in below if table[pid][1] != leader}
    kill(below, signal.SIGTERM)


def tend(control: socket.socket, engine: int | None, wake: int, leader: int, grace_seconds: float) -> tuple[int, int]:
    """Stay until not one process of the tree is left.

    Gives the leader's exit code (negative: the signal), and how many processes had to be killed.
    """
    exit_code: int | None = None
    killed: set[int] = set()
    deadline: float | None = None
    poller = select.poll()
    for fd in (control.fileno(), wake, engine):
        if fd is not None:
            poller.register(fd, select.POLLIN)
    while True:
        ended, any_left = reap()
        if leader in ended:
            exit_code = os.waitstatus_to_exitcode(ended[leader])
        if not any_left:
            return exit_code if exit_code is not None else -signal.SIGKILL, len(killed)
        now = time.monotonic()
        if exit_code is not None and deadline is None:
            deadline = now + SETTLE_SECONDS
        if deadline is not None and now >= deadline:
            left_over = descendants({os.getpid()}, process_table())
            killed |= left_over
            kill(left_over)
        left = None if deadline is None else max(AGAIN_SECONDS, deadline - now) * 1000
        ready = poller.poll(left)
        now = time.monotonic()  # it may have slept for long
        for fd, _ in ready:
            if fd == wake:
                os.read(wake, 4096)
                continue
            if fd == control.fileno() and control.recv(16):
                ask_to_end(leader, exit_code is None)
                deadline = now + grace_seconds if deadline is None else min(deadline, now + grace_seconds)
                continue
            deadline = now  # the engine hung up, or is gone
            poller.unregister(fd)


def keep(control: socket.socket, outputs: list[int], engine: int | None) -> None:
    """The life of a keeper."""
    request = read_request(control)
    if request is None or has_ended(engine):
        return
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = wake_on_child()
    try:
        leader, fault = launch(request, outputs)
    except OSError as exc:
        tell(control, f"failed {exc.errno} fork")
        return
    if fault:
        tell(control, f"failed {fault}")
    else:
        tell(control, f"started {leader}")
    exit_code, killed = tend(control, engine, wake, leader, float(request[0]))
    tell(control, f"ended {exit_code} {killed}")
