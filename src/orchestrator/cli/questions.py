"""What steps wait for: people who were asked, signals and times.

The fold keeps the latest question of a step; who looks at its story wants all of them. What waits is also found by the
steps around it: a loop waits while one of its items does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.keys import owners_of
from orchestrator.types import StepKey

#: What a question can be of: a failure, an `approve` step; and what is no question: a signal, a time.
FAILURE, APPROVAL, SIGNAL, TIME = "failure", "approval", "signal", "time"


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a step waits for since `asked_at`; times are seconds since the epoch.

    `instructions` are what a person is told, or the name of a signal. `decision` is None until somebody answered; `by`
    may be empty, where they did not say who they are. `ask` are the choices, the form and the default of an approval.
    """

    key: StepKey
    attempt: int
    asked_at: float
    instructions: str
    deadline: float | None = None
    decision: str | None = None
    by: str = ""
    answered_at: float | None = None
    kind: str = FAILURE
    ask: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expired(self) -> bool:
        """Whether its deadline ended it, which counts as `abort`."""
        if self.deadline is None or self.answered_at is None:
            return False
        return self.decision == "abort" and self.answered_at >= self.deadline

    @property
    def is_for_a_person(self) -> bool:
        """Whether a person is to answer it."""
        return self.kind in (FAILURE, APPROVAL)

    @property
    def choices(self) -> Sequence[str]:
        """The words that answer it."""
        return tuple(self.ask.get("choices", ())) if self.kind == APPROVAL else ("retry", "skip", "abort")


@dataclass(slots=True)
class Questions:
    """All that the present generations of an execution's steps wait for, or asked a person."""

    _about: dict[StepKey, list[Question]] = field(default_factory=dict)
    _open: dict[StepKey, Question] = field(default_factory=dict)
    #: A step -> what it, or something inside of it, waits for.
    _inside: dict[StepKey, dict[StepKey, Question]] = field(default_factory=dict)
    #: Answers that were given and that no event stands for yet: nobody has gone on with the execution since.
    posted: Mapping[StepKey, str] = field(default_factory=dict)

    def open(self) -> Iterator[Question]:
        """Those to people that no event answers."""
        return (question for question in self._open.values() if question.is_for_a_person)

    def waits(self) -> Iterator[Question]:
        """What is awaited, the answers of people included."""
        return iter(self._open.values())

    def open_of(self, owner: StepKey) -> Mapping[StepKey, Question]:
        """What a step and all inside of it wait for, in the order in which that began."""
        return self._inside.get(owner, {})

    def unanswered(self) -> Iterator[Question]:
        """Those to people that wait for an answer."""
        return (question for question in self.open() if question.key not in self.posted)

    def about(self, key: StepKey) -> Sequence[Question]:
        """Every question about one step or item, answered or not, in order."""
        return self._about.get(key, ())

    def take(self, entry: Entry) -> None:
        """Take in an event; those that have nothing to do with questions pass by."""
        match entry.event:
            case ev.InterventionRequested(key=key, attempt=attempt, instructions=instructions, deadline=deadline):
                self._put(Question(key, attempt, entry.at, instructions, deadline))
            case ev.StepWaiting(key=key, attempt=attempt, kind=kind, until=until, subject=subject, ask=ask):
                self._put(Question(key, attempt, entry.at, subject, until, kind=kind, ask=ask))
            case ev.InterventionAnswered(key=key, decision=decision, by=by):
                self._close(key)
                if asked := self._about.get(key):
                    asked[-1] = replace(asked[-1], decision=decision, by=by, answered_at=entry.at)
            case (
                ev.WaitOver(key=key)
                | ev.SignalTaken(key=key)
                | ev.StepSucceeded(key=key)
                | ev.StepSkipped(key=key)
                | ev.StepFailed(key=key)
                | ev.StepCancelled(key=key)
            ):
                self._close(key)
            case ev.ExecutionCancelled():
                self._open.clear()
                self._inside.clear()

    def _put(self, question: Question) -> None:
        self._open[question.key] = question
        for owner in (question.key, *owners_of(question.key)):
            self._inside.setdefault(owner, {})[question.key] = question
        if question.is_for_a_person:
            self._about.setdefault(question.key, []).append(question)

    def _close(self, key: StepKey) -> None:
        if self._open.pop(key, None) is not None:
            for owner in (key, *owners_of(key)):
                self._inside.get(owner, {}).pop(key, None)

    def drop(self, renewed: Callable[[StepKey], bool]) -> None:
        """Forget what was asked about the steps that begin anew."""
        for key in [key for key in {**self._about, **self._open} if renewed(key)]:
            self._about.pop(key, None)
            self._close(key)
