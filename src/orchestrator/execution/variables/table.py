"""The table: everything that a manager's names stand for, and the one place that changes it.

Whoever changes it holds `lock`. A single look-up needs no lock: it reads one dictionary after another, and a binding
is replaced, never changed. `epoch` rises after each change, so that a cache that finds it unmoved need not look at
anything else.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_never

from orchestrator.errors import UnknownContextError
from orchestrator.execution.variables.aliases import AliasStack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell
from orchestrator.execution.variables.changes import Change, CloseContext, Delete, Depend, OpenContext, Stamp, Write
from orchestrator.execution.variables.dependencies import Dependencies
from orchestrator.execution.variables.listeners import Listeners
from orchestrator.execution.variables.sharing import BoundedCache
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.undo import UndoLog
from orchestrator.execution.variables.words import VariableScope, VariableType


class Table:
    """The root, the contexts, the dependencies; what is noted for marks, and who listens."""

    __slots__ = (
        "contexts",
        "count",
        "dependencies",
        "epoch",
        "listeners",
        "lock",
        "parent",
        "root",
        "serials",
        "shared",
        "touch",
        "undo",
    )

    def __init__(self, parent: Table | None) -> None:
        self.parent = parent
        self.lock = threading.RLock()
        self.root = Space()
        self.contexts: dict[str, Space] = {}
        #: Made when first used, like the next three: an idle manager is small.
        self.dependencies: Dependencies | None = None
        self.undo: UndoLog | None = None
        self.listeners: Listeners | None = None
        #: Is called under the lock at every write, with whether the name was new; and before every change of any kind.
        self.count: Callable[[bool], object] | None = None
        self.touch: Callable[[], object] | None = None
        #: Serial -> the decoded value that templates share, in a tuple of one.
        self.shared: BoundedCache[int, tuple[Any]] | None = None
        #: Shared with the parent, so that a serial means one binding in all of the family.
        self.serials: Iterator[int] = itertools.count(1) if parent is None else parent.serials
        self.epoch = 0

    # -- looking up: no lock ---------------------------------------------------------------------------------------

    def space(self, context_id: str | None) -> Space:
        """A context's space; the root for None. Raises UnknownContextError."""
        if context_id is None:
            return self.root
        found = self.contexts.get(context_id)
        if found is None:
            raise UnknownContextError(context_id)
        return found

    def find(self, name: str, home: Space, aliases: AliasStack = ()) -> Binding | None:
        """What a name stands for: in this space, those around it, the root, the parent; then under an alias's name."""
        found = self._find(name, home)
        for scope in reversed(aliases):
            if found is not None:
                break
            real_name = next((real for alias, real in scope if alias == name), None)
            if real_name is not None:
                name = real_name
                found = self._find(name, home)
        return found

    def _find(self, name: str, home: Space) -> Binding | None:
        found = home.find(name)
        return self.parent.find_global(name) if found is None and self.parent is not None else found

    def find_global(self, name: str) -> Binding | None:
        """What a name stands for to a child: a GLOBAL variable of the root, or of the parent's."""
        found = self.root.bindings.get(name)
        if found is not None and found.scope is VariableScope.GLOBAL:
            return found
        return None if self.parent is None else self.parent.find_global(name)

    def known(self, home: Space) -> list[str]:
        """Every name that is found from a space, aliases left out."""
        names = list(home.visible())
        return names if self.parent is None else names + self.parent.known(self.parent.root)

    def family_epoch(self) -> tuple[int, ...]:
        """Moves with every change here or above. To be read before what it stands for is."""
        return (self.epoch,) if self.parent is None else (self.epoch, *self.parent.family_epoch())

    # -- changing: under the lock ----------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change], at: float) -> None:
        """Make changes as of `at`. One in a context that is gone changes nothing."""
        for change in changes:
            self._apply(change, at)

    def _apply(self, change: Change, at: float) -> None:
        match change:
            case Write(name=name, context_id=context_id):
                if (space := self._present(context_id)) is not None:
                    self.put(
                        space,
                        name,
                        change.cell,
                        at,
                        change.source_step,
                        change.scope,
                        change.var_type,
                        change.description,
                        change.tags,
                        change.exact,
                        change.stamp,
                    )
            case Delete(name=name, context_id=context_id, dropped=dropped):
                if (space := self._present(context_id)) is not None:
                    self._delete(space, name, dropped)
            case OpenContext(context_id=context_id, parent_id=parent_id):
                self._open(context_id, self._present(parent_id))
            case CloseContext(context_id=context_id):
                self._close(context_id)
            case Depend(name=name, names=names):
                self._depend(name, names)
            case _:
                assert_never(change)

    def _present(self, context_id: str | None) -> Space | None:
        return self.root if context_id is None else self.contexts.get(context_id)

    def put(
        self,
        space: Space,
        name: str,
        cell: Cell,
        at: float,
        source_step: str | None,
        scope: VariableScope,
        var_type: VariableType,
        description: str | None,
        tags: frozenset[str] | None,
        exact: bool = False,
        stamp: Stamp | None = None,
    ) -> None:
        """Bind a name in a space."""
        bindings = space.bindings
        old = bindings.get(name)
        if self.touch is not None:
            self.touch()
        if self.undo is not None:
            self.undo.binding(space.id, name, old)
        created_at = at
        if old is None:
            version = space.next_version(name) if space.history is not None else 1
            if space.lost is not None:
                space.lost.discard(name)
        else:
            version, created_at = old.version + 1, old.created_at
            space.retire(old)
            if self.shared is not None:
                self.shared.drop(old.serial)
            if at < old.updated_at:
                at = old.updated_at
            if not exact:
                description = old.description if description is None else description
                tags = old.tags if tags is None else tags
        if stamp is not None:
            version, created_at, at = max(version, stamp.version), stamp.created_at, stamp.updated_at
        serial = next(self.serials)
        new = bindings[name] = Binding(
            name,
            cell,
            serial,
            version,
            created_at,
            at,
            source_step,
            scope,
            var_type,
            description,
            tags or _NO_TAGS,
        )
        if type(cell) is TemplateCell or (old is not None and type(old.cell) is TemplateCell):
            self._note_template(space, new)
        self.epoch = serial
        if self.count is not None:
            self.count(old is None)
        if self.listeners is not None:
            self.listeners.wrote(old, new)

    def _delete(self, space: Space, name: str, dropped: bool) -> None:
        old = space.bindings.get(name)
        if dropped:
            space.lose(name)
        if old is None:
            return
        if self.touch is not None:
            self.touch()
        if self.undo is not None:
            self.undo.binding(space.id, name, old)
        del space.bindings[name]
        space.retire(old)
        if self.shared is not None:
            self.shared.drop(old.serial)
        self.epoch = next(self.serials)
        if space is self.root and self.dependencies is not None:
            self._depend(name, frozenset())
            self.dependencies.set_template(name, ())
        if self.listeners is not None:
            self.listeners.took_away(old)

    def _open(self, context_id: str, parent: Space | None) -> None:
        if parent is None or context_id in self.contexts:
            return
        if self.touch is not None:
            self.touch()
        space = self.contexts[context_id] = Space(context_id, parent)
        if self.undo is not None:
            self.undo.opened(space)
        if parent is not self.root:
            if parent.children is None:
                parent.children = {}
            parent.children[context_id] = space
        self.epoch = next(self.serials)

    def _close(self, context_id: str) -> None:
        space = self.contexts.get(context_id)
        if space is None:
            return
        if self.touch is not None:
            self.touch()
        if space.parent is not None and space.parent.children is not None:
            space.parent.children.pop(context_id, None)
        to_close = [space]
        while to_close:
            space = to_close.pop()
            to_close += (space.children or {}).values()
            for name in list(space.bindings):
                self._delete(space, name, False)
            del self.contexts[space.id]
            if self.undo is not None:
                self.undo.closed(space)
        self.epoch = next(self.serials)

    def _depend(self, name: str, names: frozenset[str]) -> None:
        graph = self.graph()
        if graph.added(name) != names:
            if self.touch is not None:
                self.touch()
            if self.undo is not None:
                self.undo.added(name, graph.added(name))
            graph.set_added(name, names)

    def graph(self) -> Dependencies:
        """The dependencies, made when first asked for."""
        if self.dependencies is None:
            self.dependencies = Dependencies()
        return self.dependencies

    # -- telling: after the lock -----------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Tell the handlers of what was changed; with no lock held."""
        if self.listeners is not None:
            self.listeners.delivery.run()

    def _note_template(self, space: Space, new: Binding) -> None:
        if space is self.root:
            cell = new.cell
            self.graph().set_template(new.name, cell.candidates if isinstance(cell, TemplateCell) else ())


_NO_TAGS: frozenset[str] = frozenset()
