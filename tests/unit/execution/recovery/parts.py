"""What the tests of recovery build on: a context that notes what is asked of it, and a manager whose time is ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.execution.recovery import RecoveryManager
from orchestrator.testing.clock import FakeClock


class Context:
    """An execution with two checkpoints."""

    def __init__(self, *, running: bool = True) -> None:
        self.execution_id, self.running, self.seen = "e", running, []
        self.checkpoints: list[Any] = [type("Checkpoint", (), {"id": id})() for id in ("first", "second")]

    def restore_checkpoint(self, checkpoint_id: str) -> bool:
        self.seen.append(f"restore {checkpoint_id}")
        return checkpoint_id in {checkpoint.id for checkpoint in self.checkpoints}

    def pause_execution(self) -> bool:
        self.seen.append("pause")
        paused, self.running = self.running, False
        return paused

    def resume_execution(self) -> bool:
        self.seen.append("resume")
        resumed, self.running = not self.running, True
        return resumed


def manager(context: Context | None = None, **parts: Any) -> RecoveryManager:
    return RecoveryManager(context, clock=parts.pop("clock", None) or FakeClock(), **parts)


def failing(*outcomes: Any) -> tuple[Callable[[], Awaitable[Any]], list[Any]]:
    """An executor that comes to these in turn, the last one for ever, and the list of its calls."""
    left, calls = list(outcomes), []

    async def executor() -> Any:
        calls.append(len(calls) + 1)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return executor, calls
