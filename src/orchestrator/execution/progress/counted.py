"""The steps of one execution, counted by where they stand.

Every change of a step's status is followed by `count`, so that the counts are those of the steps' states at any time.
A step whose key says that it is inside of another step that is known here (an item `months[3]` of `months`, a part
`fetch/mirror` of `fetch`, a step `route.small` of the block of `route`) is kept, and not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from orchestrator.execution.progress.steps import ENDED, StepProgress, is_item, owner_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus


class CountedSteps:
    """Steps by their ids, in the order in which they came. Not thread-safe: they belong to a ledger."""

    def __init__(self) -> None:
        self._steps: dict[str, StepProgress] = {}
        #: How many counted steps stand where.
        self.counts: Counter[StepStatus] = Counter()
        self._running: dict[str, StepProgress] = {}
        #: What is inside of a step -> that step.
        self._owners: dict[str, str] = {}
        #: The steps that are known to hold others.
        self.holders: set[str] = set()
        #: Loops -> how many items they have, and how many of these have ended.
        self.items: dict[str, int] = {}
        self.items_ended: Counter[str] = Counter()

    @classmethod
    def of(cls, records: Iterable[StepRecord]) -> CountedSteps:
        """What a journal's fold says of them."""
        steps = cls()
        for record in sorted(records, key=lambda one: len(one.key)):  # owners before what they own
            if record.holds_others:
                steps.holders.add(record.key)
            if record.items is not None:
                steps.items[record.key] = len(record.items)
            steps.begin(record.key)
            steps._steps[record.key] = found = StepProgress.of(record)
            steps.count(found, StepStatus.PENDING)
        return steps

    # -- reading -----------------------------------------------------------------------------------------------------

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._steps

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def get(self, step_id: str) -> StepProgress | None:
        """The step itself; None where it is not known."""
        return self._steps.get(step_id)

    def owner(self, step_id: str) -> str | None:
        """The known step that one is inside of; None for a step that counts by itself."""
        return self._owners.get(step_id) if step_id in self._steps else owner_of(step_id, self._steps, self.holders)

    def owners(self, step_id: str) -> list[str]:
        """The known steps that one is inside of, the nearest first."""
        found = []
        while (owner := self.owner(step_id)) is not None:
            found.append(owner)
            step_id = owner
        return found

    def is_running(self, step_id: str) -> bool:
        """Whether a step is under way."""
        return step_id in self._running

    def has_ended(self, step_id: str) -> bool:
        """Whether a step has ended and was not begun again."""
        step = self._steps.get(step_id)
        return step is not None and step.is_completed

    def is_set_back(self, step_id: str) -> bool:
        """Whether a step, or what it belongs to, had begun and is now to begin anew."""
        step = self._steps.get(step_id if step_id in self._steps else self.owner(step_id) or step_id)
        return step is not None and step.status is StepStatus.PENDING

    def running_fraction(self) -> float:
        """The sum of the fractions, each from 0 to 1, of the counted steps that are under way."""
        return sum(step.progress_percentage for key, step in self._running.items() if key not in self._owners) / 100.0

    def loop_percentage(self, step_id: str) -> float:
        """How many of a loop's items have ended, from 0 to 100."""
        items = self.items[step_id]
        return 100.0 * self.items_ended[step_id] / items if items else 100.0

    def belonging_to(self, step_ids: Iterable[str]) -> list[str]:
        """What is inside of these steps, at any depth."""
        above, found = {*step_ids}, []
        for key in sorted(self._owners, key=len):  # owners before what they own
            if self._owners[key] in above:
                above.add(key)
                found.append(key)
        return found

    # -- writing -----------------------------------------------------------------------------------------------------

    def begin(self, step_id: str, name: str | None = None) -> StepProgress:
        """The step, which is known from now on, under this name where one is given."""
        step = self._steps.get(step_id)
        if step is None:
            if (owner := self.owner(step_id)) is not None:
                self._owners[step_id] = owner
            else:
                self.counts[StepStatus.PENDING] += 1
            step = self._steps[step_id] = StepProgress(step_id)
        step.step_name = name or step.step_name
        return step

    def count(self, step: StepProgress, before: StepStatus) -> None:
        """Count a step where it stands now, no longer where it stood before."""
        self._running.pop(step.step_id, None)
        if step.status is StepStatus.RUNNING:
            self._running[step.step_id] = step
        if (owner := self._owners.get(step.step_id)) is None:
            self.counts[before] -= 1
            self.counts[step.status] += 1
        elif is_item(step.step_id):
            self.items_ended[owner] += (step.status in ENDED) - (before in ENDED)

    def hold(self, step_id: str, items: int | None, afresh: bool) -> None:
        """A step holds others: so many items, where it is a loop. With `afresh` nothing is known of them yet."""
        self.holders.add(step_id)
        if items is not None:
            self.items[step_id] = items
        if afresh:
            self._empty(step_id)

    def renew(self, step: StepProgress) -> None:
        """A step gets another go, of which nothing has begun."""
        step.try_again()
        self._empty(step.step_id)
        self.items.pop(step.step_id, None)
        del self.items_ended[step.step_id]

    def _empty(self, step_id: str) -> None:
        for inner in reversed(self.belonging_to([step_id])):
            self._forget(inner)

    def cancel_running(self, at: datetime) -> None:
        """Give up what is under way."""
        for step in [*self._running.values()]:
            step.cancel(at=at)
            self.count(step, StepStatus.RUNNING)

    def set_back(self, words: Mapping[str, str | None]) -> None:
        """Let these steps stand as the words say; None where they are gone."""
        for key in [key for key, word in words.items() if word is None]:
            self._forget(key)
        for key, word in words.items():
            if word is not None and (step := self._steps.get(key)) is not None:
                before = step.status
                step.set_back(StepStatus(word))
                self.count(step, before)
        for key in [key for key in self.items if key in words]:
            self._set_loop_back(self._steps[key])

    def _set_loop_back(self, loop: StepProgress) -> None:
        if loop.status is StepStatus.PENDING:
            del self.items[loop.step_id], self.items_ended[loop.step_id]
        else:
            loop.progress_percentage = self.loop_percentage(loop.step_id)

    def _forget(self, step_id: str) -> None:
        if (step := self._steps.get(step_id)) is None:
            return
        before, step.status = step.status, StepStatus.PENDING
        self.count(step, before)
        self.counts[StepStatus.PENDING] -= step_id not in self._owners
        del self._steps[step_id]
        self._owners.pop(step_id, None)
        self.holders.discard(step_id)
        self.items.pop(step_id, None)
        del self.items_ended[step_id]
