"""Spaces: the names of the root, and those of each context, one inside of another."""

from __future__ import annotations

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.words import VariableScope

#: Earlier versions kept of each variable.
HISTORY = 100

_TEMPORARY = VariableScope.TEMPORARY


class Space:
    """The names of the root or of one context. Changed under the manager's lock only."""

    __slots__ = ("bindings", "children", "history", "id", "lost", "parent", "passed")

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
        #: The last versions of deleted names whose histories an import did not bring along.
        self.passed: dict[str, int] | None = None

    # -- looking up: no lock ---------------------------------------------------------------------------------------

    def find(self, name: str) -> Binding | None:
        """What a name stands for here or, where it is not bound here, in the spaces around."""
        space: Space | None = self
        while space is not None:
            if (found := space.bindings.get(name)) is not None:
                return found
            space = space.parent
        return None

    def line(self) -> list[Space]:
        """This space and those around it, the root last."""
        line, space = [self], self.parent
        while space is not None:
            line.append(space)
            space = space.parent
        return line

    def visible(self) -> dict[str, Binding]:
        """Every name that is found from here; the nearest binding of each."""
        found: dict[str, Binding] = {}
        for space in self.line():
            found = {**space.bindings, **found}
        return found

    def past(self, name: str) -> list[Binding]:
        """The earlier versions of a name, oldest first, from where it is bound or was; under the lock."""
        for space in self.line():
            if name in space.bindings or name in (space.history or ()):
                return list((space.history or {}).get(name, ()))
        return []

    def misses(self, name: str) -> bool:
        """Whether a TEMPORARY of this name was dropped where the name would be looked up."""
        return any(space.lost is not None and name in space.lost for space in self.line())

    # -- changing: under the lock ----------------------------------------------------------------------------------

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
        passed = self.passed.get(name, 0) if self.passed else 0
        return max(kept[-1].version if kept else 0, passed) + 1

    def last_versions(self) -> dict[str, int]:
        """Of every name that is not bound here any more the last version."""
        gone = {**(self.history or {}), **(self.passed or {})}
        return {name: self.next_version(name) - 1 for name in gone if name not in self.bindings}

    def went_by(self, name: str, version: int) -> None:
        """A name that is not bound here had versions up to this one."""
        if self.history is None:
            self.history = {}
        if self.passed is None:
            self.passed = {}
        self.passed[name] = max(version, self.passed.get(name, 0))

    def lose(self, name: str) -> None:
        """Remember that a TEMPORARY of this name was here."""
        if self.lost is None:
            self.lost = set()
        self.lost.add(name)
