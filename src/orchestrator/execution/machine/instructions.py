"""What the machine says: the deeds that are outstanding. Whoever drives carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry this step on: it may start, or was under way when its engine died, or what it waited for has come."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class Join:
    """What is inside of this step is over, well or not: say what the step came to."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel what runs inside of this step (`""`: in the whole execution), but for what `protects` names."""

    key: StepKey


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing new is tried inside of this step (`""`: in the whole execution): what sleeps before a try is let go."""

    key: StepKey


@dataclass(frozen=True, slots=True)
class Complete:
    """Every step has ended well, or a step said `return`: end the execution."""


@dataclass(frozen=True, slots=True)
class Fail:
    """This step failed for good, and with it the execution: let finish what runs, then end it."""

    key: StepKey


Instruction: TypeAlias = Execute | Join | Stop | Release | Complete | Fail
