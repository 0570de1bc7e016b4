"""How long things were worked on: spans of time, added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.types import StepKey


@dataclass(slots=True)
class Work:
    """The time that was worked on something: what earlier spans came to, and since when the present one lasts."""

    spent: float = 0.0
    since: float | None = None

    def begin(self, at: float) -> None:
        """A span begins, unless one lasts."""
        if self.since is None:
            self.since = at

    def end(self, at: float) -> None:
        """The span that lasts is over."""
        if self.since is not None:
            self.spent += max(0.0, at - self.since)
            self.since = None

    def seconds(self, now: float) -> float:
        """All spans together."""
        return self.spent + (max(0.0, now - self.since) if self.since is not None else 0.0)


@dataclass(slots=True)
class WorkTimes:
    """The work on an execution as a whole, and on each step of its pipeline; times are seconds since the epoch."""

    whole: Work = field(default_factory=Work)
    _steps: dict[StepKey, Work] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether somebody is at the execution."""
        return self.whole.since is not None

    def begin(self, key: StepKey, at: float) -> None:
        """Work on a step begins, or goes on."""
        self._steps.setdefault(key, Work()).begin(at)

    def end(self, key: StepKey, at: float) -> None:
        """Nobody is at the step any more."""
        if (work := self._steps.get(key)) is not None:
            work.end(at)

    def stop(self, at: float) -> None:
        """Nobody is at anything any more."""
        self.whole.end(at)
        for work in self._steps.values():
            work.end(at)

    def forget(self, renewed: Callable[[StepKey], bool]) -> None:
        """These steps begin anew."""
        for key in [key for key in self._steps if renewed(key)]:
            del self._steps[key]

    def of(self, key: StepKey, now: float) -> float | None:
        """How long the step was worked on; None where it has not begun."""
        work = self._steps.get(key)
        return None if work is None else work.seconds(now)
