"""What every clause starts from: a store, a clock that stands still, owners dead and alive, and appends in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import Clock
from orchestrator.journal.store import Append, Batch, Lease, Owner, Store, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.storage import this_owner
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId

#: No process ever has this number.
NO_PID = 2**31 - 1
#: Of an append, what a clause may give beside the summary.
_PARTS = ("blobs", "taken", "releases", "seen")


def living() -> Owner:
    """This process, under a token of its own."""
    return this_owner(FakeClock())


def dead() -> Owner:
    """A process of this machine that is gone."""
    return replace(living(), pid=NO_PID)


def elsewhere() -> Owner:
    """A process of a machine that cannot be looked at."""
    return replace(living(), host="another-host", boot_id="another-boot")


def execution_id(name: str) -> ExecutionId:
    """The id that a clause calls an execution by."""
    return ExecutionId(name)


@dataclass
class Script:
    """Writes one execution as an engine would: keeps the lease and the position that the next append expects."""

    lease: Lease
    created_at: float
    position: int = 0

    def append(self, body: bytes = b"event", count: int = 1, **changes: Any) -> Append:
        """The next append; keywords change the summary, or one of _PARTS."""
        parts = {name: changes.pop(name) for name in _PARTS if name in changes}
        summary = Summary(
            self.lease.execution_id,
            changes.pop("pipeline_id", "pipeline"),
            changes.pop("status", ExecutionStatus.RUNNING),
            created_at=self.created_at,
            updated_at=self.created_at + self.position,
        )
        append = Append(self.lease, self.position, count, body, replace(summary, **changes), **parts)
        self.position += count
        return append


class Given:
    """The fixtures of the clauses. A store's test says how the store is made."""

    def make_store(self, folder: Path, clock: Clock) -> Store:
        """A store, empty where the folder is. To be overridden."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time stands still until a clause moves it."""
        return FakeClock(jumping=False)

    @pytest.fixture
    def store(self, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
        """An empty store."""
        store = self.make_store(tmp_path, clock)
        yield store
        store.close()

    def script(self, name: str = "x", owner: Owner | None = None, at: float = 100.0) -> Script:
        """An execution that is about to be created."""
        return Script(Lease(execution_id(name), owner or living(), epoch=1), created_at=at)

    def created(self, store: Store, name: str = "x", owner: Owner | None = None, **changes: Any) -> Script:
        """An execution with one event."""
        script = self.script(name, owner, changes.pop("at", 100.0))
        store.commit(script.append(b"created", **changes)).wait()
        return script


def bodies(batches: Iterator[Batch]) -> list[bytes]:
    """What was written, in order."""
    return [batch.body for batch in batches]
