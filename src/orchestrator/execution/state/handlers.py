"""Who is told of an execution's entries. Made when the first one asks: a context that nobody follows does nothing here.

There is one path of events: entries, in their order. What is said of steps and of the status are views of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.execution.delivery import Handlers
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, Event
from orchestrator.status import ExecutionStatus
from orchestrator.types import StepKey

#: The word that handlers of steps hear for each event of a step; CANCELLED is the word for those that a cancel ends.
STEP_WORDS: Mapping[type[Event], str] = {
    ev.StepStarted: "started",
    ev.StepSucceeded: "completed",
    ev.StepFailed: "failed",
    ev.StepSkipped: "skipped",
    ev.StepRetrying: "retrying",
}
CANCELLED = "cancelled"


class Listening:
    """The handlers of one context: of entries, of steps (id, word), of the status."""

    __slots__ = ("entries", "statuses", "steps")

    def __init__(self) -> None:
        self.entries: Handlers[Entry] = Handlers()
        self.steps: Handlers[str, str] = Handlers()
        self.statuses: Handlers[ExecutionStatus] = Handlers()

    @property
    def faults(self) -> int:
        """How often a handler raised."""
        return self.entries.faults + self.steps.faults + self.statuses.faults

    def tell(self, entry: Entry, cancelled: Sequence[StepKey], status: ExecutionStatus | None) -> None:
        """Call everybody whom an entry concerns; `status` is the new one, where it changed. With no lock held."""
        self.entries(entry)
        word = STEP_WORDS.get(type(entry.event))
        if word is not None:
            self.steps(entry.event.key, word)  # type: ignore[union-attr, arg-type]  # every event of a step has one
        for key in cancelled:
            self.steps(key, CANCELLED)
        if status is not None:
            self.statuses(status)


class WithFirst:
    """A handler of the status that wants something else said first: the context, or the execution's id."""

    __slots__ = ("_first", "_handler", "_with_status")

    def __init__(self, handler: Callable[..., object], first: object, with_status: bool) -> None:
        self._handler, self._first, self._with_status = handler, first, with_status

    def __call__(self, status: ExecutionStatus) -> None:
        self._handler(self._first, *([status] if self._with_status else []))

    def __repr__(self) -> str:
        return repr(self._handler)
