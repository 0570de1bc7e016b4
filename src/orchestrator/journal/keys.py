"""Step keys: what a step is called in one execution, and what its name says of its place.

A key is a path. `months[3]` is item 3 of the loop `months`, `months[3].parse` the step `parse` of the block that this
item is, `child/load` the step `load` of the sub-pipeline that `child` runs. What the recovery of a step runs for it has
the same form, `fetch/mirror`: whether `fetch` runs a sub-pipeline is known to the fold and the machine, not to the key.

    months[2].child/load       owners: months[2].child, months[2], months
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from orchestrator.types import StepKey

_NUMBER = re.compile(r"(?<=.)\[\d+\](?=$|[\[./])")
#: A key is taken apart a dozen times while its step runs.
_KEYS_KNOWN = 4096


class Place(NamedTuple):
    """Where a nested step stands: its owner, what stands between them (`[`, `.` or `/`), its own name or number."""

    owner: StepKey
    mark: str
    name: str


def item_key(loop: StepKey, index: int) -> StepKey:
    """The step key of one item of a loop: `months[3]`."""
    return StepKey(f"{loop}[{index}]")


def block_key(owner: StepKey, name: str) -> StepKey:
    """The step key of a step in a block: `months[3].parse`."""
    return StepKey(f"{owner}.{name}")


def part_key(key: StepKey, name: str) -> StepKey:
    """The step key of a step in a sub-pipeline, or of something that a recovery runs: `child/load`, `fetch/mirror`."""
    return StepKey(f"{key}/{name}")


@lru_cache(_KEYS_KNOWN)
def place_of(key: StepKey) -> Place | None:
    """Where a nested step stands; None for a step of the pipeline itself."""
    if (found := split_item_key(key)) is not None:
        return Place(found[0], "[", str(found[1]))
    cut = max(key.rfind("."), key.rfind("/"))
    return Place(StepKey(key[:cut]), key[cut], key[cut + 1 :]) if 0 < cut < len(key) - 1 else None


@lru_cache(_KEYS_KNOWN)
def split_item_key(key: StepKey) -> tuple[StepKey, int] | None:
    """The loop and the index of an item's key; None for any other."""
    if key[-1:] != "]":
        return None
    loop, _, index = key[:-1].rpartition("[")
    return (StepKey(loop), int(index)) if loop and index.isdecimal() else None


def without_numbers(key: StepKey) -> StepKey:
    """What a person calls a step: `months.parse` for `months[3].parse`."""
    return StepKey(_NUMBER.sub("", key)) if "]" in key else key


def owners_of(key: StepKey) -> list[StepKey]:
    """The steps that a step is inside of, the nearest first."""
    owners = []
    while (place := place_of(key)) is not None:
        key = place.owner
        owners.append(key)
    return owners


def is_inside(key: StepKey, owner: StepKey) -> bool:
    """Whether a step is inside of another, at any depth."""
    return len(key) > len(owner) and key.startswith(owner) and key[len(owner)] in "[./"


def is_part(key: StepKey) -> bool:
    """Whether a key is that of a part of something: of a sub-pipeline, or of a recovery."""
    return "/" in key


@lru_cache(_KEYS_KNOWN)
def is_step(key: StepKey) -> bool:
    """Whether a key is that of a step of the pipeline itself, not of something inside of one."""
    return place_of(key) is None


def pipeline_of(key: StepKey) -> str:
    """What the names of the pipeline that a step belongs to begin with: `""`, or `child/` for `child/load`."""
    cut = key.rfind("/")
    return key[: cut + 1]
