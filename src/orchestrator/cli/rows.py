"""What there is to see of one step: plain records, from the board to whoever draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class Doing:
    """An attempt under way, or the wait for the next one (`due_at`, seconds since the epoch)."""

    key: StepKey
    attempt: int
    since: float
    fraction: float | None = None
    text: str = ""
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One step as it stands.

    `state` is its status, or `retrying` while all that is under way waits for another attempt, or `unfinished` where
    it had begun and nobody is at it. `seconds` is the time that was worked on it; `done` and `total` count the items of
    a loop, `doing` are some of the `running` attempts.
    """

    key: StepKey
    state: str
    seconds: float | None
    attempt: int
    failed_attempts: int
    total: int | None
    done: int
    failed: int
    doing: Sequence[Doing]
    running: int
    text: str
    earlier: bool

    @property
    def fraction(self) -> float | None:
        """How far it is, where that is known: by items, or by what the handler says."""
        if self.total is not None:
            return self.done / self.total if self.total else 1.0
        return self.doing[0].fraction if self.doing else None
