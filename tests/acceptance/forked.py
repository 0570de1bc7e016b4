"""Commands of the command line, each in a process that was forked from one that has loaded all that they need.

To start Python and import what a command needs takes ten times as long as the command. What a fork does is the same:
it has a process, streams, folder, environment and exit code of its own. What is about the start of Python itself (its
own environment variables, streams that are closed from the start, what is imported when) needs a process that starts.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LARGEST_REQUEST = 1 << 20


class Forks:
    """The process to fork from, and what is asked of it: one command at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as the streams of its children: how they are written to is settled here
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` with captured text, for `python -m orchestrator` with these arguments."""
        until = time.monotonic() + seconds
        pipes = [os.pipe(), os.pipe()]
        try:
            request = json.dumps([list(arguments), str(folder), dict(environment)]).encode()
            try:
                socket.send_fds(self._asking, [request], [write for _, write in pipes])
            finally:
                for _, write in pipes:
                    os.close(write)
            child = int(self._answer(until))
            try:
                out, err = _read_all([read for read, _ in pipes], until)
                return subprocess.CompletedProcess(arguments, int(self._answer(until)), out, err)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                self._answer(time.monotonic() + seconds)
                raise subprocess.TimeoutExpired(arguments, seconds) from None
        finally:
            for read, _ in pipes:
                os.close(read)

    def _answer(self, until: float) -> bytes:
        self._asking.settimeout(max(0.001, until - time.monotonic()))
        answer = self._asking.recv(64)
        assert answer, f"the process to fork from has ended: {self._process.communicate()}"
        return answer

    def close(self) -> None:
        """End it."""
        self._asking.close()
        self._process.communicate()


def _read_all(descriptors: Sequence[int], until: float) -> list[str]:
    """What comes through these pipes until nobody can write any more. Raises TimeoutError."""
    read = {descriptor: bytearray() for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                read[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    return [data.decode().replace("\r\n", "\n").replace("\r", "\n") for data in read.values()]


# ---------------------------------------------------------------- the process to fork from


def _load() -> None:
    """Import what commands import."""
    import orchestrator

    for found in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        if not found.name.startswith(("orchestrator.testing", "orchestrator.cli.starter", "orchestrator.__main__")):
            with suppress(ImportError):  # it serves a package that is not installed
                importlib.import_module(found.name)


def _serve(asked: socket.socket) -> None:
    """Fork for each request, and say the id of the child and how it ended. In a child it does not return."""
    while True:
        request, streams, _, _ = socket.recv_fds(asked, _LARGEST_REQUEST, 2)
        if not request:
            return
        child = os.fork()
        if not child:
            asked.close()
            arguments, folder, environment = json.loads(request)
            _become(arguments, folder, environment, streams)
        for descriptor in streams:
            os.close(descriptor)
        asked.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Be `python -m orchestrator` with these arguments. Raises SystemExit at its end."""
    for number, descriptor in enumerate(streams, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.path[0] = folder
    importlib.invalidate_caches()
    runpy.run_module("orchestrator", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _load()
    gc.freeze()
    with suppress(KeyboardInterrupt), socket.socket(fileno=int(sys.argv[1])) as _asked:
        _serve(_asked)
