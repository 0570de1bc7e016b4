"""One durable function under way, as its own code sees it: the calls that it makes and waits for.

An `async def` runs as a task on the engine's loop, and awaits its calls. A plain `def` runs in a thread of its own, and
each call holds up that thread. What is asked for goes to the tree, always on the loop's thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID, uuid5

from orchestrator.errors import NotAwaitedError, WrongPlaceError
from orchestrator.execution.flow.asked import Asked
from orchestrator.execution.flow.naming import Names
from orchestrator.types import StepKey

if TYPE_CHECKING:
    from orchestrator.execution.variables import VariableManager

#: The names of `uuid`: any fixed value serves.
_NAMESPACE = UUID("5f0c6c0e-3f0b-4d8e-9d7a-0a5f0e1b2c3d")


class Suspension(asyncio.CancelledError):
    """The execution is unloaded, or the function begins anew: it ends where it stands, and nothing of it is recorded.

    A CancelledError, since tasks, groups and timeouts let those pass.
    """


class Tree(Protocol):
    """Who answers: see `tree.FlowTree`."""

    root: StepKey

    @property
    def old(self) -> bool:
        """Whether steps were begun in an earlier life that were not asked for yet."""
        ...

    def knows(self, key: StepKey) -> bool:
        """Whether the journal has a call that was not asked for yet."""
        ...

    def ask(self, flow: Flow, asked: Asked) -> None:
        """A function waits for a call from now on."""
        ...

    def perform(self, flow: Flow, asked: Asked) -> Any:
        """Do a call before returning."""
        ...

    def abandon(self, flow: Flow, asked: Asked) -> None:
        """A function waits for a call no more."""
        ...

    def end(self, flow: Flow) -> None:
        """A function has ended. Raises NonDeterminismError."""
        ...

    def close(self) -> None:
        """Nothing of it goes on."""
        ...


class Services(Protocol):
    """What a durable function has beside its calls."""

    execution_id: str

    def variables(self, flow: Flow) -> VariableManager:
        """The variables as this function sees them."""
        ...

    async def gone(self, key: StepKey) -> None:
        """Wait until nothing of a step is under way."""
        ...

    async def spawn(self, function: Any, arguments: Mapping[str, Any], execution_id: str) -> str:
        """Start an execution of its own."""
        ...


@dataclass(slots=True, eq=False)
class Flow:
    """A durable function under way. `time` is when what it was told last happened (epoch seconds)."""

    key: StepKey
    function: str
    tree: Tree
    loop: asyncio.AbstractEventLoop
    is_async: bool
    services: Services
    seed: str
    #: The folder that its module is imported from.
    folder: str = ""
    time: float = 0.0
    ended: bool = False
    suspended: bool = False
    cancelled: bool = False
    names: Names = field(default_factory=Names)
    #: The task or the thread that runs the function itself.
    runs_in: Any = None
    unanswered: dict[Asked, None] = field(default_factory=dict)
    #: What the next call of a plain function raises, which was to end while it waited for none.
    stopped_by: BaseException | None = None
    #: Calls that nobody has awaited yet.
    called: dict[Asked, Coroutine[Any, Any, Any]] = field(default_factory=dict)
    #: What was drawn and asked of time and chance, counted.
    _drawn: int = 0
    _random: Random | None = None

    # -- calls ---------------------------------------------------------------------------------------------------------

    def take_key(self, name: str, where: str) -> StepKey:
        """The key of the next call of this name. Raises ConcurrentNameError, and Suspension where it is to end."""
        if self.suspended or self.ended:
            raise Suspension
        taken = self.names.take(name, self._who(), where, self.function)
        return StepKey(f"{self.key}/{taken}" if self.key else taken)

    def _who(self) -> Any:
        if not self.is_async:
            return threading.current_thread()  # a number would be that of a later thread, too
        try:
            return asyncio.current_task()
        except RuntimeError:
            raise WrongPlaceError(
                f"{self.function}: a step was called from another thread than that of its loop; call it in the function"
            ) from None

    def later(self, asked: Asked) -> Coroutine[Any, Any, Any]:
        """The call as something to await."""
        coroutine = self._awaited(asked)
        coroutine.__qualname__ = coroutine.__name__ = asked.name  # type: ignore[attr-defined]  # a coroutine has them
        self.called[asked] = coroutine
        return coroutine

    async def _awaited(self, asked: Asked) -> Any:
        self.called.pop(asked, None)
        if self.suspended:
            raise Suspension
        asked.task = asyncio.current_task()
        asked.by_root = asked.task is self.runs_in
        answer = self.loop.create_future()
        asked.answer = answer
        self.tree.ask(self, asked)
        try:
            return await answer
        except asyncio.CancelledError:
            self.tree.abandon(self, asked)
            if not self.suspended:  # what it did has ended before whoever called it tidies up, as in any program
                await self.services.gone(asked.key)
            raise

    def wait(self, asked: Asked) -> Any:
        """Make the call and wait for it. In an async function that holds up the loop."""
        if self.is_async:
            return self.tree.perform(self, asked)
        if self.suspended:
            raise Suspension
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        asked.answer, asked.by_root = answer, threading.get_ident() == self.runs_in
        self.loop.call_soon_threadsafe(self._ask, asked, answer)
        return answer.result()

    def _ask(self, asked: Asked, answer: concurrent.futures.Future[Any]) -> None:
        error, self.stopped_by = self.stopped_by, None
        if error is not None:
            answer.set_exception(error)
        else:
            self.tree.ask(self, asked)

    def finish(self, failed: bool) -> None:
        """The function has ended. Raises NotAwaitedError where calls of it were forgotten."""
        self.ended = True
        left, self.called = self.called, {}
        tasks = {task.get_coro(): task for task in asyncio.all_tasks(self.loop)} if left else {}
        for coroutine in left.values():
            if (task := tasks.get(coroutine)) is not None:  # made, and not begun yet
                task.cancel()
            else:
                coroutine.close()
        if left and not failed:
            raise NotAwaitedError(self.function, [(asked.key, asked.where) for asked in left])

    def stop(self, error: BaseException) -> None:
        """End what a plain function waits for with this error, or its next call. On the loop's thread."""
        if not self.unanswered:
            self.stopped_by = error
        for asked in [*self.unanswered]:
            if asked.answer is not None and not asked.answer.done():
                asked.answer.set_exception(error)
            self.tree.abandon(self, asked)

    # -- time and chance -------------------------------------------------------------------------------------------

    def random(self) -> Random:
        """A generator of its own, which gives the same in every life."""
        if self._random is None:
            self._random = Random(f"{self.seed}/{self.key}")
        return self._random

    def uuid(self) -> UUID:
        """The next id, the same in every life."""
        self._drawn += 1
        # With the time of what it was told last, so that a fork draws others as soon as something new has happened.
        return uuid5(_NAMESPACE, f"{self.seed}/{self.key}/{self._drawn}/{self.time!r}")
