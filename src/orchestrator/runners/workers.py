"""Worker processes: handlers that can really be ended, and whose crash is not the engine's.

A worker is started at need and used again by attempts of the same folder, one at a time. It is ended with its whole
tree where an attempt times out or is cancelled, where it left something behind, and at the end. An attempt's timeout
counts from when a worker has it, not from when it began to wait for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.clock import Clock
from orchestrator.errors import DecodeError
from orchestrator.execution.driver import Attempt, PythonCall
from orchestrator.journal.codec import pack, unpack
from orchestrator.runners.frames import Frame
from orchestrator.runners.guard_client import Guard
from orchestrator.runners.handler_errors import rebuild
from orchestrator.runners.handlers import modules_of
from orchestrator.runners.worker import Worker


class WorkerPool:
    """At most `max_workers` worker processes."""

    def __init__(self, guard: Guard, owner_token: str, clock: Clock, *, max_workers: int, grace_seconds: float) -> None:
        self._guard, self._owner_token, self._clock = guard, owner_token, clock
        self._max_workers, self._grace_seconds = max_workers, grace_seconds
        self._slots = asyncio.Semaphore(max_workers)
        self._idle: list[Worker] = []
        self._busy = 0

    async def call(
        self, attempt: Attempt, work: PythonCall, import_handler: Callable[[Attempt, PythonCall], Awaitable[object]]
    ) -> Any:
        """Run a handler in a worker process; gives its value, raises what it raised (see `handler_errors.rebuild`).

        `import_handler` imports its module in this process: needed where the value is of a class of that module.
        """
        frame = Frame("attempt", _header(attempt, work), pack(dict(work.arguments)))
        async with self._slots:
            self._busy += 1
            try:
                worker = await self._take(attempt)
                answer = await worker.perform(attempt, frame, self._clock, self._grace_seconds)
            finally:
                self._busy -= 1
            self._idle.append(worker)
        if answer.kind == "error":
            raise rebuild(answer.header)
        try:
            return _read(attempt, answer)
        except DecodeError:
            await import_handler(attempt, work)
            return _read(attempt, answer)

    async def _take(self, attempt: Attempt) -> Worker:
        """An idle worker that served this folder before, or a new one; an idle one of another folder makes room."""
        for worker in self._idle[::-1]:
            if not worker.is_usable():
                self._idle.remove(worker)
                worker.child.kill()
            elif worker.base_dir == attempt.base_dir:
                self._idle.remove(worker)
                return worker
        if len(self._idle) + self._busy > self._max_workers:
            self._idle.pop(0).child.kill()
        return await Worker.start(self._guard, self._owner_token, attempt)


def _read(attempt: Attempt, answer: Frame) -> Any:
    with modules_of(attempt.base_dir):
        return unpack(answer.body)


def _header(attempt: Attempt, work: PythonCall) -> dict[str, Any]:
    return {
        "target": work.target,
        "base_dir": attempt.base_dir,
        "execution_id": attempt.execution_id,
        "pipeline_id": attempt.pipeline_id,
        "step_key": attempt.step_key,
        "generation": attempt.generation,
        "attempt": attempt.attempt,
        "timeout_seconds": attempt.timeout_seconds,
    }
