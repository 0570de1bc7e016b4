"""Changes: what the verbs of a manager decide, as data, and what `apply` takes.

A manager alone applies its own changes at once. Where a *recorder* is set, every verb hands its changes to the recorder
instead, which makes them durable and calls `apply` itself; whoever reads before that still sees what was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from orchestrator.execution.variables.cells import Cell
from orchestrator.execution.variables.words import VariableScope, VariableType


@dataclass(frozen=True, slots=True)
class Stamp:
    """Version and times that an import brings along. A version that this manager has passed already is not used."""

    version: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Write:
    """A name gets a value.

    `description` and `tags` that are None stay as they were; with `exact` they are taken as they are.
    A context of None is the root. `least_version` is for a value that comes back: it has passed its own version.
    """

    name: str
    cell: Cell
    scope: VariableScope = VariableScope.GLOBAL
    var_type: VariableType = VariableType.INTERMEDIATE
    source_step: str | None = None
    description: str | None = None
    tags: frozenset[str] | None = None
    context_id: str | None = None
    exact: bool = False
    stamp: Stamp | None = None
    least_version: int = 1


@dataclass(frozen=True, slots=True)
class Delete:
    """A name is taken away, if it is there. `dropped`: it was a TEMPORARY that could not be brought along.

    `last_version` is the last that it had where it was exported.
    """

    name: str
    context_id: str | None = None
    dropped: bool = False
    last_version: int = 0


@dataclass(frozen=True, slots=True)
class OpenContext:
    """A context begins; a parent of None is the root."""

    context_id: str
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class CloseContext:
    """A context ends, with all contexts inside of it."""

    context_id: str


@dataclass(frozen=True, slots=True)
class Depend:
    """These are from now on the dependencies of a name that were added by hand."""

    name: str
    names: frozenset[str]


Change: TypeAlias = Write | Delete | OpenContext | CloseContext | Depend


class Recorder(Protocol):
    """Makes changes durable, then has the manager apply them."""

    def record(self, changes: Sequence[Change]) -> None:
        """Take the changes of one verb; they belong together. Called with no lock held."""
        ...

    def unrecorded(self, name: str) -> Cell | None:
        """What the caller itself has set that name to, where that waits to be recorded; None where nothing waits."""
        ...
