"""What people were asked about steps that failed, and what they said.

The fold keeps the latest question of a step; who looks at its story wants all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.cli.keys import row_of
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class Question:
    """One question, put after an attempt that failed; times are seconds since the epoch.

    `decision` is None until somebody answered; `by` may be empty, where they did not say who they are.
    """

    key: StepKey
    attempt: int
    asked_at: float
    instructions: str
    deadline: float | None = None
    decision: str | None = None
    by: str = ""
    answered_at: float | None = None

    @property
    def expired(self) -> bool:
        """Whether its deadline ended it, which counts as `abort`."""
        if self.deadline is None or self.answered_at is None:
            return False
        return self.decision == "abort" and self.answered_at >= self.deadline


@dataclass(slots=True)
class Questions:
    """All questions about the present generations of an execution's steps."""

    _about: dict[StepKey, list[Question]] = field(default_factory=dict)
    #: Row -> step or item of it -> the question that is open.
    _open: dict[StepKey, dict[StepKey, Question]] = field(default_factory=dict)
    #: Answers that were given and that no event stands for yet: nobody has gone on with the execution since.
    posted: Mapping[StepKey, str] = field(default_factory=dict)

    def open(self) -> Iterator[Question]:
        """Those that no event answers."""
        for questions in self._open.values():
            yield from questions.values()

    def open_of(self, row: StepKey) -> Mapping[StepKey, Question]:
        """Those of one row that wait for an answer, in the order in which they were put."""
        return self._open.get(row, {})

    def unanswered(self) -> Iterator[Question]:
        """Those that wait for an answer."""
        return (question for question in self.open() if question.key not in self.posted)

    def about(self, key: StepKey) -> Sequence[Question]:
        """Every question about one step or item, answered or not, in order."""
        return self._about.get(key, ())

    def take(self, entry: Entry) -> None:
        """Take in an event; those that have nothing to do with questions pass by."""
        match entry.event:
            case ev.InterventionRequested(key=key, attempt=attempt, instructions=instructions, deadline=deadline):
                question = Question(key, attempt, entry.at, instructions, deadline)
                self._open.setdefault(row_of(key), {})[key] = question
                self._about.setdefault(key, []).append(question)
            case ev.InterventionAnswered(key=key, decision=decision, by=by):
                self._close(key)
                if asked := self._about.get(key):
                    asked[-1] = replace(asked[-1], decision=decision, by=by, answered_at=entry.at)
            case ev.StepSucceeded(key=key) | ev.StepSkipped(key=key) | ev.StepFailed(key=key):
                self._close(key)
            case ev.ExecutionCancelled():
                self._open.clear()

    def _close(self, key: StepKey) -> None:
        self._open.get(row_of(key), {}).pop(key, None)

    def drop(self, renewed: Callable[[StepKey], bool]) -> None:
        """Forget what was asked about the steps that begin anew."""
        for key in [key for key in self._about if renewed(key)]:
            del self._about[key]
            self._close(key)
