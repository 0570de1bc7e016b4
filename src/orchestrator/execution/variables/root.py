"""The root of a manager, binding by binding: for whoever must know one binding from another of the same value.

The manager's own verbs look elsewhere too (the running step's context, aliases, the parent), and its events carry a
value without saying of which context. Here a name is the root's, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell
from orchestrator.execution.variables.changes import Change, Delete
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.execution.variables.words import VariableScope


class Root:
    """The bindings of a manager's root, present and past. Thread-safe. A binding is to be read, and never changes.

    Its `serial` rises with every write, of whatever name, and is never used again.
    """

    __slots__ = ("_table", "manager")

    def __init__(self, manager: VariableManager) -> None:
        self.manager = manager
        self._table = manager._table

    def get(self, name: str) -> Binding | None:
        """The GLOBAL variable of a name; None where there is none."""
        binding = self._table.root.bindings.get(name)
        return binding if binding is not None and binding.scope is VariableScope.GLOBAL else None

    def past(self, name: str) -> list[Binding]:
        """The earlier bindings of a GLOBAL variable, oldest first. They outlive a deletion."""
        with self._table.lock:
            earlier = (self._table.root.history or {}).get(name, ())
            return [binding for binding in earlier if binding.scope is VariableScope.GLOBAL]

    def names(self) -> list[str]:
        """Every name that is bound in the root, or ever was."""
        with self._table.lock:
            root = self._table.root
            return list({**root.bindings, **(root.history or {})})

    def is_latest(self, name: str, cell: Cell, deleted: bool) -> bool:
        """Whether a change that was told (see `follow`) is the last one of the root's binding of its name, so far."""
        with self._table.lock:
            present = self._table.root.bindings.get(name)
            if present is not None:
                return present.cell is cell and not deleted
            earlier = self.past(name)
        return deleted and (not earlier or earlier[-1].cell is cell)

    def delete(self, name: str) -> bool:
        """Delete a GLOBAL variable; False where there is none. One of the running step's of that name stays."""

        def decide() -> list[Change]:
            return [Delete(name)] if self.get(name) is not None else []

        return bool(self.manager.commit(decide))

    def follow(self, handler: Callable[[str, Cell, bool], object]) -> list[Callable[[], None]]:
        """Call `handler(name, cell, deleted)` for every change, those in contexts included; gives what ends it.

        The cell is that of the change, or of what was deleted: it says which change it is, and is not decoded for
        nothing.
        """
        listeners = self._table.listen()
        return [
            listeners.created.add(lambda name, cell: handler(name, cell, False)),
            listeners.changed.add(lambda name, _, cell: handler(name, cell, False)),
            listeners.deleted.add(lambda name, cell: handler(name, cell, True)),
        ]
