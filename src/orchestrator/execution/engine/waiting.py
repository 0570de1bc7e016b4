"""What an execution waits for, in words."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.journal.fold import ExecutionRecord
from orchestrator.types import StepKey


def what_it_waits_for(record: ExecutionRecord, waiting: Collection[StepKey]) -> str:
    """One line on the first step that waits, a person before a signal, a signal before a time."""
    persons, signals, times = [], [], []
    for key in waiting:
        step = record.steps[key]
        awaited = step.waiting_for
        if awaited is None or awaited.over is not None:
            persons.append(f"waiting for an answer about step {key!r}")
        elif awaited.kind == "approval":
            persons.append(f"waiting for an answer to step {key!r}")
        elif awaited.kind == "signal":
            signals.append(f"waiting for the signal {awaited.subject!r} (step {key!r})")
        else:
            times.append(f"waiting for a time (step {key!r})")
    found = [*persons, *signals, *times]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return found[0] + more if found else "waiting"
