"""Step keys as a view sees them: what stands for which, and what belongs to which owner.

What the recovery of a step runs for it (`fetch/mirror`) is shown as that step's; a step of a sub-pipeline has the same
form (`child/load`), and is shown for itself. Which of the two a key is, the record knows: a step with a sub-pipeline
holds a block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import is_inside, owners_of, place_of, split_item_key
from orchestrator.types import StepKey


def home_of(key: StepKey, record: ExecutionRecord) -> StepKey:
    """The step that a key is shown as: itself, or the one whose recovery runs it."""
    if "/" not in key or (place := place_of(key)) is None:
        return key
    home = home_of(place.owner, record)
    if home != place.owner:
        return home
    owner = record.steps.get(place.owner)
    return place.owner if place.mark == "/" and (owner is None or owner.block is None) else key


def child_of(owner: StepKey, key: StepKey) -> StepKey:
    """The step directly inside of `owner` that holds `key`, or is it."""
    around = owners_of(key)
    at = around.index(owner)
    return around[at - 1] if at else key


def label_of(key: StepKey) -> str:
    """What a step is called below its owner: `parse`, `months[3]`."""
    if (found := split_item_key(key)) is not None:
        place = place_of(found[0])
        return key if place is None else key[len(found[0]) - len(place.name) :]
    place = place_of(key)
    return key if place is None else place.name


def meant(key: str, known: Iterable[str]) -> str:
    """`did you mean 'prepare.fetch'?`: the nearest keys, or those of the steps further in that have this name."""
    from orchestrator.pipelines.wording import did_you_mean, one_of

    found = [StepKey(other) for other in known]
    inside = [repr(str(other)) for other in found if other != key and label_of(other) == key][:2]
    return f"did you mean {one_of(inside)}?" if inside else did_you_mean(key, found)


def renewed_by(keys: Collection[StepKey], expanded: Collection[StepKey]) -> Callable[[StepKey], bool]:
    """What tells whether a key belongs to steps that begin anew; those in `expanded` keep what is inside of them."""
    anew, kept = frozenset(keys), frozenset(expanded)

    def renewed(key: StepKey) -> bool:
        return key in anew or any(owner in anew and owner not in kept for owner in owners_of(key))

    return renewed


def within(key: StepKey, owner: StepKey) -> bool:
    """Whether a key is that of a step, or of anything inside of it."""
    return key == owner or is_inside(key, owner)
