"""What recoveries did and do, step by step: attempts and rollbacks made, values won, and which are under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

#: A step is rolled back this often at most, so that a rollback to before the fault cannot loop for ever.
MAX_ROLLBACKS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    """One recovery under way, in one event loop."""

    step_id: str
    stopped: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def stop(self) -> None:
        with suppress(RuntimeError):  # its loop was closed meanwhile: nothing runs any more
            self.stopped.get_loop().call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self.stopped.done():
            self.stopped.set_result(None)


class Ledger:
    """The counts of each step. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._attempts: Counter[str] = Counter()
        self._rollbacks: Counter[str] = Counter()
        self._values: dict[str, Any] = {}
        self._running: set[_Running] = set()

    @contextmanager
    def running(self, step_id: str) -> Iterator[asyncio.Future[None]]:
        """Within the block the step is being recovered; gives what tells that it must stop."""
        mine = _Running(step_id)
        with self._lock:
            self._running.add(mine)
        try:
            yield mine.stopped
        finally:
            with self._lock:
                self._running.discard(mine)

    def stop_all(self) -> None:
        """Tell all that are under way to stop."""
        with self._lock:
            running = list(self._running)
        for one in running:
            one.stop()

    def recovering(self) -> list[str]:
        """The steps that are being recovered now."""
        with self._lock:
            return sorted({one.step_id for one in self._running})

    def count_attempt(self, step_id: str) -> None:
        """One more attempt is made by recovery."""
        with self._lock:
            self._attempts[step_id] += 1

    def attempts(self, step_id: str) -> int:
        """How many were."""
        with self._lock:
            return self._attempts[step_id]

    def steps_with_attempts(self) -> int:
        """Of how many steps there are any."""
        with self._lock:
            return sum(1 for count in self._attempts.values() if count)

    def may_roll_back(self, step_id: str | None) -> bool:
        """Whether the step has a rollback left."""
        with self._lock:
            return step_id is None or self._rollbacks[step_id] < MAX_ROLLBACKS

    def take_rollback(self, step_id: str) -> bool:
        """Use one up; False where none is left."""
        with self._lock:
            left = self._rollbacks[step_id] < MAX_ROLLBACKS
            self._rollbacks[step_id] += left
            return left

    def keep_value(self, step_id: str, value: Any) -> None:
        """The value that the step's recovery came to."""
        with self._lock:
            self._values[step_id] = value

    def value(self, step_id: str, default: Any) -> Any:
        """The latest of them."""
        with self._lock:
            return self._values.get(step_id, default)

    def reset(self, step_id: str) -> None:
        """Give the step its attempts and rollbacks back."""
        with self._lock:
            self._attempts.pop(step_id, None)
            self._rollbacks.pop(step_id, None)

    def forget(self, step_id: str) -> None:
        """Know nothing of the step any more, but that it is being recovered, if so."""
        self.reset(step_id)
        with self._lock:
            self._values.pop(step_id, None)

    def clear(self) -> None:
        """Know nothing of any step any more."""
        with self._lock:
            self._attempts.clear()
            self._rollbacks.clear()
            self._values.clear()
