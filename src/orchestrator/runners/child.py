"""One child of the engine: what its keeper tells of it, and how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from orchestrator.errors import WorkerLostError
from orchestrator.runners.processes import AGAIN_SECONDS, kill, marked
from orchestrator.runners.supervise import Reins, ended_when_asked, wait_patiently

#: How long a killed tree may take to be gone before it counts as one that cannot be ended.
UNKILLABLE_SECONDS = 10.0


class Child:
    """A tree of processes under a keeper.

    `gone` is done when not one process of the tree is left: with the exit code of its leader (negative: the signal that
    ended it), or None where the keeper itself was killed.
    """

    def __init__(self, control: socket.socket, mark: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._control = control
        self._mark = mark
        self._told = b""
        self._asked = False
        self._started: asyncio.Future[str] = self._loop.create_future()
        self._ending: asyncio.Task[None] | None = None
        self.pid = 0
        #: How many of its processes were killed because they did not end when they were asked to.
        self.killed = 0
        self.gone: asyncio.Future[int | None] = self._loop.create_future()

    async def start(self, request: bytes, cwd: str) -> None:
        """Send what to run and wait until it runs; see `Guard.spawn` for what is raised."""
        try:
            self._loop.add_reader(self._control.fileno(), self._on_readable)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the keeper is gone: told by the reader
                await self._loop.sock_sendall(self._control, request)
            await asyncio.wait({self._started})
        except asyncio.CancelledError:
            self.kill()
            await wait_patiently(self.reins(0.0))
            raise
        how, *rest = self._started.result().split()
        if how == "failed":
            await asyncio.wait({self.gone})
            number, stage = int(rest[0]), rest[1]
            raise OSError(number, os.strerror(number), cwd if stage == "chdir" else stage)
        if how == "lost":
            raise WorkerLostError("the process that was to start a child was killed")
        self.pid = int(rest[0])

    def reins(self, grace_seconds: float) -> Reins:
        """How it is ended where its attempt has to end."""
        patience = grace_seconds + UNKILLABLE_SECONDS
        return Reins(self.gone, self.end, self.kill, patience, lambda: f"process {self.pid}", how=self._how)

    def _how(self, seconds: float) -> str:
        if self.gone.result() is None:
            return f"its keeper was killed, and so was all below it, {seconds:.1f} s after it was asked to end"
        if self.killed:
            of_it = f"{self.killed} process{'es' if self.killed > 1 else ''}"
            return f"killed {seconds:.1f} s after it was asked to end ({of_it} did not heed SIGTERM)"
        return ended_when_asked(seconds)

    def end(self) -> None:
        """Ask it to end (SIGTERM, after the grace SIGKILL); who was asked before is ended at once."""
        if self._asked:
            self.kill()
            return
        self._asked = True
        with contextlib.suppress(OSError):  # gone already
            self._control.send(b"t")

    def kill(self) -> None:
        """End it at once, the whole tree, by hanging up as a dead engine would."""
        with contextlib.suppress(OSError):  # gone already
            self._control.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of it; a keeper that had begun ends its tree."""
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
        if not self._started.done():
            self._started.set_result("lost")

    def _on_readable(self) -> None:
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        *lines, self._told = (self._told + data).split(b"\n")
        for line in lines:
            self._hear(line.decode())
        if not data and not self.gone.done() and self._ending is None:
            self.close()
            self._ending = self._loop.create_task(self._end_without_keeper())

    def _hear(self, line: str) -> None:
        if not line.startswith("ended"):
            self._started.set_result(line)
            return
        self.close()
        _, exit_code, killed = line.split()
        self.killed = int(killed)
        self.gone.set_result(int(exit_code))

    async def _end_without_keeper(self) -> None:
        """The keeper was killed: its leader died with it, the guard ends the rest; so does this, by their mark."""
        mark = b"ORCHESTRATOR_CHILD=" + os.fsencode(self._mark)
        while left := marked(mark):
            kill(left, signal.SIGKILL)
            await asyncio.sleep(AGAIN_SECONDS)
        self.gone.set_result(None)
