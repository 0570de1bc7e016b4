"""The runner for this machine: where the handlers of an engine run, and where they end.

Async handlers run on the engine's loop, plain ones in threads, `runner: process` in worker processes, commands in
sessions of their own. The last two are children of the guard and never outlive the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import IllegalMoveError, ProcessesLeftError, WrongPlaceError
from orchestrator.execution.driver import Attempt, PythonCall, ShellCommand
from orchestrator.runners.environment import OWNER
from orchestrator.runners.guard_client import Guard
from orchestrator.runners.handlers import resolve_handler
from orchestrator.runners.in_place import Aside
from orchestrator.runners.leftovers import end_leftovers, started_any
from orchestrator.runners.on_loop import call_on_loop
from orchestrator.runners.output import PrintRouter, capture_logging
from orchestrator.runners.shell import run_command
from orchestrator.runners.threads import ThreadPool
from orchestrator.runners.workers import WorkerPool

#: The grace that handlers inside the engine have after an interrupt, which was their time to end.
_INTERRUPTED_GRACE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Handler:
    function: Callable[..., Any]
    is_async: bool


class LocalRunner:
    """Runs attempts in this process and in children of it. To be used on one event loop, and closed there.

    `owner_token` marks the children, so that a later process can end them (`leftovers.end_leftovers`). An async handler
    or a thread has `thread_grace_seconds` to end after its timeout, a process `kill_grace_seconds` between SIGTERM and
    SIGKILL.

    `capture_prints` is for a process that is ours alone, as the command line's: it takes over `sys.stdout` and
    `sys.stderr`. `mark_environment`, which goes with it unless said otherwise, puts the mark into `os.environ`: what
    handlers inside the engine start or fork by themselves then ends with the engine too.
    """

    def __init__(
        self,
        owner_token: str,
        *,
        clock: Clock | None = None,
        max_threads: int | None = None,
        max_workers: int | None = None,
        capture_prints: bool = False,
        mark_environment: bool | None = None,
        thread_grace_seconds: float = 5.0,
        kill_grace_seconds: float = 5.0,
    ) -> None:
        self._owner_token = owner_token
        self._clock = clock or SystemClock()
        self._thread_grace_seconds, self._kill_grace_seconds = thread_grace_seconds, kill_grace_seconds
        self._mark_environment = capture_prints if mark_environment is None else mark_environment
        self._guard = Guard(owner_token, grace_seconds=kill_grace_seconds, ends_relatives=self._mark_environment)
        self._threads = ThreadPool(max_threads or 32, "orchestrator-handler")
        self._aside = Aside()
        self._imports = ThreadPool(1, "orchestrator-import")
        self._workers = WorkerPool(
            self._guard,
            owner_token,
            self._clock,
            max_workers=max_workers or os.cpu_count() or 1,
            grace_seconds=kill_grace_seconds,
        )
        self._handlers: dict[tuple[str, str], _Handler] = {}
        self._importing: dict[tuple[str, str], asyncio.Future[Callable[..., Any]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._prints = PrintRouter(self._clock) if capture_prints else None
        self._at_close = contextlib.ExitStack()
        self._state: Literal["new", "open", "interrupted", "closed"] = "new"

    async def open(self) -> None:
        """Begin now instead of with the first attempt, and start the guard. Raises OSError where that cannot be."""
        self._begin()
        self._guard.start()

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Run the attempt's work: awaiting it gives its value; see `execution.driver.Runner`."""
        work = attempt.work
        if self._state == "open" and type(work) is PythonCall and not work.process:
            handler = self._known(attempt, work)
            if handler is not None:  # at once: a task that waits for the handler would cost as much as it
                return self._begin_call(attempt, work, handler)
        return self._invoke(attempt)

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """Run a plain function in a thread and wait for it; see `execution.driver.Runner`."""
        if self._state != "open":
            self._begin()
        work = attempt.work
        if not isinstance(work, PythonCall) or work.process or work.function is None:
            raise WrongPlaceError(
                f"step {attempt.step_key!r} runs in a process, which an async pipeline cannot wait for in place; "
                "write `await` and `.aio(...)`"
            )
        call = functools.partial(work.function, *work.positional, **work.arguments)
        try:
            return self._aside.wait_for(attempt, call, keep_alive, self._grace_seconds)
        finally:
            if self._prints is not None:
                self._prints.finish(attempt)

    async def _invoke(self, attempt: Attempt) -> Any:
        if self._state != "open":
            self._begin()
        match attempt.work:
            case PythonCall(process=True) as work:
                return await self._workers.call(attempt, work, self._resolve)
            case PythonCall() as work:
                return await self._call(attempt, work)
            case ShellCommand() as command:
                return await run_command(
                    attempt,
                    command,
                    guard=self._guard,
                    owner_token=self._owner_token,
                    clock=self._clock,
                    grace_seconds=self._kill_grace_seconds,
                )
            case _:
                assert_never(attempt.work)

    def interrupt(self) -> None:
        """Ask everything that runs in processes to end (SIGTERM); returns at once."""
        if self._state == "open":
            self._state = "interrupted"
        for child in self._guard.children:
            child.end()

    async def close(self) -> None:
        """End whatever is left, grandchildren included, and wait for its end; a second call does nothing.

        What may be left: a handler's thread that does not end.
        """
        if self._state == "closed":
            return
        self._state = "closed"
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_INTERRUPTED_GRACE_SECONDS)
        await self._guard.close()
        self._threads.close()
        self._aside.close()
        self._imports.close()
        if self._mark_environment and started_any():
            with contextlib.suppress(ProcessesLeftError):  # no more can be done, and the work is done
                end_leftovers(self._owner_token)
        self._at_close.close()

    def _begin(self) -> None:
        """Take hold of logging, and of what else was asked for."""
        if self._state == "closed":
            raise IllegalMoveError("the runner", "closed", "running")
        if self._state != "new":
            return
        self._state = "open"
        level = logging.INFO if self._prints is not None else None
        self._at_close.enter_context(capture_logging(self._clock, level))
        if self._prints is not None:
            self._prints.install()
            self._at_close.callback(self._prints.restore)
        if self._mark_environment:
            self._at_close.callback(_put_back, OWNER, os.environ.get(OWNER))
            os.environ[OWNER] = self._owner_token

    async def _call(self, attempt: Attempt, work: PythonCall) -> Any:
        handler = self._known(attempt, work) or await self._resolve(attempt, work)
        return await self._begin_call(attempt, work, handler)

    def _known(self, attempt: Attempt, work: PythonCall) -> _Handler | None:
        if work.function is not None:
            return _Handler(work.function, inspect.iscoroutinefunction(work.function))
        return self._handlers.get((work.target, attempt.base_dir))

    def _begin_call(self, attempt: Attempt, work: PythonCall, handler: _Handler) -> asyncio.Future[Any]:
        if handler.is_async:
            outcome = self._on_loop(attempt, handler.function, work.positional, work.arguments)
        else:
            outcome = self._threads.call(
                attempt,
                functools.partial(handler.function, *work.positional, **work.arguments),
                on_coroutine=self._await,
                grace_seconds=self._grace_seconds,
            )
        if (prints := self._prints) is not None:
            outcome.add_done_callback(lambda _: prints.finish(attempt))
        return outcome

    def _await(self, attempt: Attempt, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """What a plain function gave to be awaited."""
        return self._on_loop(attempt, lambda: coroutine, (), {})

    def _on_loop(
        self,
        attempt: Attempt,
        function: Callable[..., Any],
        positional: tuple[Any, ...],
        arguments: Mapping[str, Any],
    ) -> asyncio.Future[Any]:
        handler = functools.partial(function, *positional) if positional else function
        return call_on_loop(attempt, handler, arguments, grace_seconds=self._grace_seconds, running=self._tasks)

    @property
    def _grace_seconds(self) -> float:
        return self._thread_grace_seconds if self._state == "open" else _INTERRUPTED_GRACE_SECONDS

    async def _resolve(self, attempt: Attempt, work: PythonCall) -> _Handler:
        """The handler; its module is imported off the loop, by one thread for all, and once for all who wait for it."""
        key = (work.target, attempt.base_dir)
        importing = self._importing.get(key)
        if importing is None:
            function = functools.partial(resolve_handler, work.target, attempt.base_dir)
            importing = self._importing[key] = asyncio.ensure_future(self._imports.run(function))
            importing.add_done_callback(lambda done: (self._importing.pop(key), done.cancelled() or done.exception()))
        handler_function = await asyncio.shield(importing)
        handler = self._handlers[key] = _Handler(handler_function, inspect.iscoroutinefunction(handler_function))
        return handler


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
