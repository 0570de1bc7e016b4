"""Steps that wait for a person, and the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from threading import Lock
from typing import Any

from orchestrator.errors import InputError


class Decision(StrEnum):
    """What a person may answer to a step that waits."""

    RETRY = auto()
    SKIP = auto()
    ABORT = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person answered: `value` is the step's value after a SKIP, `by` who it was."""

    decision: Decision
    value: Any = None
    by: str | None = None

    @classmethod
    def of(cls, decision: Decision | str, value: Any = None, by: str | None = None) -> Answer:
        """An answer, checked. Raises InputError."""
        try:
            word = Decision(decision)
        except ValueError:
            raise InputError(f"{decision!r} is no answer: one of {', '.join(Decision)}") from None
        if value is not None and word is not Decision.SKIP:
            raise InputError(f"a value goes with skip, not with {word}: leave it out")
        return cls(word, value, by)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """One step that waits, in one event loop."""

    instructions: str
    since: datetime
    answered: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def wake(self, answer: Answer) -> None:
        with suppress(RuntimeError):  # its loop was closed meanwhile: nobody waits any more
            self.answered.get_loop().call_soon_threadsafe(self._set, answer)

    def _set(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)


class Interventions:
    """The steps that wait for a person, each by its id. Thread-safe: an answer may come from anywhere."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, _Waiting] = {}
        #: Whether an execution was paused for them.
        self.paused = False

    @contextmanager
    def open(self, step_id: str, instructions: str, since: datetime) -> Iterator[asyncio.Future[Answer]]:
        """Let a step wait, within the block; gives what its answer comes by. InputError where it waits already."""
        mine = _Waiting(instructions, since)
        with self._lock:
            if step_id in self._waiting:
                raise InputError(f"step {step_id!r} waits for an answer already; answer that one first")
            self._waiting[step_id] = mine
        try:
            yield mine.answered
        finally:
            with self._lock:
                if self._waiting.get(step_id) is mine:
                    del self._waiting[step_id]

    def answer(self, step_id: str, answer: Answer) -> bool:
        """Whether the step waited; from then on it does not."""
        with self._lock:
            waiting = self._waiting.pop(step_id, None)
        if waiting is None:
            return False
        waiting.wake(answer)
        return True

    def may_go_on(self) -> bool:
        """Whether the execution that was paused for them is to run again, since nobody waits any more; once."""
        with self._lock:
            go_on = self.paused and not self._waiting
            self.paused &= not go_on
            return go_on

    def abort_all(self) -> None:
        """Answer all with an abort."""
        with self._lock:
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for one in waiting:
            one.wake(Answer(Decision.ABORT))

    def listed(self) -> dict[str, dict[str, str]]:
        """Who waits: by step id, the instructions and since when, as ISO text."""
        with self._lock:
            waiting = list(self._waiting.items())
        return {step_id: {"instructions": one.instructions, "since": one.since.isoformat()} for step_id, one in waiting}
