"""The table: everything that a manager's names stand for. `changing` is the one place that changes it.

Whoever does that holds `lock`. A single look-up needs no lock: it reads one dictionary after another, and a binding
is replaced, never changed. `epoch` rises after each change, so that a cache that finds it unmoved need not look at
anything else.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.errors import UnknownContextError
from orchestrator.execution.variables.aliases import AliasStack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.dependencies import Dependencies
from orchestrator.execution.variables.listeners import Listeners
from orchestrator.execution.variables.sharing import BoundedCache
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.undo import UndoLog
from orchestrator.execution.variables.words import VariableScope


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
        #: Serial -> the decoded value that templates share, in a tuple of one.
        self.shared: BoundedCache[int, tuple[Any]] | None = None
        #: Called under the lock: at every write, with whether the name was new; and before every change of any kind.
        self.count: Callable[[bool], object] | None = None
        self.touch: Callable[[], object] | None = None
        #: Shared with the parent, so that a serial means one binding in all of the family.
        self.serials: Iterator[int] = itertools.count(1) if parent is None else parent.serials
        self.epoch = 0

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

    def graph(self) -> Dependencies:
        """The dependencies, made when first asked for."""
        if self.dependencies is None:
            self.dependencies = Dependencies()
        return self.dependencies

    def log(self) -> UndoLog:
        """The marks, made when the first is; under the lock."""
        if self.undo is None:
            self.undo = UndoLog()
        return self.undo

    def listen(self) -> Listeners:
        """The handlers, made when the first one comes."""
        with self.lock:
            if self.listeners is None:
                self.listeners = Listeners()
            return self.listeners

    def deliver(self) -> None:
        """Tell the handlers of what was changed; with no lock held."""
        if self.listeners is not None:
            self.listeners.delivery.run()
