"""What events do to variables; and the seam between a context and its variable manager.

A context changes variables while it holds its own lock, so that steps, variables and checkpoints move together, and
lets the manager tell its handlers only when it has left that lock. `put` and `change` therefore apply without
delivering, and `deliver` follows. The same seam counts what is created and updated, and says that something changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.errors import BlobMissingError
from orchestrator.execution.delivery import Delivery
from orchestrator.execution.variables import (
    Cell,
    Change,
    Delete,
    GetBlob,
    ListCell,
    Mark,
    RecordedCell,
    VariableManager,
    VariableScope,
    VariableType,
)
from orchestrator.execution.variables.bindings import Binding, Space
from orchestrator.execution.variables.listeners import Listeners
from orchestrator.execution.variables.undo import UndoLog
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord, Writes, is_part, item_key, split_item_key
from orchestrator.types import StepKey

_NULL = Encoded(b"\xc0")


class Values:
    """The variables of one execution, as its events change them. Used under the context's lock, but for `deliver`."""

    __slots__ = ("_get_blob", "manager")

    def __init__(self, manager: VariableManager, get_blob: GetBlob | None) -> None:
        self.manager = manager
        self._get_blob = get_blob or _no_blob

    # -- what events do --------------------------------------------------------------------------------------------

    def take_in(self, record: ExecutionRecord, event: Event, at: float) -> None:
        """Bind what an event brings; `record` has taken it in already."""
        match event:
            case ev.StepSucceeded(key=key, output=output, writes=writes):
                if split_item_key(key) is None and not is_part(key):
                    if output is not None:
                        self._put(key, self.cell(output), at, key, VariableType.OUTPUT)
                    elif record.step(key).items is not None:
                        self._put(key, self._joined(record, key), at, key, VariableType.OUTPUT)
                if writes:
                    self.write(writes, at, key)
            case ev.StepSkipped(key=key, output=output) if not is_part(key) and split_item_key(key) is None:
                self._put(key, self.cell(output or _NULL), at, key, VariableType.OUTPUT)
            case ev.ExecutionCreated(inputs=inputs):
                for name, value in inputs:
                    self._put(name, self.cell(value), at, None, VariableType.INPUT)
            case ev.VariablesChanged(writes=writes, deleted=deleted, source=source):
                self.write(writes, at, source)
                self.delete(deleted, at)

    def write(self, writes: Writes, at: float, source: str | None) -> None:
        """Set GLOBAL variables, by a step or by `source`."""
        for name, value in writes:
            self._put(name, self.cell(value), at, source, VariableType.INTERMEDIATE)

    def delete(self, names: Iterable[str], at: float) -> None:
        """Take GLOBAL variables away."""
        self.change([Delete(name) for name in names], at)

    def cell(self, value: Encoded) -> RecordedCell:
        """A recorded value, to be read when somebody asks for it."""
        return RecordedCell(value, self._get_blob)

    def decode(self, value: Encoded) -> Any:
        """A recorded value, decoded."""
        return decode(value, self._get_blob)

    def _joined(self, record: ExecutionRecord, key: StepKey) -> ListCell:
        items = record.step(key).items or ()
        return ListCell([record.step(item_key(key, i)).output for i in range(len(items))], self._get_blob)

    # -- the seam --------------------------------------------------------------------------------------------------

    def _put(self, name: str, cell: Cell, at: float, source: str | None, var_type: VariableType) -> None:
        manager = self.manager
        table = manager._table
        with manager._lock:
            table.put(table.root, name, cell, at, source, VariableScope.GLOBAL, var_type, None, None)

    def change(self, changes: Iterable[Change], at: float) -> None:
        """Make changes, as of `at`."""
        manager = self.manager
        with manager._lock:
            for change in changes:
                manager._table.apply(change, at)

    def go_back(self, mark: Mark, source: str, at: float, then: Callable[[], object]) -> None:
        """Bring everything to where it stood at a mark and, before anybody else changes anything, do what else is."""
        manager = self.manager
        with manager._lock:
            self.change(manager.changes_since(mark, source), at)
            then()

    def has_context(self, context_id: str) -> bool:
        """Whether a context is still there."""
        return context_id in self.manager._table.contexts

    def release(self) -> None:
        """Give up what only a living execution needs: histories and kept results."""
        manager = self.manager
        with manager._lock:
            manager._resolver = None
            for space in (manager._table.root, *manager._table.contexts.values()):
                space.history = None

    def deliver(self) -> None:
        """Tell the handlers of variables; with no lock held."""
        self.manager._deliver()

    def count(self, created: Callable[[bool], object]) -> None:
        """Call `created` under the manager's lock for every write, with whether the name was new."""
        table = self.manager._table
        with self.manager._lock:
            table.listeners = _Counting(table.listeners, created, self.manager._lock)

    def watch(self, touched: Callable[[], object]) -> None:
        """Call this under the manager's lock for every change, of whatever kind."""
        with self.manager._lock:
            self.manager._table.undo = _Watching(touched)


class _Counting(Listeners):
    """The listeners of a manager, made when the first one comes, and one who counts."""

    __slots__ = ("_count", "_heard", "_lock")

    def __init__(self, known: Listeners | None, count: Callable[[bool], object], lock: threading.RLock) -> None:
        self._count, self._lock = count, lock
        self._heard = known is not None
        self.delivery = _IDLE
        if known is not None:
            self.created, self.changed, self.deleted = known.created, known.changed, known.deleted
            self.delivery = known.delivery

    def __getattr__(self, name: str) -> Any:
        """The handlers, which are asked for when the first one comes."""
        with self._lock:
            if not self._heard:
                Listeners.__init__(self)
                self._heard = True
        return object.__getattribute__(self, name)

    def wrote(self, old: Binding | None, new: Binding) -> None:
        """Count, then queue the event."""
        self._count(old is None)
        if self._heard:
            Listeners.wrote(self, old, new)

    def took_away(self, old: Binding) -> None:
        """Queue the event."""
        if self._heard:
            Listeners.took_away(self, old)


#: Stands for the queue of a manager that nobody listens to; nothing is ever put into it.
_IDLE = Delivery()


class _Watching(UndoLog):
    """The marks of a manager, and one who wants to know that something changed."""

    __slots__ = ("_touched",)

    def __init__(self, touched: Callable[[], object]) -> None:
        super().__init__()
        self._touched = touched

    def binding(self, space_id: str, name: str, old: Binding | None) -> None:
        """A name is about to be bound or deleted."""
        self._touched()
        UndoLog.binding(self, space_id, name, old)

    def opened(self, space: Space) -> None:
        """A context has begun."""
        self._touched()
        UndoLog.opened(self, space)

    def closed(self, space: Space) -> None:
        """A context has ended."""
        self._touched()
        UndoLog.closed(self, space)

    def added(self, name: str, names: frozenset[str]) -> None:
        """The dependencies of a name are about to change."""
        self._touched()
        UndoLog.added(self, name, names)


def _no_blob(blob: bytes) -> bytes:
    raise BlobMissingError(f"a value refers to blob {blob.hex()[:12]}, and this context was given no store to read it")
