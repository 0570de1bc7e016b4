"""What a test gives to an execution that waits: signals, and the answers of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.testing.script import names_of
from orchestrator.types import ExecutionId

_WAITS = (ev.StepWaiting, ev.InterventionRequested)


@dataclass
class Given:
    """`messages` are signals by name, each with its payload. `answers` are by step: a decision, or (decision, value).

    Each is given as often as it is waited for. What nobody gives, the execution waits for.
    """

    messages: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    by: str | None = None

    def on_event(self, orchestrator: Orchestrator, execution_id: str, entry: Entry) -> None:
        """Give what an execution waits for from this event on."""
        if isinstance(entry.event, _WAITS):
            self.give(orchestrator, execution_id)

    def give(self, orchestrator: Orchestrator, execution_id: str) -> bool:
        """Give all that an execution waits for now and has not been given yet; whether there was anything."""
        return self._signal(orchestrator, execution_id) | self._answer(orchestrator, execution_id)

    def _signal(self, orchestrator: Orchestrator, execution_id: str) -> bool:
        record = orchestrator.show(execution_id)
        posted = [m.payload.get("name") for m in orchestrator.store.inbox(ExecutionId(execution_id))]
        there = [*posted, *(signal.name for signal in record.signals.values() if signal.taken_by is None)]
        given = False
        for step in record.steps.values():
            awaited = step.waiting_for
            if not step.waiting or awaited is None or awaited.kind != "signal" or awaited.over is not None:
                continue
            if awaited.subject in there:
                there.remove(awaited.subject)
            elif awaited.subject in self.messages:
                orchestrator.signal(execution_id, awaited.subject, self.messages[awaited.subject], self.by)
                given = True
        return given

    def _answer(self, orchestrator: Orchestrator, execution_id: str) -> bool:
        given = False
        for question in orchestrator.approvals(execution_id):
            name = next((name for name in names_of(question.key) if name in self.answers), None)
            if name is not None:
                answer = self.answers[name]
                decision, value = answer if isinstance(answer, tuple) else (answer, None)
                by = self.by or next(iter(question.who), None)
                orchestrator.answer(execution_id, question.key, decision, value, by)
                given = True
        return given
