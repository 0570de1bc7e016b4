"""Checkpoints: named places in an execution's history, to come back to."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.clock import utc_now
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.status import ExecutionStatus

#: The description of the checkpoint that a start makes; retention never drops it.
INITIAL = "initial"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in an execution's history. `id` has 8 characters and is unique in its execution; made where empty.

    `status` is the execution's at that moment, `step_id` the step that was the latest to run.
    """

    id: str = ""
    timestamp: datetime = field(default_factory=utc_now)
    execution_id: str = ""
    step_id: str | None = None
    status: ExecutionStatus = ExecutionStatus.RUNNING
    description: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", secrets.token_hex(4))


def checkpoint_id(number: int) -> str:
    """The id of an execution's checkpoint, from a number that no other one of it has."""
    return f"{number:08x}"


def checkpoint_due(completed_steps: int, every: int) -> bool:
    """Whether a checkpoint rides with the success that makes it this many completed steps; never with `every` 0."""
    return every > 0 and completed_steps > 0 and completed_steps % every == 0


def checkpoint_number(name: str) -> int:
    """The number that an id was made from; 0 for any other."""
    try:
        return int(name, 16)
    except ValueError:
        return 0


def passing_checkpoints(journal: Sequence[Entry], most: int) -> frozenset[str]:
    """The automatic checkpoints of a journal that later ones have pushed out, where this many are kept.

    Whoever replays the journal need not make them. None where the execution went back to a checkpoint: to that one too.
    """
    made: list[str] = []
    for entry in journal:
        event = entry.event
        if type(event) is ev.CheckpointCreated and not event.description:
            made.append(event.checkpoint)
        elif type(event) is ev.ExecutionRestored:
            return frozenset()
    return frozenset(made[:-most])
