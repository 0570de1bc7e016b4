"""The inside of a manager, for the one who applies what was recorded: an execution context.

A context changes variables while it holds its own lock, so that steps, variables and checkpoints move together, and
lets the manager tell its handlers only when it has left that lock. So nothing here delivers but `deliver`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.execution.variables.cells import Cell
from orchestrator.execution.variables.changes import Change
from orchestrator.execution.variables.changing import apply, put
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.execution.variables.mark_data import export_segment, read_segment
from orchestrator.execution.variables.parts import Part
from orchestrator.execution.variables.undo import Mark, UndoLog
from orchestrator.execution.variables.words import VariableScope, VariableType


class Inside:
    """Changes the variables of a manager without telling anybody before `deliver`. Thread-safe.

    Times are seconds since the epoch. What is given to `count` and `touch` is called under `lock`.
    """

    __slots__ = ("_table", "manager")

    def __init__(self, manager: VariableManager) -> None:
        self.manager = manager
        self._table = manager._table

    @property
    def lock(self) -> threading.RLock:
        """The manager's lock, to be taken last: while it is held nothing changes."""
        return self._table.lock

    def put(self, name: str, cell: Cell, at: float, source_step: str | None, var_type: VariableType) -> None:
        """Bind a GLOBAL name of the root."""
        table = self._table
        with table.lock:
            put(table, table.root, name, cell, at, source_step, VariableScope.GLOBAL, var_type, None, None)

    def apply(self, changes: Iterable[Change], at: float) -> None:
        """Make changes. One in a context that is gone is left out."""
        with self._table.lock:
            apply(self._table, changes, at)

    def deliver(self) -> None:
        """Tell the handlers of everything that was changed here; with no lock held."""
        self._table.deliver()

    def has_context(self, context_id: str) -> bool:
        """Whether a context is still there."""
        return context_id in self._table.contexts

    def count(self, wrote: Callable[[bool], object]) -> None:
        """Call `wrote` at every write, of whomever, with whether the name was new. One at a time is called."""
        self._table.count = wrote

    def touch(self, touched: Callable[[], object]) -> None:
        """Call this before every change, of whatever kind; at times also where nothing comes of it. One at a time."""
        self._table.touch = touched

    def export_marks(self, marks: Sequence[Mark]) -> list[dict[str, Any]]:
        """What each of these marks noted, oldest first, as plain data (see `mark_data`).

        What marks of others noted in between goes to the one before them.
        """
        with self._table.lock:
            log = self._table.undo or UndoLog()
            return [export_segment(segment) for segment in log.apart(marks)]

    def import_marks(self, noted: Mapping[str, object]) -> list[Mark]:
        """Marks from what `export_marks` gave, oldest first, each by the path that an error shall name it by.

        Raises InputError, which names the part that is wrong, and changes nothing.
        """
        segments = [read_segment(Part(data, path)) for path, data in noted.items()]
        with self._table.lock:
            return self._table.log().adopt(segments)
