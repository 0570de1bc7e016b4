"""What was tried: how often each feature stood in a pipeline, and how often each thing happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.machine.flow.making import KINDS
from tests.machine.flow.story import Story

from orchestrator.journal import events as ev

_MODIFIERS = ("when", "retry", "timeout", "checkpoint", "needs", "max_parallel", "max_iterations")
_HAPPENED = {
    ev.StepRetrying: "attempts tried again",
    ev.StepCancelled: "steps cancelled",
    ev.SignalTaken: "signals taken",
    ev.WaitOver: "timers and deadlines that fired",
    ev.DeadlinePassed: "blocks out of time",
    ev.IterationStarted: "rounds",
    ev.InterventionAnswered: "answers",
    ev.ExecutionRestored: "rollbacks and restores",
    ev.StepRecovering: "ways out taken",
    ev.StepInDoubt: "effects in doubt",
}


class Tally:
    """Counts over many trials."""

    def __init__(self) -> None:
        self.drawn: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.trials = 0

    def pipeline(self, definition: Mapping[str, Any]) -> None:
        """A trial of this pipeline begins: each feature counts once for it."""
        self.trials += 1
        found = {*_features(definition["steps"], 0)}
        for member in definition.get("pipelines", {}).values():
            found |= {*_features(member["steps"], 0)}
            found |= {"finally in a sub-pipeline"} if "finally" in member else set()
        found |= {"finally"} if "finally" in definition else set()
        self.drawn.update(found)

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
        yield f"{self.trials} executions"
        for title, counts in (("pipelines with", self.drawn), ("what happened", self.done), ("ended", self.ended)):
            yield f"{title}:"
            yield from (f"  {count:7,}  {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1]))


#: Of this process.
TALLY = Tally()


def _features(steps: list[dict[str, Any]], loops: int) -> Iterator[str]:
    for step in steps:
        kind = next(kind for kind in (*KINDS, "run") if kind in step)
        yield kind if kind != "parallel" else f"parallel, join {step.get('join', 'all')}"
        yield from (f"effect in doubt: {step['effect']['in_doubt']}" for _ in range("effect" in step))
        looped = "for_each" if "for_each" in step else "while" if "while" in step else None
        if looped:
            yield looped if kind in ("call", "set") else f"{looped} over {kind}"
        if looped and loops:
            yield "loops in loops"
        if kind == "pipeline" and (loops or looped):
            yield "sub-pipelines in loops"
        yield from (f"{kind} with a deadline" for _ in range("deadline" in step))
        yield from (word for word in _MODIFIERS if word in step)
        yield from (f"on_item_failure {step['on_item_failure']}" for _ in range("on_item_failure" in step))
        yield from (f"on_error {rule['strategy']}" for rule in step.get("on_error", ()))
        yield from (f"handlers: {word}" for word in step.get("with", {}).get("do", ()))
        for block in (step.get("steps"), step.get("parallel"), *(case["steps"] for case in step.get("switch", ()))):
            yield from _features(block or [], loops + bool(looped))
