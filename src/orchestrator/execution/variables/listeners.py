"""Who wants to hear of changes. Made when the first one does: a manager that nobody listens to does nothing here.

What is queued under the lock are cells; each handler's own copies are read when it is called, after the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.execution.delivery import Delivery, Handlers
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell


class _Reading:
    """A handler that is given values instead of cells: copies of its own."""

    def __init__(self, handler: Callable[..., object]) -> None:
        self._handler = handler

    def __call__(self, name: str, *cells: Cell) -> None:
        self._handler(name, *[cell.read() for cell in cells])

    def __repr__(self) -> str:
        return repr(self._handler)


class Listeners:
    """The handlers of the three events, and the queue that they are called from."""

    __slots__ = ("changed", "created", "deleted", "delivery")

    def __init__(self) -> None:
        self.created: Handlers[str, Cell] = Handlers()
        self.changed: Handlers[str, Cell, Cell] = Handlers()
        self.deleted: Handlers[str, Cell] = Handlers()
        self.delivery = Delivery()

    def wrote(self, old: Binding | None, new: Binding) -> None:
        """Queue the event of a write. Under the lock."""
        if old is None:
            if self.created:
                self.delivery.put(self.created, new.name, new.cell)
        elif self.changed:
            self.delivery.put(self.changed, new.name, old.cell, new.cell)

    def took_away(self, old: Binding) -> None:
        """Queue the event of a deletion. Under the lock."""
        if self.deleted:
            self.delivery.put(self.deleted, old.name, old.cell)


def listen(handlers: Handlers[*tuple[Any, ...]], handler: Callable[..., Any]) -> Callable[[], None]:
    """Add a handler of values; gives what unsubscribes it."""
    return handlers.add(_Reading(handler))
