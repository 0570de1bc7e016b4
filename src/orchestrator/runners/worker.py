"""One worker process, from the engine's side: its channel, its output, and what becomes of an attempt it was given."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

from orchestrator.clock import Clock
from orchestrator.errors import HandlerStillRunningError, WorkerLostError
from orchestrator.execution.driver import Attempt
from orchestrator.runners.child import UNKILLABLE_SECONDS, Child
from orchestrator.runners.environment import for_worker
from orchestrator.runners.frames import Frame, FrameReader
from orchestrator.runners.guard_client import Guard, Spawn
from orchestrator.runners.lines import LineSplitter
from orchestrator.runners.notes import NoteFunnel
from orchestrator.runners.pipes import ChildPipe
from orchestrator.runners.supervise import Reins, supervise, wait_patiently

_CHUNK_BYTES = 256 * 1024
#: A worker that hung up is given this long to end by itself, so that its own exit code is told.
_LAST_BREATH_SECONDS = 1.0
#: How much of what it wrote before its first attempt is kept, for the case that it does not start.
_BOOT_BYTES = 2000


class Worker:
    """A process that runs `worker_main`. Between attempts it keeps what handlers imported."""

    child: Child

    def __init__(self, base_dir: str) -> None:
        self.base_dir = base_dir
        self._loop = asyncio.get_running_loop()
        self._pipes = {kind: ChildPipe(partial(self._on_output, kind)) for kind in ("stdout", "stderr")}
        self._splitters = {kind: LineSplitter() for kind in self._pipes}
        self._funnel: NoteFunnel | None = None
        self._boot_output = b""
        self._channel, self._its_end = socket.socketpair()
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel.fileno(), self._on_readable)
        self._reader = FrameReader()
        self._answer: asyncio.Future[Frame | None] = self._loop.create_future()

    @classmethod
    async def start(cls, guard: Guard, owner_token: str, attempt: Attempt) -> Worker:
        """Start one for an attempt and wait until it is ready. Raises OSError or WorkerLostError where it cannot be."""
        worker = cls(attempt.base_dir)
        argv = [sys.executable, "-P", "-m", "orchestrator.runners.worker_main"]
        spawn = Spawn(argv, for_worker(owner_token), os.getcwd(), subreaper=True)  # noqa: PTH109
        try:
            fds = [pipe.write_end for pipe in worker._pipes.values()]
            worker.child = await guard.spawn(spawn, [*fds, worker._its_end.fileno()])
        except BaseException:
            worker._close()
            raise
        worker._its_end.close()
        for pipe in worker._pipes.values():
            pipe.handed_over()
        worker.child.gone.add_done_callback(lambda _: worker._close())
        try:
            ready = await worker._ask(Frame("hello", {"path": [*map(str, sys.path)]}))
        except asyncio.CancelledError:
            await worker._until_gone(attempt, worker.child.kill)
            raise
        if ready is None:
            await worker._until_gone(attempt)
            told = worker._boot_output.decode("utf-8", "replace").strip()
            raise WorkerLostError(
                f"the worker process of step {attempt.step_key!r} did not start: {told or 'it said nothing'}",
                attempt.step_key,
                worker.child.gone.result(),
            )
        return worker

    def is_usable(self) -> bool:
        """Whether it can be given an attempt; one that died a moment ago is known by its end of the channel."""
        if self._channel.fileno() >= 0:
            self._on_readable()
        return self._channel.fileno() >= 0 and not self.child.gone.done()

    async def perform(self, attempt: Attempt, frame: Frame, clock: Clock, grace_seconds: float) -> Frame:
        """Have an attempt made: its result or error. Raises WorkerLostError, and what `supervise` raises.

        When it has returned or raised, nothing of the attempt runs any more.
        """
        self._funnel = NoteFunnel(attempt, clock)
        done = self._loop.create_task(self._ask(frame))
        try:
            await supervise(
                done,
                self.child.reins(grace_seconds),
                step_key=attempt.step_key,
                timeout_seconds=attempt.timeout_seconds,
            )
            answer = done.result()
            if answer is None:
                await self._until_gone(attempt)
                raise _lost(attempt, self.child.gone.result())
            if not answer.header["clean"]:
                await self._until_gone(attempt, self.child.kill)
        finally:
            done.cancel()
            self._finish()
        return answer

    async def _ask(self, frame: Frame) -> Frame | None:
        """Send a frame and wait for what answers it; None where the worker hung up instead."""
        self._answer = self._loop.create_future()
        try:
            for part in frame.parts():
                await self._loop.sock_sendall(self._channel, part)
        except OSError:  # it hung up
            return None
        return await self._answer

    async def _until_gone(self, attempt: Attempt, end: Callable[[], object] | None = None) -> None:
        """Wait until nothing of it is left, having ended it, or left it a last breath."""
        last_breath = self._loop.call_later(0 if end else _LAST_BREATH_SECONDS, end or self.child.kill)
        patience = _LAST_BREATH_SECONDS + UNKILLABLE_SECONDS
        reins = self.child.reins(0.0)
        cancelled = await wait_patiently(Reins(reins.gone, reins.end, self.child.kill, patience, reins.where))
        last_breath.cancel()
        if cancelled is not None:
            raise cancelled
        if not self.child.gone.done():
            raise HandlerStillRunningError(attempt.step_key, reins.where(), patience)

    # -- what comes from it --------------------------------------------------------------------------------------

    def _on_output(self, kind: str, data: bytes) -> None:
        if self._funnel is None:
            self._boot_output = (self._boot_output + data)[-_BOOT_BYTES:]
        else:
            self._funnel.lines(kind, self._splitters[kind].feed(data))

    def _on_readable(self) -> None:
        try:
            data = self._channel.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        for frame in self._reader.feed(data):
            if frame.kind != "note":
                self._settle(frame)
            elif self._funnel is not None:
                self._on_note(self._funnel, frame)
        if not data:
            self._hang_up()

    @staticmethod
    def _on_note(funnel: NoteFunnel, frame: Frame) -> None:
        if frame.header["kind"] == "progress":
            funnel.progress(frame.header["fraction"] or 0.0, frame.header["text"])
        else:
            funnel.texts(frame.header["kind"], [frame.header["text"]])

    def _settle(self, frame: Frame | None) -> None:
        if not self._answer.done():
            self._answer.set_result(frame)

    def _finish(self) -> None:
        """The attempt is over: what it wrote is in the pipes, and told to the last line."""
        for pipe in self._pipes.values():
            pipe.drain()
        if self._funnel is not None:
            for kind, splitter in self._splitters.items():
                self._funnel.lines(kind, splitter.finish())
                self._splitters[kind] = LineSplitter()
            self._funnel.flush()

    def _hang_up(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
        self._settle(None)

    def _close(self) -> None:
        """Nothing of it is left: take what it sent last, and close everything."""
        if self._channel.fileno() >= 0 and hasattr(self, "child"):
            self._on_readable()
        self._hang_up()
        self._its_end.close()
        for pipe in self._pipes.values():
            pipe.drain()
            pipe.close()


def _lost(attempt: Attempt, exit_code: int | None) -> WorkerLostError:
    if exit_code is None:
        how = "was killed together with the process that watched over it"
    elif exit_code >= 0:
        how = f"ended with exit code {exit_code} and gave no result (did the handler call os._exit?)"
    else:
        why = ", perhaps for want of memory" if exit_code == -signal.SIGKILL else ""
        names = {number.value: number.name for number in signal.Signals}
        how = f"was ended by {names.get(-exit_code, f'signal {-exit_code}')}{why}"
    return WorkerLostError(f"the worker process of step {attempt.step_key!r} {how}", attempt.step_key, exit_code)
