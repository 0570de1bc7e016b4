"""Carrying an execution to its end in a test: with what it waits for given, and times that come at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.clock import Clock, SystemClock
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Query, Store
from orchestrator.status import ENDED, ExecutionStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.given import Given
from orchestrator.testing.script import Script

#: However long a wait for a time is, the engine stays for it: a clock of tests jumps.
_PATIENCE_SECONDS = 1e12


@dataclass
class Carrier:
    """Runs one execution of `subject`, which is whatever `Orchestrator.run` takes, on any number of stores in turn.

    `options` are further arguments of the Orchestrators that it makes.
    """

    subject: Any
    inputs: Mapping[str, Any]
    execution_id: str
    clock: Clock
    script: Script = field(default_factory=Script)
    given: Given = field(default_factory=Given)
    options: Mapping[str, Any] = field(default_factory=dict)

    def carry(self, store: Store) -> ExecutionResult:
        """Begin it, or go on with it, until it has ended or waits for what nobody gives."""
        with self.opened(store) as app:
            id_ = self.execution_id
            if not app.list(Query(execution_id=id_)):
                result = app.run(self.subject, self.inputs, execution_id=id_)
            elif (status := app.show(id_).status) in ENDED:
                return _ended(app, id_)
            else:
                if status is ExecutionStatus.PAUSED:
                    self.given.give(app, id_)
                result = app.resume(id_)
            while result.status is ExecutionStatus.PAUSED and self._goes_on(app, result):
                result = app.resume(id_)
            return result

    def opened(self, store: Store) -> Orchestrator:
        """An Orchestrator on that store, which gives what is waited for."""

        def on_event(entry: Entry) -> None:
            self.given.on_event(app, self.execution_id, entry)

        told = (*self.options.get("on_event", ()), on_event)
        options = {"patience_seconds": _PATIENCE_SECONDS, **self.options, "on_event": told}
        app = Orchestrator(store, clock=self.clock, runner=self.script, **options)
        return app

    def _goes_on(self, app: Orchestrator, result: ExecutionResult) -> bool:
        """Bring what it waits for; whether there is anything."""
        if self.given.give(app, self.execution_id):
            return True
        if result.until is None:
            return False
        if isinstance(self.clock, FakeClock):
            self.clock.advance(max(0.0, result.until - self.clock.time()))
        elif isinstance(self.clock, SystemClock):
            import asyncio

            asyncio.run(self.clock.sleep(result.until - self.clock.time()))
        return True


def _ended(app: Orchestrator, execution_id: str) -> ExecutionResult:
    """How an execution has ended, in an earlier life."""
    record = app.show(execution_id)
    outputs = app.value(record.outputs) if record.outputs is not None else {}
    return ExecutionResult(record.execution_id, record.status, outputs, record.error, record.failed_step)
