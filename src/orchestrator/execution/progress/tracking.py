"""A block that is a step: started on entry, ended with the block."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class StepVerbs(Protocol):
    """What the block asks of a tracker."""

    def start_step(self, id: str, step_id: str, step_name: str | None = None) -> None:
        """Start the step."""
        ...

    def complete_step(self, id: str, step_id: str, success: bool = True, error_message: str | None = None) -> None:
        """End the step."""
        ...

    def update_step_progress(self, id: str, step_id: str, percentage: float, message: str | None = None) -> None:
        """Say how far the step is."""
        ...


class TrackedStep:
    """`with` and `async with`: the step completes with the block, and fails with what the block raises.

    Whatever is raised goes on its way, a cancellation included; the step is then FAILED and says so.
    """

    def __init__(self, tracker: StepVerbs, execution_id: str, step_id: str, step_name: str | None) -> None:
        self._tracker = tracker
        self.execution_id, self.step_id, self.step_name = execution_id, step_id, step_name

    def update(self, percentage: float, message: str | None = None) -> None:
        """Say how far the block is, from 0 to 100."""
        self._tracker.update_step_progress(self.execution_id, self.step_id, percentage, message)

    def __enter__(self) -> TrackedStep:
        self._tracker.start_step(self.execution_id, self.step_id, self.step_name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._tracker.complete_step(self.execution_id, self.step_id)
        else:
            text = f"{kind.__name__}: {error}" if error is not None and str(error) else kind.__name__
            self._tracker.complete_step(self.execution_id, self.step_id, False, text)

    async def __aenter__(self) -> TrackedStep:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
