"""One store in memory over several lives of an engine, and what the steps of all of them left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from orchestrator import ExecutionResult, ExecutionStatus, Orchestrator
from orchestrator.errors import UnknownExecutionError
from orchestrator.functions import PipelineFunction
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Append, Commit, OnDone
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash, When

#: What the steps of the running test left, in order.
RAN: list[Any] = []

Function = PipelineFunction[..., Any]


class Kept(MemoryStore):
    """Stands for one that outlives the process."""

    survives_process = True


class Mortal(CrashingStore):
    """Dies at the next commit once a step wants that."""

    wanted = False

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        if self.wanted:
            self.wanted, self._at = False, self.commits + 1
        return super().commit(append, on_done)


class Lives:
    """One store and one clock; the execution is `x`."""

    def __init__(self, *, jumping: bool = True) -> None:
        self.clock = FakeClock(jumping=jumping)
        self.store = Kept(self.clock)
        self._mortal: Mortal | None = None

    def app(self, function: Function | None = None, **options: Any) -> Orchestrator:
        """An orchestrator of this store."""
        app = Orchestrator(self.store, clock=self.clock, **options)
        if function is not None:
            app.knows(function)
        return app

    def run(self, function: Function, *args: Any, **kwargs: Any) -> ExecutionResult:
        """Run a function as execution `x`, as far as it goes without waiting for what is not near."""
        return self.app().run(function, function.bind(*args, **kwargs), execution_id="x")

    def resume(self, function: Function, *, wait: bool = False) -> ExecutionResult:
        """Go on with it in a life of its own."""
        return self.app(function).resume("x", wait=wait)

    def die(self) -> None:
        """In a step: the engine dies at its next commit, of which nothing is kept."""
        if self._mortal is not None:
            self._mortal.wanted = True

    def dying(self, function: Function, *args: Any, when: When = "before", **kwargs: Any) -> None:
        """A life that begins, or goes on with, `x`, and dies of a step's word."""
        self._mortal = store = Mortal(self.store, when=when)
        try:
            with pytest.raises(SimulatedCrash):
                _live(store, self.clock, function, function.bind(*args, **kwargs), wait=True)
        finally:
            store.bury()
            self._mortal = None

    # -- what is known -----------------------------------------------------------------------------------------------

    def history(self, *kinds: type) -> Sequence[Any]:
        """The events of these kinds."""
        return events(self.app().history("x"), *kinds)

    def ended(self, kind: type = ev.StepSucceeded) -> list[str]:
        """The keys of the events of a kind, in order."""
        return [str(event.key) for event in self.history(kind)]

    def status(self, key: str) -> str:
        """Where a step stands."""
        return str(self.app().show("x").steps[key].status)  # type: ignore[index]  # a key

    def result(self, function: Function, *args: Any, **kwargs: Any) -> Any:
        """What a function returns in an execution that nothing befalls."""
        return self.run(function, *args, **kwargs).raise_for_status().result


def events(journal: Iterable[Entry], *kinds: type) -> list[Any]:
    """The events of these kinds."""
    return [entry.event for entry in journal if isinstance(entry.event, kinds or object)]


def _live(store: Any, clock: FakeClock, function: Function, given: Any, *, wait: bool) -> ExecutionResult:
    app = Orchestrator(store, clock=clock)
    app.knows(function)
    try:
        return app.resume("x", wait=wait)
    except UnknownExecutionError:
        return app.run(function, given, execution_id="x", wait=wait)


def everywhere(function: Function, *args: Any, fresh: Callable[[], object] = RAN.clear, **kwargs: Any) -> Any:
    """What a function returns; the same wherever its engine dies, or the test fails."""
    return _cut(function, function.bind(*args, **kwargs), fresh, every=True)


def at_the_end(function: Function, *args: Any, fresh: Callable[[], object] = RAN.clear, **kwargs: Any) -> Any:
    """What a function returns; the same where its engine dies before the end is recorded, or the test fails."""
    return _cut(function, function.bind(*args, **kwargs), fresh, every=False)


def _cut(function: Function, given: Any, fresh: Callable[[], object], *, every: bool) -> Any:
    fresh()
    whole, clock = CrashingStore(Kept()), FakeClock()
    unbroken = _told(_live(whole, clock, function, given, wait=True))
    assert unbroken[0] is ExecutionStatus.COMPLETED, unbroken
    for at in range(1 if every else whole.commits, whole.commits + 1):
        sides: Sequence[When] = ("before", "after") if every else ("before",)
        for when in sides:
            fresh()
            inner, clock = Kept(), FakeClock()
            store = CrashingStore(inner, at, when)
            with suppress(SimulatedCrash):
                _live(store, clock, function, given, wait=True)
            store.bury()
            told = _told(_live(inner, clock, function, given, wait=True))
            assert told == unbroken, f"cut {when} commit {at} of {whole.commits}"
    return unbroken[1]


def _told(result: ExecutionResult) -> tuple[ExecutionStatus, Any, Any]:
    return result.status, result.result, (result.error or {}).get("message")


@pytest.fixture
def lives() -> Lives:
    RAN.clear()
    return Lives()


@pytest.fixture
def still() -> Lives:
    """One of which the time stands still."""
    RAN.clear()
    return Lives(jumping=False)
