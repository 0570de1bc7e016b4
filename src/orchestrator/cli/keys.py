"""Step keys as a view sees them: what belongs to which row.

The items of a loop (`months[3]`) belong to the row of the loop, and what the recovery of a step runs for it
(`fetch/mirror`, `months[3]/mirror`) to the step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from orchestrator.journal.fold import split_item_key
from orchestrator.types import StepKey


def owner_of(key: StepKey) -> StepKey:
    """The step or item that a key belongs to: itself, or the one whose recovery runs it."""
    return StepKey(key.partition("/")[0])


def row_of(key: StepKey) -> StepKey:
    """The step of the pipeline that a key belongs to."""
    owner = owner_of(key)
    found = split_item_key(owner)
    return found[0] if found else owner


def renewed_by(keys: Collection[StepKey], expanded: Collection[StepKey]) -> Callable[[StepKey], bool]:
    """What tells whether a key belongs to steps that begin anew; of the loops in `expanded` only the items named do."""
    anew, kept = frozenset(keys), frozenset(expanded)

    def renewed(key: StepKey) -> bool:
        row = row_of(key)
        return owner_of(key) in anew or (row in anew and row not in kept)

    return renewed
