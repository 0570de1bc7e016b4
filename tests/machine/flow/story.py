"""What the journal says of one execution: where each step stands, and the decisions that were free.

Free is what no definition settles: which branch ended first, who took which signal, what a person answered, whether a
deadline came before, how often a step began anew. The model takes these from here and computes all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator import Orchestrator
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ENDED
from orchestrator.types import StepKey

ENDS = (ev.StepSucceeded, ev.StepSkipped, ev.StepFailed, ev.StepCancelled)
#: What begins steps anew.
ANEW = (ev.ExecutionRetried, ev.ExecutionRerun, ev.ExecutionRestored)
ENDED_WELL = ("completed", "skipped")


def owners(key: str) -> list[str]:
    """The keys of whatever holds a step."""
    return [key[:place] for place in range(1, len(key)) if key[place] in "[./"]


class Story:
    """One execution as its journal tells it, read through what a user has: `show`, `history`, `value`."""

    def __init__(self, app: Orchestrator, execution_id: str) -> None:
        self.record: ExecutionRecord = app.show(execution_id)
        self.entries: Sequence[Entry] = app.history(execution_id)
        self.row = next(row for row in app.list() if row.execution_id == execution_id)
        self.inbox = app.store.inbox(self.record.execution_id)
        self.value = app.value
        self._ends: dict[tuple[str, int], Entry] = {}
        for entry in self.entries:
            if isinstance(entry.event, ENDS):
                self._ends[entry.event.key, entry.event.generation] = entry
            elif isinstance(entry.event, ANEW):  # what failed or was cancelled around it goes on
                around = {owner for key in entry.event.keys for owner in owners(key)}
                gone = (ev.StepFailed, ev.StepCancelled)
                self._ends = {
                    found: end
                    for found, end in self._ends.items()
                    if found[0] not in around or not isinstance(end.event, gone)
                }

    # -- the execution -------------------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """Where the execution stands."""
        return str(self.record.status)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.record.status in ENDED

    @property
    def outputs(self) -> Any:
        """Its outputs; None where it has none."""
        return None if self.record.outputs is None else self.value(self.record.outputs)

    # -- one step ------------------------------------------------------------------------------------------------------

    def step(self, key: str) -> StepRecord | None:
        """What is known of it; None where nothing is."""
        return self.record.steps.get(StepKey(key))

    def state(self, key: str) -> str:
        """Its status word; "" where nothing was recorded of it."""
        step = self.step(key)
        return str(step.status) if step else ""

    def own_state(self, key: str) -> str:
        """The same; "failed" where its recovery ended well in its place."""
        step = self.step(key)
        return "failed" if step is not None and step.plan is not None else self.state(key)

    def generation(self, key: str) -> int:
        """Its generation."""
        step = self.step(key)
        return step.generation if step else 1

    def spent(self, key: str) -> int:
        """The attempts that were used up before this generation."""
        step = self.step(key)
        return step.spent if step else 0

    def attempt(self, key: str) -> int:
        """Its latest attempt."""
        step = self.step(key)
        return step.attempt if step else 0

    def output(self, key: str) -> tuple[Any, ...]:
        """Its recorded output, alone in a tuple; nothing where it is made of what is inside of the step."""
        step = self.step(key)
        return () if step is None or step.output is None else (self.value(step.output),)

    def items(self, key: str) -> Any:
        """The recorded items of a loop; None where it has none yet."""
        step = self.step(key)
        return None if step is None or step.items is None else [self.value(item) for item in step.items]

    def ended(self, key: str) -> Entry | None:
        """The event that ended it in its present generation."""
        return self._ends.get((key, self.generation(key)))

    def ended_at(self, key: str) -> int:
        """Where that stands in the journal; far behind everything where it has not ended."""
        entry = self.ended(key)
        return entry.position if entry else 1 << 60

    def latest(self, kind: type, key: str) -> Entry | None:
        """The last event of a kind about a step in its present generation."""
        for entry in reversed(self.entries):
            event: Any = entry.event
            if isinstance(event, kind) and event.key == key and event.generation == self.generation(key):
                return entry
        return None

    # -- what was decided ----------------------------------------------------------------------------------------------

    @property
    def cancel_asked_at(self) -> int | None:
        """Where it was asked to be cancelled, and not asked for again since; None where it was not."""
        asked = None
        for entry in self.entries:
            if isinstance(entry.event, ev.CancelRequested):
                asked = entry.position
            elif isinstance(entry.event, ANEW):
                asked = None
        return asked

    def taken(self, key: str) -> ev.SignalReceived | None:
        """The signal that a step took."""
        entry = self.latest(ev.SignalTaken, key)
        if entry is None:
            return None
        assert isinstance(entry.event, ev.SignalTaken)
        received = self.entries[entry.event.position - 1].event
        assert isinstance(received, ev.SignalReceived), f"{key} took what is no signal: {received}"
        return received

    def answer(self, key: str, attempt: int) -> ev.InterventionAnswered | None:
        """What a person said about a step whose attempt failed; None where nobody has said anything."""
        asked = False
        for entry in self.entries:
            match entry.event:
                case ev.InterventionRequested(key=found, generation=generation, attempt=number):
                    asked = asked if found != key else (generation, number) == (self.generation(key), attempt)
                case ev.InterventionAnswered(key=found) if asked and found == key:
                    return entry.event
        return None

    def doubt(self, key: str, attempt: int) -> str:
        """The policy that was followed when an attempt was in doubt; "" where none was."""
        entry = self.latest(ev.StepInDoubt, key)
        event: Any = entry.event if entry is not None else None
        return event.policy if event is not None and event.attempt == attempt else ""

    def late_at(self, key: str) -> int | None:
        """Where the journal says that the time of a block's present attempt was over before the block was."""
        late, entered = self.latest(ev.DeadlinePassed, key), self.latest(ev.BlockEntered, key)
        return late.position if late is not None and (entered is None or late.position > entered.position) else None

    def ended_well_inside(self, key: str, after: int) -> list[str]:
        """What ended well inside of a step after that place in the journal."""
        found: list[Any] = [entry.event for entry in self.entries[after:] if isinstance(entry.event, ENDS[:2])]
        return [
            str(event.key)
            for event in found
            if event.key.startswith(key) and event.key[len(key) : len(key) + 1] in ("[", ".", "/")
        ]

    def waiting(self) -> list[StepRecord]:
        """The steps that wait for a person, a signal or a time, and have not ended."""
        return [
            step
            for key, step in self.record.steps.items()
            if step.waiting and self.state(key) in ("pending", "running")
        ]
