"""What was tried: how often each kind of statement stood in a program, and how often each thing happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.machine.flow.story import Story
from tests.machine.functions.running import Program

from orchestrator.journal import events as ev

_HAPPENED = {
    ev.StepRetrying: "attempts tried again",
    ev.StepFailed: "steps failed",
    ev.StepSkipped: "steps skipped",
    ev.StepCancelled: "steps cancelled",
    ev.SignalTaken: "signals taken",
    ev.WaitOver: "timers and deadlines that fired",
    ev.InterventionAnswered: "answers",
    ev.ExecutionRestored: "rollbacks",
}


class Tally:
    """Counts over many trials."""

    def __init__(self) -> None:
        self.drawn: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def program(self, body: Program, is_async: bool) -> None:
        """A trial of this program begins: each kind of statement counts once for it."""
        self.drawn.update({"async" if is_async else "plain", *_features(body)})

    def happened(self, what: str, count: int = 1) -> None:
        """Something was done to an execution."""
        self.done[what] += count

    def end(self, story: Story) -> None:
        """A trial is over."""
        self.ended[story.status] += 1
        for entry in story.entries:
            if (word := _HAPPENED.get(type(entry.event))) is not None:
                self.done[word] += 1

    def lines(self) -> Iterator[str]:
        """The counts, to be read."""
        for title, counts in (("programs with", self.drawn), ("what happened", self.done), ("ended", self.ended)):
            yield f"{title}:"
            yield from (f"  {count:7,}  {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1]))


#: Of this process.
TALLY = Tally()


def _features(body: Program) -> Iterator[str]:
    for statement in body:
        more: Any = statement.get("how")
        yield f"{statement['do']} {more}" if more else statement["do"]
        for part in ("body", "catch", "tidy"):
            yield from _features(statement.get(part) or [])
        for branch in statement.get("branches", []):
            yield from _features(branch["body"])
