"""Which of the executions a query means, and which of one concurrency key comes first: the same for every store.

Of one key one execution at a time is under way. What is under way is told by more than the status: one that was
claimed a moment ago still stands as it was. So who has it counts as well; of those that have ended (and are to be
retried) only while that process lives, since nobody looks after them when it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.journal.store import Query, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.types import ExecutionId

#: Whose status says that others of its key have to wait for it.
UNDER_WAY = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.PAUSED})


def matches(summary: Summary, query: Query) -> bool:
    """Whether a query means this one. (All but `startable`, which is no matter of one summary.)"""
    key, due = query.concurrency_key, query.due_before
    return (
        (query.statuses is None or summary.status in query.statuses)
        and query.pipeline_id in (None, summary.pipeline_id)
        and query.execution_id in (None, summary.execution_id)
        and (due is None or (summary.next_due is not None and summary.next_due <= due))
        and (key is None or (summary.concurrency_key == key and summary.status in UNFINISHED))
        and not (query.unowned and summary.owner is not None)
        and not (query.abandoned and not summary.abandoned)
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an execution stands among those of its key. `age` sorts the oldest first."""

    execution_id: ExecutionId
    status: ExecutionStatus
    age: tuple[float, int]
    is_owned: bool
    is_held: bool

    @classmethod
    def of(cls, summary: Summary, number: int) -> Standing:
        """From the summary as `find` gives it; `number` rises in the order of creation."""
        owned = summary.owner is not None
        age = (summary.created_at, number)
        return cls(summary.execution_id, summary.status, age, owned, owned and not summary.abandoned)

    @property
    def is_under_way(self) -> bool:
        """Whether others of its key have to wait for it."""
        return self.status in UNDER_WAY or self.is_held or (self.is_owned and self.status in UNFINISHED)


def comes_first(mine: Standing, begun: Iterable[Standing], queued: Standing | None) -> ExecutionId | None:
    """Which other execution of the key bars this one, which nobody living has; None where it is its turn.

    `begun` are those that may be under way, `queued` is the oldest that is pending and that nobody has. Two that are
    under way in spite of all this must not bar each other for ever: the older one goes on.
    """
    resumes = mine.is_under_way
    for other in begun:
        bars = not resumes or other.is_held or other.age < mine.age
        if other.execution_id != mine.execution_id and other.is_under_way and bars:
            return other.execution_id
    return queued.execution_id if queued is not None and not resumes and queued.age < mine.age else None
