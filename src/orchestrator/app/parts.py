"""What an engine takes that was given nothing; and what is done for every engine of this package."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from orchestrator.app.handlers import DurableFunctions, HandlerCode, import_handlers
from orchestrator.clock import SystemClock
from orchestrator.errors import OrchestratorError
from orchestrator.execution.driver import Attempt
from orchestrator.execution.engine import EngineParts
from orchestrator.journal.store import Owner
from orchestrator.runners.leftovers import end_leftovers
from orchestrator.runners.local import LocalRunner
from orchestrator.steps import KINDS
from orchestrator.storage import open_store, this_owner

T = TypeVar("T")


class _RunnerAtNeed:
    """A runner that is made at the first attempt and again after it was closed: for an engine of many loops."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._runner: LocalRunner | None = None

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Run the attempt's work; awaiting it gives its value."""
        if self._runner is None:
            self._runner = LocalRunner(self._owner.token)
        return self._runner.invoke(attempt)

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """Run the attempt's work before returning."""
        if self._runner is None:
            self._runner = LocalRunner(self._owner.token)
        return self._runner.perform(attempt, keep_alive)

    def interrupt(self) -> None:
        """Ask everything that runs in processes to end."""
        if self._runner is not None:
            self._runner.interrupt()

    async def close(self) -> None:
        """End whatever is left."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.close()


def engine_parts() -> EngineParts:
    """What an engine takes that was given nothing: the default store, a runner for this machine."""
    clock = SystemClock()
    owner = this_owner(clock)
    store = open_store(None, durability="disk", clock=clock)
    functions = DurableFunctions()
    return EngineParts(
        store,
        _RunnerAtNeed(owner),
        KINDS,
        owner,
        end_children,
        partial(import_handlers, functions=functions),
        HandlerCode(functions).hashes_of,
        functions.find,
    )


def run_to_end(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on an event loop of its own. Raises OrchestratorError inside of a running one, as in a notebook."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise OrchestratorError(
            "an event loop runs here already (a notebook?); use `await arun(...)` instead of `run(...)`"
        )
    # Not in an `except` block: whatever a handler raises would have that error as its context.
    return asyncio.run(make())


def end_children(dead: Owner) -> None:
    """End what a dead owner has left running."""
    end_leftovers(dead.token)
