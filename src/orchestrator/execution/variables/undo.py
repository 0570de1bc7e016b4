"""Undo marks: going back costs what changed since, not what there is.

A mark opens a *segment*. The first change of anything after that puts what was there before into the newest segment;
a second one finds it noted already. To know how things stood at a mark, the segments from there on are laid over each
other, the oldest on top. Nothing is noted while there is no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from orchestrator.errors import InputError
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.words import VariableScope


class Dropped:
    """Stands for a TEMPORARY that was there: it is not kept alive for a restore, and cannot be brought back."""


DROPPED = Dropped()
#: The id of a space and a name in it.
Place: TypeAlias = tuple[str, str]
#: What stood there before: a binding, nothing, or a TEMPORARY.
Before: TypeAlias = Binding | Dropped | None


class Segment:
    """What was before the first change of each thing since a mark."""

    __slots__ = ("added", "bindings", "contexts")

    def __init__(self) -> None:
        self.bindings: dict[Place, Before] = {}
        #: Context -> its parent's id; None where the context did not exist.
        self.contexts: dict[str, str | None] = {}
        #: Name -> the dependencies that were added by hand.
        self.added: dict[str, frozenset[str]] = {}

    def lay_under(self, newer: Segment) -> None:
        """Take what a newer segment knows and this one does not. Costs what the newer one holds."""
        for place, before in newer.bindings.items():
            self.bindings.setdefault(place, before)
        for context_id, parent_id in newer.contexts.items():
            self.contexts.setdefault(context_id, parent_id)
        for name, names in newer.added.items():
            self.added.setdefault(name, names)


class Mark:
    """A moment of a manager, to be asked about or gone back to; opaque. It costs nothing until something changes."""

    __slots__ = ("_segment",)

    def __init__(self, segment: Segment | None = None) -> None:
        self._segment = segment

    def knows(self, context_id: str) -> bool:
        """Whether a context existed then that has ended since."""
        return self._segment is not None and self._segment.contexts.get(context_id) is not None


class UndoLog:
    """The marks of one manager, the oldest first. Used under the manager's lock."""

    __slots__ = ("_histories", "_marks")

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        #: The histories of contexts that ended and may come back.
        self._histories: dict[str, dict[str, list[Binding]]] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self) -> Mark:
        """A new mark, of now."""
        mark = Mark()
        self._marks.append(mark)
        return mark

    def forget(self, mark: Mark) -> None:
        """Take a mark away; what it noted goes to the one before, if there is one. Raises InputError."""
        index = self._index(mark)
        del self._marks[index]
        if index and mark._segment is not None:
            earlier = self._marks[index - 1]
            if earlier._segment is None:
                earlier._segment = mark._segment
            else:
                earlier._segment.lay_under(mark._segment)
        mark._segment = None
        for context_id in [known for known in self._histories if not self._knows(known)]:
            del self._histories[context_id]

    def since(self, mark: Mark) -> Segment:
        """How everything stood at a mark that changed since. Raises InputError."""
        found = Segment()
        for later in self._marks[self._index(mark) :]:
            if later._segment is not None:
                found.lay_under(later._segment)
        return found

    def apart(self, marks: Sequence[Mark]) -> list[Segment]:
        """What each of these marks noted; what other marks noted in between goes to the one before them."""
        segments = {id(mark): Segment() for mark in marks}
        found: Segment | None = None
        for mark in self._marks:
            found = segments.get(id(mark), found)
            if found is not None and mark._segment is not None:
                found.lay_under(mark._segment)
        return [segments[id(mark)] for mark in marks]

    def adopt(self, segments: Iterable[Segment]) -> list[Mark]:
        """Marks that have noted this already, after those that there are; oldest first."""
        marks = [Mark(segment) for segment in segments]
        self._marks += marks
        return marks

    def _index(self, mark: Mark) -> int:
        for index, known in enumerate(self._marks):
            if known is mark:
                return index
        raise InputError("this mark is not (or no longer) one of this manager; mark() gives a new one")

    def _knows(self, context_id: str) -> bool:
        """Whether there is a mark that may bring a context back."""
        return any(mark.knows(context_id) for mark in self._marks)

    # -- noting ----------------------------------------------------------------------------------------------------

    def _newest(self) -> Segment:
        newest = self._marks[-1]
        if newest._segment is None:
            newest._segment = Segment()
        return newest._segment

    def binding(self, space_id: str, name: str, old: Binding | None) -> None:
        """A name is about to be bound or deleted."""
        if self._marks:
            noted = self._newest().bindings
            if (space_id, name) not in noted:
                gone = old is not None and old.scope is VariableScope.TEMPORARY
                noted[space_id, name] = DROPPED if gone else old

    def opened(self, space: Space) -> None:
        """A context has begun; one that comes back goes on with its versions."""
        if self._marks:
            self._newest().contexts.setdefault(space.id, None)
            space.history = self._histories.pop(space.id, None)

    def closed(self, space: Space) -> None:
        """A context has ended, after its variables. One that began after the last mark leaves no trace."""
        if not self._marks:
            return
        newest = self._newest()
        if newest.contexts.get(space.id, "") is None:
            del newest.contexts[space.id]
            for name in space.history or ():
                newest.bindings.pop((space.id, name), None)
        else:
            newest.contexts.setdefault(space.id, space.parent.id if space.parent is not None else "")
        if space.history is not None and self._knows(space.id):
            self._histories[space.id] = space.history

    def added(self, name: str, names: frozenset[str]) -> None:
        """The dependencies that were added to a name by hand are about to change."""
        if self._marks:
            self._newest().added.setdefault(name, names)
