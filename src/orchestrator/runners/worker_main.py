"""The program of a worker process: handlers that run outside of the engine, one attempt at a time.

Descriptor 3 is a socket to the engine, which speaks in frames: `hello` (the engine's sys.path) is answered by
`ready`, each `attempt` by notes and then one `result` or `error`. Descriptors 1 and 2 are pipes that the engine
reads. It starts with few imports; what a handler's module needs is imported with it.

A worker that an attempt left something in (a process, a thread, a forked copy of itself) says so, `clean: false`, and
is not used again: nothing of an attempt outlives it, and no attempt finds a broken pool that another one made.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from orchestrator.clock import SystemClock
from orchestrator.errors import HandlerNotFoundError
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt, PythonCall
from orchestrator.journal.codec import pack, unpack
from orchestrator.journal.store import Note
from orchestrator.runners.frames import Frame, FrameReader
from orchestrator.runners.handler_errors import as_failure, describe
from orchestrator.runners.handlers import resolve_handler
from orchestrator.runners.output import capture_logging

_CHANNEL_FD = 3


class Channel:
    """The socket to the engine. Any thread may send."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._lock = threading.Lock()
        self._reader = FrameReader()

    def send(self, frame: Frame) -> None:
        """Send a frame; raises OSError where the engine, or the socket, is gone."""
        with self._lock:
            for part in frame.parts():
                self._socket.sendall(part)

    def frames(self) -> Iterator[Frame]:
        """What the engine sends, to its end."""
        while data := self._socket.recv(256 * 1024):
            yield from self._reader.feed(data)

    def emit(self, note: Note) -> None:
        """Send a note."""
        self.send(Frame("note", {"kind": note.kind, "text": note.text, "fraction": note.fraction}))


def main() -> None:
    """Serve attempts until the engine hangs up."""
    channel = Channel(_CHANNEL_FD)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper here
    with capture_logging(SystemClock(), logging.INFO):
        for frame in channel.frames():
            if frame.kind == "hello":
                sys.path[:] = frame.header["path"]
                channel.send(Frame("ready"))
            else:
                channel.send(answer(frame, channel))


def answer(frame: Frame, channel: Channel) -> Frame:
    """Make an attempt; its result or error, and whether the worker is as it was before."""
    this_process, threads, folder = os.getpid(), threading.active_count(), os.getcwd()  # noqa: PTH109
    try:
        kind, header, body = "result", {}, pack(perform(frame, channel))
    except BaseException as exc:  # noqa: BLE001 - it travels to the engine, which raises it there
        kind, header, body = "error", describe(as_failure(exc)), b""
    if os.getpid() != this_process:  # the handler forked, and this is the fork coming back from it
        os._exit(0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the handler closed it
            stream.flush()
    clean = threading.active_count() == threads and not has_children()
    if clean:
        os.chdir(folder)
    return Frame(kind, header | {"clean": clean}, body)


def perform(frame: Frame, channel: Channel) -> Any:
    """Call the handler. Its module is imported before its arguments are read, which may be of the module's classes."""
    facts = frame.header
    if facts["target"].startswith("__main__:"):
        raise HandlerNotFoundError(
            f"{facts['target']}: a worker process does not run the program itself; put the handler into a module",
            facts["target"],
        )
    handler = resolve_handler(facts["target"], facts["base_dir"])
    arguments = unpack(frame.body)
    attempt = Attempt(
        execution_id=facts["execution_id"],
        pipeline_id=facts["pipeline_id"],
        step_key=facts["step_key"],
        generation=facts["generation"],
        attempt=facts["attempt"],
        work=PythonCall(facts["target"], arguments, process=True),
        timeout_seconds=facts["timeout_seconds"],
        base_dir=facts["base_dir"],
        emit=channel.emit,
    )
    token = CURRENT_ATTEMPT.set(attempt)
    try:
        return settled(handler(**arguments))
    finally:
        CURRENT_ATTEMPT.reset(token)


def settled(value: Any) -> Any:
    """The value of a handler; that of an async one is awaited on a loop of its own."""
    if not inspect.iscoroutine(value):
        return value
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def has_children() -> bool:
    """Whether any child process is left, living or not yet waited for; orphans come back to a worker as its own."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()
