"""The handle of an execution that runs in the background of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from orchestrator.app.orchestrator import Orchestrator
from orchestrator.errors import NotResumableError
from orchestrator.execution.engine import ExecutionResult
from orchestrator.functions import PipelineFunction, RunOptions
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Query
from orchestrator.status import ExecutionStatus
from orchestrator.types import ExecutionId

T = TypeVar("T")


class Progress:
    """The entries of a journal as they come: iterate over it, with `for` or `async for`, until the run is over."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def __iter__(self) -> Iterator[Entry]:
        index = 0
        while (entry := self._feed.wait(index)) is not None:
            yield entry
            index += 1

    async def __aiter__(self) -> AsyncIterator[Entry]:
        index, loop, changed = 0, asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(changed.set)

        with self._feed.telling(wake):  # and no thread that waits, for which the end of the loop would wait
            while (entry := self._feed.look(index)) is not None or not self._feed.over:
                if entry is not None:
                    yield entry
                    index += 1
                else:
                    await changed.wait()
                changed.clear()


class _Feed:
    """What subscribers were told, for those who look later."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.over = False
        self._changed = threading.Condition()
        self._wakes: list[Callable[[], None]] = []

    def __call__(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            self._tell()

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self.over = True
            self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        for wake in self._wakes:
            wake()

    @contextmanager
    def telling(self, wake: Callable[[], None]) -> Iterator[None]:
        """In the block this is called whenever something has come, on any thread."""
        with self._changed:
            self._wakes.append(wake)
        try:
            yield
        finally:
            with self._changed:
                self._wakes.remove(wake)

    def look(self, index: int) -> Entry | None:
        """The entry of this number; None where it has not come."""
        with self._changed:
            return self._entries[index] if index < len(self._entries) else None

    def wait(self, index: int) -> Entry | None:
        """The entry of this number, when it has come; None where it never will."""
        with self._changed:
            self._changed.wait_for(lambda: index < len(self._entries) or self.over)
            return self._entries[index] if index < len(self._entries) else None


class Handle(Generic[T]):
    """An execution that was begun by `start`. It runs in a thread of this process, until its end however long it waits.

    `id` is that of the execution: with it any process can look at it, and go on with it when this one is gone.
    """

    def __init__(
        self, function: PipelineFunction[..., Any], given: Mapping[str, Any], options: RunOptions, id_: str
    ) -> None:
        self.id = ExecutionId(id_)
        self._feed = _Feed()
        self._orchestrator = Orchestrator(options.store, durability=options.durability, on_event=[self._feed])
        self._over: Future[ExecutionResult] = Future()
        #: How it stood when this process let go of it.
        self._status: ExecutionStatus | None = None
        began = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(function, given, began), name=f"orchestrator-{id_}", daemon=True
        )
        thread.start()
        began.wait()

    def _run(self, function: PipelineFunction[..., Any], given: Mapping[str, Any], began: threading.Event) -> None:
        async def go() -> ExecutionResult:
            await self._orchestrator.astart(function, given, execution_id=self.id)
            began.set()
            return await self._orchestrator.arun(function, given, execution_id=self.id, wait=True)

        try:
            result = asyncio.run(go())
        except BaseException as exc:  # noqa: BLE001 - raised by `result`
            self._over.set_exception(exc)
        else:
            self._over.set_result(result)
        finally:
            began.set()
            self._feed.close()
            self._status = self._stored_status()
            self._orchestrator.close()

    def __repr__(self) -> str:
        return f"<execution {self.id}>"

    @property
    def status(self) -> ExecutionStatus:
        """Where it stands."""
        return self._status or self._stored_status()

    def _stored_status(self) -> ExecutionStatus:
        found = self._orchestrator.store.find(Query(execution_id=self.id))
        return found[0].status if found else ExecutionStatus.PENDING

    def progress(self) -> Progress:
        """The events of its journal, from the first that this process has recorded, as they come."""
        return Progress(self._feed)

    def result(self, timeout: float | None = None) -> T:
        """What the function returned, when it has; waits `timeout` seconds at most.

        Raises TimeoutError, ExecutionFailedError where it failed or was cancelled, and as `run` does.
        """
        return self._over.result(timeout).raise_for_status().result  # type: ignore[no-any-return]  # of the function

    def __await__(self) -> Generator[Any, None, T]:
        result = yield from asyncio.wrap_future(self._over).__await__()
        return result.raise_for_status().result  # type: ignore[no-any-return]  # of the function

    def cancel(self, reason: str = "") -> None:
        """Give it up; see `Orchestrator.cancel`. `result` raises when that has come about."""
        self._must_run("cancel")
        self._orchestrator.ask_to_cancel(self.id, reason)

    def signal(self, name: str, payload: Any = None) -> None:
        """Send it a signal."""
        self._must_run("signal")
        self._orchestrator.signal(self.id, name, payload)

    def answer(self, step: str, decision: str, value: Any = None, by: str | None = None) -> None:
        """Answer a step of it that waits for a person."""
        self._must_run("answer")
        self._orchestrator.answer(self.id, step, decision, value, by)

    def _must_run(self, what: str) -> None:
        if self._status is not None:
            raise NotResumableError(self.id, str(self._status), f"there is nothing to {what}")
