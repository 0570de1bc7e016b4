"""Marks: what it takes to come back to a moment, at the price of what changed since.

A context keeps a list of marks, oldest first. Nothing is copied when one is made. Later, *before* a step changes for
the first time since the newest mark, the step as it stood is noted there (None where it was unknown); so each mark
holds what differs between itself and the next one. How something stood at a mark is the first note on it from there
on, or, where there is none, how it stands now. A restore is itself just more changes after the newest mark, so that
later marks keep their meaning, and one can go back and forth.

Nested contexts are held in two ways: which there were, as steps are; and how each stood, by a mark of its own, made
together with its parent's, but only in those that changed since they were marked last.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from orchestrator.execution.state.checkpoints import INITIAL, Checkpoint
from orchestrator.execution.state.metrics import ExecutionMetrics
from orchestrator.execution.variables import Mark as VariableMark
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import ExecutionStatus
from orchestrator.types import StepKey


class Holder(Protocol):
    """A nested context, as far as its parent's marks go."""

    def take_mark(self) -> Mark:
        """A mark of how it stands now."""
        ...

    def forget_mark(self, mark: Mark) -> None:
        """That mark is not needed any more."""
        ...


@dataclass(slots=True, eq=False)
class Mark:
    """One moment of a context. The mappings hold how things stood then that have changed by the next mark."""

    #: Where it stands in the execution's history.
    position: int
    status: ExecutionStatus
    pause_reason: str
    metrics: ExecutionMetrics
    variables: VariableMark
    #: The steps that ran, in the order in which they were started, each with its variables' context, if it had one.
    running: dict[StepKey, str | None]
    #: How many steps were said to come.
    expected: int = 0
    checkpoint: Checkpoint | None = None
    steps: dict[StepKey, StepRecord | None] = field(default_factory=dict)
    nested: dict[str, Holder | None] = field(default_factory=dict)
    #: The marks that were made in nested contexts together with this one.
    states: dict[Holder, Mark] = field(default_factory=dict)


_Key = TypeVar("_Key", StepKey, str)
_Thing = TypeVar("_Thing")


class Marks:
    """The marks of one context, oldest first; some are checkpoints, the others belong to the parent's."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._marks)

    @property
    def newest(self) -> Mark | None:
        """The one that changes are noted in."""
        return self._marks[-1] if self._marks else None

    @property
    def checkpoints(self) -> list[Mark]:
        """Those that a restore may name, oldest first."""
        return [mark for mark in self._marks if mark.checkpoint is not None]

    def add(self, mark: Mark) -> None:
        """From here on changes are noted in this one."""
        self._marks.append(mark)

    def find(self, name: str) -> Mark | None:
        """The checkpoint of that id, else the newest of that description."""
        found = None
        for mark in self._marks:
            if mark.checkpoint is not None:
                if mark.checkpoint.id == name:
                    return mark
                found = mark if mark.checkpoint.description == name else found
        return found

    @property
    def initial(self) -> Mark | None:
        """The checkpoint that the start made: the first of that description that was made while the execution ran."""
        for mark in self._marks:
            found = mark.checkpoint
            if found is not None and found.description == INITIAL and found.status is ExecutionStatus.RUNNING:
                return mark
        return None

    def surplus(self, most: int, pinned: Iterable[str] = ()) -> list[Mark]:
        """The oldest checkpoints beyond this many; not the initial one, the newest, or what a pinned name finds."""
        kept = self.checkpoints
        if len(kept) <= most:
            return []
        held = [self.initial, *map(self.find, pinned)]
        return [mark for mark in kept[:-1] if mark not in held][: len(kept) - most]

    # -- how things stood ------------------------------------------------------------------------------------------

    def steps_at(self, mark: Mark) -> dict[StepKey, StepRecord | None]:
        """Every step that changed since then, as it stood."""
        return _first([later.steps for later in self._since(mark)])

    def nested_at(self, mark: Mark) -> dict[str, Holder | None]:
        """Every place among the nested contexts that changed since then, as it stood."""
        return _first([later.nested for later in self._since(mark)])

    def changed_since(self, mark: Mark) -> set[Holder]:
        """The nested contexts that were marked again after it."""
        return {holder for later in self._since(mark)[1:] for holder in later.states}

    def state_at(self, mark: Mark, holder: Holder) -> Mark | None:
        """The mark that says how a nested context stood then; None where it was not there yet."""
        for earlier in reversed(self._marks[: self._marks.index(mark) + 1]):
            if holder in earlier.states:
                return earlier.states[holder]
        return None

    def _since(self, mark: Mark) -> list[Mark]:
        return self._marks[self._marks.index(mark) :]

    # -- letting go ------------------------------------------------------------------------------------------------

    def drop(self, mark: Mark, present: Collection[Holder]) -> list[Holder]:
        """Forget a mark: what it noted goes to the one before it, where none noted it earlier.

        How a nested context stood is handed on only where it is `present`, or a mark that is kept may bring it back.
        Gives the nested contexts that no mark says any more how they stand now: they must be marked with the next.
        """
        place = self._marks.index(mark)
        if place:
            _add_missing(self._marks[place - 1].steps, mark.steps)
            _add_missing(self._marks[place - 1].nested, mark.nested)
        del self._marks[place]
        later = self._marks[place].states if place < len(self._marks) else None
        reachable = {*present, *(holder for kept in self._marks for holder in kept.nested.values())}
        unmarked = []
        for holder, state in mark.states.items():
            if later is not None and holder in reachable and holder not in later:
                later[holder] = state
            else:
                holder.forget_mark(state)
                if later is None and holder in reachable:
                    unmarked.append(holder)
        return unmarked


def _first(notes: list[dict[_Key, _Thing]]) -> dict[_Key, _Thing]:
    """Of each key the first note."""
    found: dict[_Key, _Thing] = {}
    for note in reversed(notes):
        found.update(note)
    return found


def _add_missing(notes: dict[_Key, _Thing], more: dict[_Key, _Thing]) -> None:
    for key, thing in more.items():
        notes.setdefault(key, thing)


def copy_step(step: StepRecord | None) -> StepRecord | None:
    """A record of its own, so that what happens to the step later does not change it."""
    if step is None:
        return None
    fresh = copy.copy(step)
    fresh.inner = None  # what is inside of it has notes of its own, and `regroup` finds it
    if fresh.failures is not None:
        fresh.failures = [*fresh.failures]
    return fresh
