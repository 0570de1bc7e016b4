"""Bindings: what a name stands for at present, in one space; and the spaces, the root and one per context.

Every binding has a *serial* that is never used again. It tells a cache whether what it remembers is still so.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.clock import utc
from orchestrator.execution.variables.cells import Cell, LiveCell
from orchestrator.execution.variables.metadata import VariableMetadata, VariableVersion
from orchestrator.execution.variables.words import VariableScope, VariableType

#: Earlier versions kept of each variable.
HISTORY = 100

_TEMPORARY = VariableScope.TEMPORARY
_NOT_KEPT = LiveCell(None)


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
            utc(self.created_at),
            utc(self.updated_at),
            self.source_step,
            self.description,
            set(self.tags),
            dependencies,
            self.version,
        )

    def as_version(self) -> VariableVersion:
        """What the history tells of it."""
        return VariableVersion(self.version, self.cell.read(), self.source_step, utc(self.updated_at))

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


class Space:
    """The names of the root or of one context. Changed under the manager's lock only."""

    __slots__ = ("bindings", "children", "history", "id", "lost", "parent")

    def __init__(self, space_id: str = "", parent: Space | None = None) -> None:
        #: The context's id; the root's is empty.
        self.id = space_id
        self.parent = parent
        self.bindings: dict[str, Binding] = {}
        #: Earlier versions by name, oldest first. A deleted name's stay, so that its versions go on.
        self.history: dict[str, list[Binding]] | None = None
        #: The contexts inside of this one. The root keeps none: they are all inside of it.
        self.children: dict[str, Space] | None = None
        #: Names of TEMPORARY variables that a restore or an import has dropped.
        self.lost: set[str] | None = None

    def retire(self, old: Binding) -> None:
        """Put a binding that is replaced or deleted into the history."""
        if self.history is None:
            self.history = {}
        kept = self.history.get(old.name)
        if kept is None:
            kept = self.history[old.name] = []
        elif len(kept) == HISTORY:
            del kept[0]
        kept.append(old.without_value() if old.scope is _TEMPORARY else old)

    def next_version(self, name: str) -> int:
        """The version of a name that is not bound here now."""
        kept = self.history.get(name) if self.history else None
        return kept[-1].version + 1 if kept else 1

    def lose(self, name: str) -> None:
        """Remember that a TEMPORARY of this name was here."""
        if self.lost is None:
            self.lost = set()
        self.lost.add(name)
