"""Dependencies between names, without cycles.

There are two kinds. Those that were *added* by hand stay until the variable is deleted. Those of a *template* come with
it. A path in a template can mean several variables: `${load.rows.count}` reads `load.rows.count` where there is one,
else `load.rows`, else `load`. What a name depends on is the one of them that counts now; a cycle is sought over all of
them, so that none can come about later, by another variable appearing or going.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator

from orchestrator.errors import CircularDependencyError

#: For each reference of a template, the names that it can mean, the longest first.
Candidates = tuple[tuple[str, ...], ...]

_NO_NAMES: frozenset[str] = frozenset()


class Dependencies:
    """Which name depends on which. Not thread-safe: it is changed under the manager's lock."""

    __slots__ = ("_added", "_back", "_templates")

    def __init__(self) -> None:
        self._added: dict[str, frozenset[str]] = {}
        self._templates: dict[str, Candidates] = {}
        #: Name -> the names that may depend on it.
        self._back: dict[str, set[str]] = {}

    def added(self, name: str) -> frozenset[str]:
        """What was added by hand."""
        return self._added.get(name, _NO_NAMES)

    def names(self) -> set[str]:
        """Every name that depends on something."""
        return {*self._added, *self._templates}

    def set_added(self, name: str, names: frozenset[str]) -> None:
        """These are the dependencies that were added by hand; the others of that kind are gone."""
        self._change(name, self._added, names)

    def set_template(self, name: str, candidates: Candidates) -> None:
        """The name is a template that may read these names; with none, it is no template."""
        self._change(name, self._templates, candidates)

    def _change(
        self, name: str, kind: dict[str, frozenset[str]] | dict[str, Candidates], given: Collection[object]
    ) -> None:
        before = set(self._reach(name))
        if given:
            kind[name] = given  # type: ignore[assignment]  # of this kind, see the two callers
        else:
            kind.pop(name, None)
        after = set(self._reach(name))
        for gone in before - after:
            self._back[gone].discard(name)
            if not self._back[gone]:
                del self._back[gone]
        for came in after - before:
            self._back.setdefault(came, set()).add(name)

    def _reach(self, name: str) -> Iterator[str]:
        """All names that a name may depend on."""
        yield from self._added.get(name, ())
        for candidates in self._templates.get(name, ()):
            yield from candidates

    def check(self, name: str, names: Collection[str]) -> None:
        """Raise CircularDependencyError if the name, depending on these as well, would depend on itself."""
        came_from = dict.fromkeys(names, name)
        to_visit = list(came_from)
        while to_visit:
            at = to_visit.pop()
            if at == name:
                raise CircularDependencyError(_way(name, came_from))
            for further in self._reach(at):
                if further not in came_from:
                    came_from[further] = at
                    to_visit.append(further)

    def needs(self, name: str, bound: Container[str], transitive: bool = False) -> set[str]:
        """What a name depends on, where these names are bound: directly or, with `transitive`, in any way."""
        return closure(name, lambda at: self._needs(at, bound)) if transitive else self._needs(name, bound)

    def _needs(self, name: str, bound: Container[str]) -> set[str]:
        found = set(self.added(name))
        for candidates in self._templates.get(name, ()):
            found.add(next((candidate for candidate in candidates if candidate in bound), candidates[-1]))
        return found

    def needed_by(self, name: str, bound: Container[str], transitive: bool = False) -> set[str]:
        """The names that depend on this one: directly or, with `transitive`, in any way."""
        return closure(name, lambda at: self._needed_by(at, bound)) if transitive else self._needed_by(name, bound)

    def _needed_by(self, name: str, bound: Container[str]) -> set[str]:
        return {other for other in self._back.get(name, ()) if name in self._needs(other, bound)}


def closure(name: str, direct: Callable[[str], set[str]]) -> set[str]:
    """What is reached from a name by any number of steps; the name itself only by a cycle."""
    found: set[str] = set()
    to_visit = [name]
    while to_visit:
        new = direct(to_visit.pop()) - found
        found |= new
        to_visit += new
    return found


def _way(name: str, came_from: dict[str, str]) -> list[str]:
    """The cycle that ends at `name`, from the dependent to what it depends on."""
    way = [name, came_from[name]]
    while way[-1] != name:
        way.append(came_from[way[-1]])
    return way[::-1]
