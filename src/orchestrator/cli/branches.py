"""Which steps inside of a step have rows of their own.

A step of a block or of a sub-pipeline has one, also before it begins. The items of a loop are summed up in the loop's
row where each is one piece of work; items that hold steps have rows, as has the latest round of a `while`. Where that
comes to more rows than a person takes in, what is at work or went wrong is shown alone, some of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from orchestrator.cli.keys import child_of
from orchestrator.cli.outline import Outline
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import is_inside, item_key
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey

#: Of one step of the pipeline, so many nested ones are shown; of more, those that are at work.
NESTED_SHOWN = 30
#: Of these, so many inside of each step.
_BUSY_SHOWN = 6
#: So many of what is under way are looked at for that.
_LOOKED_AT = 40

#: What is under way, or awaited, inside of a step, by key.
Inside = Callable[[StepKey], Mapping[StepKey, Any]]


@dataclass(frozen=True, slots=True)
class Branches:
    """The rows below the steps of one execution, as it stands now."""

    record: ExecutionRecord
    outline: Outline
    under_way: Inside
    awaited: Inside

    def below(self, key: StepKey) -> list[tuple[StepKey, int]]:
        """A step and all below it that is shown, in order, each with its depth."""
        whole = [*islice(self._walk(key, 0, self._children), NESTED_SHOWN + 2)]
        return whole if len(whole) <= NESTED_SHOWN + 1 else [*islice(self._walk(key, 0, self._busy), NESTED_SHOWN + 1)]

    def _walk(
        self, key: StepKey, depth: int, children: Callable[[StepRecord], Collection[StepKey]]
    ) -> Iterator[tuple[StepKey, int]]:
        yield key, depth
        step = self.record.steps.get(key)
        for child in children(step) if step is not None else ():
            yield from self._walk(child, depth + 1, children)

    def _children(self, step: StepRecord) -> Collection[StepKey]:
        known = self.record.steps
        if step.items is not None:
            if not self._items_hold_others(step):
                return []
            items = (item_key(step.key, i) for i in range(len(step.items)))
            return [*islice((item for item in items if item in known and known[item].holds_others), NESTED_SHOWN + 2)]
        if step.rounds is not None:
            latest = item_key(step.key, step.rounds - 1)
            return [latest] if latest in known and known[latest].holds_others else []
        if step.block is None:  # what its recovery runs stands in its own row
            return []
        written = self.outline.inside(step)
        return written or [key for key in step.inner or () if key in known]

    def _items_hold_others(self, step: StepRecord) -> bool:
        """Whether the items of a loop are made of steps; where that is not written down, the first ones tell."""
        if self.outline.step(step.key) is not None:
            return self.outline.holds_others(step.key)
        known = self.record.steps
        return any(known[item].holds_others for item in islice(step.inner or (), NESTED_SHOWN) if item in known)

    def _busy(self, step: StepRecord) -> Collection[StepKey]:
        """Of what is directly inside of a step, what is at work, awaited, or failed."""
        key = step.key
        found: dict[StepKey, None] = {}
        for inside in (self.under_way(key), self.awaited(key)):
            for inner in islice(inside, _LOOKED_AT):
                if is_inside(inner, key):
                    found.setdefault(child_of(key, inner))
        for cause in (step.cause, self.record.failed_step):
            if cause is not None and is_inside(cause, key):
                found.setdefault(child_of(key, cause))
        if step.items is not None or step.rounds is not None:
            known = self.record.steps
            shown = [k for k in found if k in known and known[k].holds_others]
            return sorted(shown[:_BUSY_SHOWN], key=lambda k: int(k[:-1].rpartition("[")[2]))
        some = self._children(step) if len(step.inner or ()) <= NESTED_SHOWN else [*found]
        failed = (StepStatus.FAILED, StepStatus.CANCELLED)
        steps = self.record.steps
        return [k for k in some if k in found or (k in steps and steps[k].status in failed)][:_BUSY_SHOWN]
