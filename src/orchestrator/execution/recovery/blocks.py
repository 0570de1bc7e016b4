"""A `with` block over one step: what it raises is recorded and goes on its way."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal

from orchestrator.failure import ErrorInfo


class StepErrorBlock:
    """Records an error that leaves the block; also as `async with`. `error` is then what was recorded.

    A cancellation and what ends the program leave it unrecorded: they are no errors of the step.
    """

    def __init__(self, record: Callable[[Exception], ErrorInfo]) -> None:
        self._record = record
        self.error: ErrorInfo | None = None

    def __enter__(self) -> StepErrorBlock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if isinstance(exc, Exception):
            self.error = self._record(exc)
        return False

    async def __aenter__(self) -> StepErrorBlock:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, exc, traceback)
