"""The engine's side of the guard: starts the program, asks it for children, and knows of each child when it is gone.

One guard serves one `LocalRunner`. It is started at the first need or by `start`; should it die, the next need starts
another, while the children that run go on under their keepers. Everything here belongs to the loop that made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import WorkerLostError
from orchestrator.runners.child import UNKILLABLE_SECONDS, Child

_BOOT = "import sys; sys.path.append(sys.argv[4]); from orchestrator.runners.guard import main; main()"
_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}
_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}
#: How soon to offer a child again to a guard that is behind; how often to see whether it has ended, and how long.
_AGAIN_SECONDS = 0.002
_FAREWELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to start: `argv` in `cwd` with exactly this environment. `subreaper`: its orphans come back to it."""

    argv: Sequence[str]
    env: dict[str, str]
    cwd: str
    subreaper: bool = False

    def encode(self, grace_seconds: float) -> bytes:
        """As the keeper reads it. Raises ValueError for a text that exec(3) cannot carry."""
        entries = [f"{name}={value}" for name, value in self.env.items()]
        cwd = str(Path(self.cwd).absolute())
        head = [f"{grace_seconds:g}", "1" if self.subreaper else "0", cwd, str(len(self.argv))]
        fields = [os.fsencode(text) for text in (*head, *self.argv, *entries)]
        if any(b"\0" in field for field in fields):
            raise ValueError("an argument or environment variable contains a NUL character")
        data = b"\0".join(fields)
        return len(data).to_bytes(4, "big") + data


class Guard:
    """One guard process, and the children that were started through it."""

    def __init__(self, owner_token: str, *, grace_seconds: float, ends_relatives: bool = False) -> None:
        self._owner_token, self._grace_seconds, self._ends_relatives = owner_token, grace_seconds, ends_relatives
        self._process: subprocess.Popen[bytes] | None = None
        self._server: socket.socket | None = None
        self._children: set[Child] = set()

    @property
    def children(self) -> frozenset[Child]:
        """Those that are not known to be gone."""
        return frozenset(self._children)

    def start(self) -> socket.socket:
        """Start the guard unless it runs; gives the socket to it. Raises OSError where no process can be made."""
        if self._server is not None and self._process is not None and self._process.poll() is None:
            return self._server
        self._forget()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        inode = os.fstat(ours.fileno()).st_ino if self._ends_relatives else 0
        root = str(Path(__file__).parents[2])
        arguments = [str(theirs.fileno()), str(os.getpid()), str(inode), root]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _BOOT, *arguments],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                    env={**os.environ, "ORCHESTRATOR_GUARD": self._owner_token},
                )
            except BaseException:
                ours.close()
                raise
        self._server = ours
        return ours

    async def spawn(self, spawn: Spawn, outputs: Sequence[int]) -> Child:
        """Start a child whose descriptors 1, 2 and 3 are `outputs`; returns when its exec has succeeded.

        Raises OSError as fork, chdir (with the folder as its filename) or exec did, ValueError for a NUL in a text,
        WorkerLostError where the guard died meanwhile. Cancelled or failed, it leaves nothing.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            mark = f"{self._owner_token}/{os.fstat(ours.fileno()).st_ino}"
            child = Child(ours, mark)
            try:
                request = Spawn(spawn.argv, spawn.env | {"ORCHESTRATOR_CHILD": mark}, spawn.cwd, spawn.subreaper)
                data = request.encode(self._grace_seconds)
                await self._hand_over([theirs.fileno(), *outputs])
            except BaseException:
                child.close()
                raise
        self._children.add(child)
        child.gone.add_done_callback(lambda _: self._children.discard(child))
        await child.start(data, spawn.cwd)
        return child

    async def close(self) -> None:
        """End every child at once, wait for that, then let the guard go."""
        for child in self._children:
            child.kill()
        if self._children:
            await asyncio.wait([child.gone for child in self._children], timeout=UNKILLABLE_SECONDS)
        process = self._process
        if process is None or self._server is None:
            return
        with contextlib.suppress(OSError):  # it is gone already
            self._server.send(b"farewell")
        waited = 0.0
        while process.poll() is None:
            if waited > _FAREWELL_SECONDS:
                process.kill()
            await asyncio.sleep(_AGAIN_SECONDS)
            waited += _AGAIN_SECONDS
        self._forget()

    async def _hand_over(self, fds: list[int]) -> None:
        """Give a keeper's descriptors to the guard; waits while it is behind, starts another one if it died."""
        deaths = 0
        while True:
            server = self.start()
            try:
                socket.send_fds(server, [b"child"], fds)
                return
            except OSError as exc:
                if exc.errno in _FULL:
                    await asyncio.sleep(_AGAIN_SECONDS)
                elif exc.errno in _GONE and deaths < 3:
                    deaths += 1
                    self._forget()
                else:
                    raise WorkerLostError(
                        f"no child can be started: the guard process does not answer ({exc})"
                    ) from exc

    def _forget(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
