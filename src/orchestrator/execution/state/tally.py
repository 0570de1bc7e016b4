"""Who runs now, and how many stand where: kept up with every change of a step's status."""

from __future__ import annotations

from orchestrator.execution.state.metrics import ExecutionMetrics
from orchestrator.journal.keys import is_step
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

_PENDING, _RUNNING, _COMPLETED = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.COMPLETED
_FAILED, _SKIPPED = StepStatus.FAILED, StepStatus.SKIPPED


class Tally:
    """The running steps and the counts of one execution. Changed under its context's lock only.

    With `whole_steps`, items of loops and parts of steps run, but do not count: they belong to a step that does.
    """

    __slots__ = ("begun", "current", "expected", "metrics", "running", "whole_steps")

    def __init__(self, whole_steps: bool) -> None:
        self.whole_steps = whole_steps
        self.metrics = ExecutionMetrics(start_time=None)
        #: In the order in which they were started, each with the context of its variables, where it has one.
        self.running: dict[StepKey, str | None] = {}
        #: The latest of them; for whoever asks without a lock.
        self.current: StepKey | None = None
        #: How many steps are no longer pending, and how many were said to come.
        self.begun = self.expected = 0

    def started(self, key: StepKey) -> None:
        """A step began an attempt: it is the latest to run."""
        self.running[key] = self.running.pop(key, None)
        self.current = key

    def moved(self, key: StepKey, old: StepStatus, new: StepStatus) -> None:
        """A step's status changed from one to another."""
        if old is _RUNNING:
            self.running.pop(key, None)
            if key == self.current:
                self.current = next(reversed(self.running), None)
        elif new is _RUNNING and key != self.current:
            self.started(key)
        if self.whole_steps and not is_step(key):
            return
        if old is _PENDING:
            self.begun += 1
        elif old is not _RUNNING:
            self._count(old, -1)
        if new is _PENDING:
            self.begun -= 1
        elif new is not _RUNNING:
            self._count(new, 1)
        if self.begun > self.metrics.steps_total:
            self.metrics.steps_total = self.begun
        elif new is _PENDING:
            self.count_total()

    def _count(self, status: StepStatus, by: int) -> None:
        metrics = self.metrics
        if status is _COMPLETED:
            metrics.steps_completed += by
        elif status is _FAILED:
            metrics.steps_failed += by
        elif status is _SKIPPED:
            metrics.steps_skipped += by

    def count_total(self) -> None:
        """The number of steps is what was said, or more, where more have begun."""
        self.metrics.steps_total = max(self.expected, self.begun)

    def run_again(self, running: dict[StepKey, str | None]) -> None:
        """Just these run, in this order."""
        self.running = dict(running)
        self.current = next(reversed(self.running), None)

    def restore(self, then: ExecutionMetrics, expected: int) -> None:
        """Times, counts of variables and of steps to come as they were.

        The other counts of steps follow the steps, and the rest is not set back.
        """
        self.expected = expected
        self.count_total()
        metrics = self.metrics
        metrics.start_time, metrics.end_time, metrics.duration = then.start_time, then.end_time, then.duration
        metrics.variables_created, metrics.variables_updated = then.variables_created, then.variables_updated
