"""What there is to see of one step: plain records, from the board to whoever draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.questions import Question
from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class Doing:
    """An attempt under way, or the wait for the next one (`due_at`, seconds since the epoch).

    `recovery` says which way out of a failure is being taken, in words; what that runs for the step has a `key` of its
    own, `fetch/mirror`.
    """

    key: StepKey
    attempt: int
    since: float
    fraction: float | None = None
    text: str = ""
    due_at: float | None = None
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One step as it stands.

    `state` is its status, or `retrying` while all that is under way waits for another attempt, `recovering` while it
    takes another way out of a failure, `waiting` while it waits for a person, a signal or a time and nothing else is
    under way, or `unfinished` where it had begun and nobody is at it. `seconds` is the time that was worked on it;
    `done` and `total` count the items of a loop, `rounds` those of a `while`. `doing` are some of the `running`
    attempts of it and inside of it, `asked` is the first of the `waiting` questions there. `depth` says how many rows
    it is below a step of the pipeline, `alone` whether no other steps are inside of it, `opened` whether some of those
    have rows, which follow.
    """

    key: StepKey
    state: str
    seconds: float | None
    attempt: int
    failed_attempts: int
    total: int | None
    done: int
    failed: int
    doing: Sequence[Doing]
    running: int
    text: str
    earlier: bool
    name: str = ""
    asked: Question | None = None
    waiting: int = 0
    recovery: str = ""
    rollbacks: int = 0
    depth: int = 0
    rounds: int | None = None
    alone: bool = True
    opened: bool = False
    case: int | None = None
    reason: str = ""

    @property
    def sign(self) -> str:
        """Which of the signs of `paper.Symbols` stands for it."""
        asleep = self.state == "waiting" and self.asked is not None and not self.asked.is_for_a_person
        return "asleep" if asleep else self.state

    @property
    def fraction(self) -> float | None:
        """How far it is, where that is known: by items, or by what the handler says."""
        if self.total is not None:
            return self.done / self.total if self.total else 1.0
        return self.doing[0].fraction if self.doing and self.alone else None


def way_out(plan: Mapping[str, Any] | None) -> str:
    """A recovery plan in words: `alternative mirror`, `rollback to checkpoint base`, `skip`."""
    match plan:
        case None:
            return ""
        case {"strategy": "alternative_path", "alternative_steps": [*steps]}:
            return f"alternative {', then '.join(map(str, steps))}"
        case {"strategy": "rollback", "target_checkpoint": checkpoint}:
            return f"rollback to checkpoint {checkpoint}" if checkpoint else "rollback to the latest checkpoint"
        case _:
            return str(plan.get("strategy", "")).replace("_", " ")
