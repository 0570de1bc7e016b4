"""Witnesses: what a store acknowledged, and which steps were begun, told by nobody who could be wrong about it.

One stands at the store and writes onto the tape, one at the runner. Neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.execution.driver import Attempt, Runner
from orchestrator.journal.store import Append, Commit, OnDone, Store
from orchestrator.testing.power_loss.tape import Acknowledged, Posted, Tape
from orchestrator.types import ExecutionId, StepKey


class Begun(NamedTuple):
    """A step that a runner was given."""

    execution_id: ExecutionId
    key: StepKey
    generation: int


class WitnessingStore:
    """A store that puts on a tape what the store below acknowledges, before anybody else hears of it."""

    def __init__(self, inner: Store, tape: Tape) -> None:
        self._inner, self._tape = inner, tape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """As the store below."""

        def done(commit: Commit) -> None:
            if commit.error is None:
                self._tape.append(Acknowledged(append))
            if on_done is not None:
                on_done(commit)

        return self._inner.commit(append, done)

    def post(self, execution_id: ExecutionId, kind: str, payload: Mapping[str, Any]) -> int:
        """As the store below."""
        number = self._inner.post(execution_id, kind, payload)
        self._tape.append(Posted(execution_id))
        return number


@dataclass(slots=True)
class WitnessingRunner:
    """A runner that keeps which steps it was given, and calls `before` each."""

    inner: Runner
    before: Callable[[], None]
    begun: list[Begun] = field(default_factory=list)

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """As the runner below."""
        self._note(attempt)
        return self.inner.invoke(attempt)

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """As the runner below."""
        self._note(attempt)
        return self.inner.perform(attempt, keep_alive)

    def _note(self, attempt: Attempt) -> None:
        self.begun.append(Begun(attempt.execution_id, attempt.step_key, attempt.generation))
        self.before()

    def interrupt(self) -> None:
        """As the runner below."""
        self.inner.interrupt()

    async def close(self) -> None:
        """As the runner below."""
        await self.inner.close()
