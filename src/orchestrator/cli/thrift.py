"""Thrift: the lines of a step that holds many others are summed up after the first ones.

What is a matter of course (a nested step started, completed, was skipped) is told of the first steps inside of each
step of the pipeline. What comes after is told as a count now and then; what goes wrong, or waits, is always told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.cli.board import Board
from orchestrator.cli.sentences import OF_COURSE, Sentences
from orchestrator.cli.words import count
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.keys import owners_of
from orchestrator.types import StepKey

#: Of the steps inside of one, so many are told one by one.
STEPS_TOLD = 30
#: What is not told is summed up this often, in seconds.
_SUM_SECONDS = 5.0


@dataclass(slots=True)
class Thrift:
    """Which events of one execution are told. The board knows each already."""

    board: Board
    #: Step of the pipeline -> the steps inside of it that are told.
    _told: dict[StepKey, set[StepKey]] = field(default_factory=dict)
    _summed_at: dict[StepKey, float] = field(default_factory=dict)

    def tells(self, key: StepKey) -> bool:
        """Whether what is a matter of course is told of a step."""
        around = owners_of(key)
        if not around:
            return True
        told = self._told.setdefault(around[-1], set())
        if key in told:
            return True
        if len(told) >= STEPS_TOLD:
            return False
        told.add(key)
        return True

    def of(self, entry: Entry, sentences: Sentences) -> Iterator[str]:
        """What an event says, or what many come to; nothing for those that are summed up."""
        event = entry.event
        if not isinstance(event, (*OF_COURSE, ev.StepCancelled)) or self.tells(event.key):
            yield from sentences.of(entry)
            return
        top = owners_of(event.key)[-1]
        if top not in self._summed_at:
            self._summed_at[top] = entry.at
            yield f"{top} has more steps inside of it than are told one by one"
        elif entry.at - self._summed_at[top] >= _SUM_SECONDS:
            self._summed_at[top] = entry.at
            yield f"{top} {self._sum(top)}"

    def _sum(self, top: StepKey) -> str:
        step = self.board.record.step(top)
        if step.items is not None:
            failed = f", {step.items_failed:,} failed" if step.items_failed else ""
            return f"{step.items_done:,} of {count(len(step.items), 'item')} done{failed}"
        if step.rounds is not None:
            return f"round {step.rounds:,}"
        return "goes on"
