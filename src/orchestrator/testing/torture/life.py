"""One process that works on an execution by the library, with a subscriber that bears witness.

    python -m orchestrator.testing.torture.life FOLDER VERB WAY

`WAY` is a `Way` as JSON. Exit codes: 0 completed, 1 failed, 3 paused, 9 an error, which is the last line of stderr as
`Class: message`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.clock import SystemClock
from orchestrator.errors import OrchestratorError
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Append, Commit, Lease, OnDone, Owner
from orchestrator.pipelines.model import Pipeline
from orchestrator.status import ExecutionStatus
from orchestrator.storage.sqlite import BUSY_SECONDS, SqliteStore
from orchestrator.testing.left_running import FOLDER
from orchestrator.testing.torture.witness import Witness, digest_of
from orchestrator.types import ExecutionId

EXECUTION_ID = "victim"
ERROR = 9
_CODES = {ExecutionStatus.COMPLETED: 0, ExecutionStatus.FAILED: 1}
#: How far a clock jumps at most, in seconds.
_JUMPS = (1.0, 60.0, 86_400.0, 40_000_000.0)


@dataclass(frozen=True, slots=True)
class Way:
    """How a process works: what differs from an ordinary one."""

    store: str
    #: SIGKILL itself when it was told of this many events; None never does.
    dies_after_events: int | None = None
    #: How far its wall clock is ahead of the machine's.
    clock_ahead_seconds: float = 0.0
    #: Jump the wall clock at random, with this seed.
    clock_jumps: int | None = None
    #: Pretend to be on another machine, so that its death can only be guessed from its heartbeat.
    host: str = ""
    busy_seconds: float = BUSY_SECONDS

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


class JumpingClock(SystemClock):
    """A wall clock that is wrong, and may jump whenever it is read. Durations stay right."""

    def __init__(self, ahead_seconds: float, jumps: int | None) -> None:
        self._ahead = ahead_seconds
        self._chance = None if jumps is None else Random(jumps)

    def time(self) -> float:
        """Seconds since the Unix epoch, or what is taken for them."""
        if self._chance is not None and self._chance.random() < 0.2:
            self._ahead = self._chance.choice(_JUMPS) * self._chance.uniform(-1, 1)
        return super().time() + self._ahead


class Elsewhere:
    """A store whose user says to be on another machine; all else passes through."""

    def __init__(self, inner: Any, host: str) -> None:
        self._inner, self._host = inner, host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """Claim it as that machine."""
        there = replace(owner, host=self._host)
        return self._inner.claim(execution_id, there, queues=queues)  # type: ignore[no-any-return]  # passes through

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """Commit as that machine."""
        lease = replace(append.lease, owner=replace(append.lease.owner, host=self._host))
        return self._inner.commit(replace(append, lease=lease), on_done)  # type: ignore[no-any-return]  # passes through


class Subscriber:
    """Bears witness of what is told; ends its process where the way says so."""

    def __init__(self, witness: Witness, dies_after_events: int | None) -> None:
        self._witness, self._left = witness, dies_after_events

    def __call__(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, ev.StepSucceeded):
            self._witness.know({f"{event.key} {event.generation}": digest_of(event.output)})
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, verb: str, way: Way) -> int:
    """Run, resume or retry; gives the exit code."""
    os.environ[FOLDER] = str(folder)
    clock = JumpingClock(way.clock_ahead_seconds, way.clock_jumps)
    subscriber = Subscriber(Witness(folder / "witness"), way.dies_after_events)
    try:
        store: Any = SqliteStore(way.store, clock, busy_seconds=way.busy_seconds)
        store = Elsewhere(store, way.host) if way.host else store
        with Orchestrator(store, clock=clock, on_event=[subscriber]) as orchestrator:
            result = _perform(orchestrator, verb, folder)
        store.close()
    except OrchestratorError as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return ERROR
    return _CODES.get(result.status, 3)


def _perform(orchestrator: Orchestrator, verb: str, folder: Path) -> ExecutionResult:
    if verb == "run":
        return orchestrator.run(Pipeline.load(folder / "pipeline.yaml"), execution_id=EXECUTION_ID)
    return orchestrator.resume(EXECUTION_ID) if verb == "resume" else orchestrator.retry(EXECUTION_ID)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Way(**json.loads(sys.argv[3]))))
