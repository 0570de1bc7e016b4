"""A store in memory for tests."""

from __future__ import annotations

from orchestrator.clock import Clock
from orchestrator.storage.memory import MemoryStore


class _TestStore(MemoryStore):
    """Lives as long as its test, in which an engine may come and go: so executions may wait in it."""

    survives_process = True


def memory_store(clock: Clock | None = None) -> MemoryStore:
    """An empty store in memory that takes whatever a file would: also executions that wait for a person or a signal.

    Several `Orchestrator`s, one after the other, may be given the same one.
    """
    return _TestStore(clock)
