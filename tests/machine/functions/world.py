"""The world that the steps of random programs act in: no part of the store, so that it survives every life."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.machine.flow.clock import PatientClock
from tests.machine.flow.handlers import World as FlowWorld

from orchestrator import current_attempt


class Boom(Exception):
    """What a step, or a program itself, raises as it was told to."""


class Clock(PatientClock):
    """A clock that jumps when all is at rest. A step that the loop is held up for moves it."""

    def block(self, seconds: float) -> None:
        """Hold up this thread: no time is lost."""
        self._now += max(0.0, seconds)


@dataclass
class World(FlowWorld):
    """What steps and programs of one trial have witnessed."""

    #: Statement -> what the program was told there first; `changed` says where a later life was told another thing.
    told: dict[int, Any] = field(default_factory=dict)
    #: Of this life: clean-up that a cancellation has reached, and that has come to its end; that was cut itself.
    begun: set[int] = field(default_factory=set)
    tidied: set[int] = field(default_factory=set)
    cut_short: set[int] = field(default_factory=set)
    #: Clean-up that has come to its end in any life: what is inside of a child that has ended is not run again.
    ever_tidied: set[int] = field(default_factory=set)
    #: Loop -> the items that are at work.
    items: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def begin_life(self) -> None:
        """What is known of one life alone is forgotten."""
        for known in (self.active, self.begun, self.tidied, self.cut_short, self.items):
            known.clear()

    def tell(self, number: int, value: Any) -> Any:
        """A program was told this at a statement: in every life the same."""
        if self.told.setdefault(number, value) != value:
            self.faults.append(f"statement {number} was told {self.told[number]!r}, and in a later life {value!r}")
        return value

    def forget(self, numbers: Iterable[int]) -> None:
        """These statements begin anew."""
        for number in numbers:
            self.told.pop(number, None)


WORLD = World()


def new_world() -> World:
    """The world of a new trial."""
    global WORLD  # steps are found by name: this is how they come to their trial
    WORLD = World()
    return WORLD


def the_world() -> World:
    """That of the trial under way."""
    return WORLD


def where() -> tuple[str, int, int]:
    """Key, generation and attempt of the running step."""
    info = current_attempt()
    assert info is not None
    return str(info.step_key), info.generation, info.attempt
