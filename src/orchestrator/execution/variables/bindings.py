"""Bindings: what a name stands for at present, in one space.

Every binding has a *serial* that is never used again. It tells a cache whether what it remembers is still so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.clock import utc
from orchestrator.execution.variables.cells import Cell, LiveCell
from orchestrator.execution.variables.metadata import VariableMetadata, VariableVersion
from orchestrator.execution.variables.words import VariableScope, VariableType

_NOT_KEPT = LiveCell(None)


class GivenTime(float):
    """Seconds since the epoch of a time that somebody gave without a zone: it is handed out as it was given."""

    __slots__ = ("given",)

    given: datetime

    def __new__(cls, given: datetime) -> GivenTime:
        """Local time, like every time without a zone."""
        made = super().__new__(cls, given.timestamp())
        made.given = given
        return made


def seconds(given: datetime) -> float:
    """Seconds since the epoch, which `moment` turns back."""
    return GivenTime(given) if given.tzinfo is None else given.timestamp()


def moment(at: float) -> datetime:
    """The time of these seconds: in UTC or, of a `GivenTime`, as it was given."""
    return at.given if isinstance(at, GivenTime) else utc(at)


@dataclass(slots=True, eq=False)
class Binding:
    """A name's present value: its cell, its serial, and what the metadata is made from. Replaced, never changed."""

    name: str
    cell: Cell
    serial: int
    version: int
    created_at: float
    updated_at: float
    source_step: str | None
    scope: VariableScope
    var_type: VariableType
    description: str | None
    tags: frozenset[str]

    def metadata(self, dependencies: set[str]) -> VariableMetadata:
        """What a reader is told of it."""
        return VariableMetadata(
            self.name,
            self.scope,
            self.var_type,
            moment(self.created_at),
            moment(self.updated_at),
            self.source_step,
            self.description,
            set(self.tags),
            dependencies,
            self.version,
        )

    def as_version(self) -> VariableVersion:
        """What the history tells of it."""
        return VariableVersion(self.version, self.cell.read(), self.source_step, moment(self.updated_at))

    def without_value(self) -> Binding:
        """The same without its value."""
        return Binding(
            self.name,
            _NOT_KEPT,
            self.serial,
            self.version,
            self.created_at,
            self.updated_at,
            self.source_step,
            self.scope,
            self.var_type,
            self.description,
            self.tags,
        )
