"""A link: the GLOBAL variables of a manager and one state object, kept in step, both ways and at once.

Both sides tell what changed in them, each in the order of its changes. All of it goes into one queue, and the queue is
the order: *later* is further back in it. One thread at a time works it off, whichever finds nobody at it, and carries
each change to the other side, which tells it as well: an *echo*. That is carried nowhere, so that all comes to rest.

    manager   An echo has the serial that was noted when the variable was written. A change whose cell does not stand
              there any more is passed over: a later one is still to come. The same is so for a change in the state
              that finds a serial in the manager which was not noted.
    state     An echo is announced in the state's own queue, right before it. A change that comes while an echo is
              awaited was made before that write, without knowing it, and is covered by it now.

Where two changes of one name met, neither knowing the other, the later one is carried to both sides, and the handlers
of conflicts are told. A value that equals the manager's is not written there: so two links around one pair come to rest
as well.

Rejected: a flag on the thread that carries, for another thread may deliver the echo; telling an echo by its value, for
somebody may write the same one, and a copy need not equal what it was made from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from orchestrator.execution.delivery import Delivery
from orchestrator.execution.integration.held import Held, Kind, same
from orchestrator.execution.integration.sides import ManagerSide, StateSide
from orchestrator.execution.state import GONE, PipelineExecutionState
from orchestrator.execution.variables import Cell, VariableManager

#: Is told a name, the value that stays and the one that was covered; `GONE` stands for a deletion.
ConflictHandler: TypeAlias = Callable[[str, Any, Any], object]

_log = logging.getLogger(__name__)


class Link:
    """Keeps a manager and a state in step, from when it is made until it is closed. Thread-safe."""

    def __init__(self, manager: VariableManager, state: PipelineExecutionState, on_conflict: ConflictHandler) -> None:
        #: How many changes could not be carried, as a name that the manager cannot have. Each is logged.
        self.refused = 0
        self._manager, self._state, self._on_conflict = ManagerSide(manager), StateSide(state), on_conflict
        self._queue = Delivery()
        self._open, self._begun = True, False
        self._unsubscribe = [
            *self._manager.root.follow(lambda *change: self._put(self._from_manager, *change)),
            self._state.follow(lambda kind, name, *change: self._put(self._from_state, name, kind, *change)),
        ]
        self._begin()
        self._begun = True
        self._queue.run()

    def close(self) -> None:
        """Carry nothing from now on, not even what is queued."""
        self._open = False
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def _put(self, carry: Callable[..., object], name: str, *args: Any) -> None:
        self._queue.put(self._carry, carry, name, *args)
        if self._begun:
            self._queue.run()

    def _carry(self, carry: Callable[..., object], name: str, *args: Any) -> None:
        if not self._open:
            return
        try:
            carry(name, *args)
        except Exception:  # noqa: BLE001 - logged and counted: a name that cannot be carried must not stop the others
            self.refused += 1
            _log.exception("bridge_refused: %r is not the same on both sides", name)

    def _begin(self) -> None:
        """Give each side the names that it has not. Where both have one, neither is later: they stay as they are."""
        manager, state = self._manager, self._state
        for name in manager.root.names():
            found = manager.look(name)
            manager.note(name, found)
            if found is not None and not state.has(name):
                state.put(found.kind, name, found.read())
        for kind, name, value in state.items():
            if manager.look(name) is None:
                self._carry(self._copy_to_manager, name, kind, value)

    def carry_to_state(self) -> None:
        """Have the state take all that the manager holds."""
        for name in self._manager.manager.names():
            self._put(self._copy_to_state, name)

    def _copy_to_state(self, name: str) -> None:
        found = self._manager.look(name)
        if found is not None:
            self._manager.note(name, found)
            self._state.put(found.kind, name, found.read())
            self._state.leave_others(found.kind, name)

    def carry_to_manager(self) -> None:
        """Have the manager take all that the state holds."""
        for kind, name, value in self._state.items():
            self._put(self._copy_to_manager, name, kind, value)

    def _copy_to_manager(self, name: str, kind: Kind, value: Any) -> None:
        found = self._manager.look(name)
        if not self._manager.is_news(name, found):
            self._manager.write(kind, name, value, found)

    # -- carrying --------------------------------------------------------------------------------------------------

    def _from_manager(self, name: str, cell: Cell, deleted: bool) -> None:
        if not self._manager.root.is_latest(name, cell, deleted):
            return  # another one of the name is still to come; or this is one of some inner context
        found = self._manager.look(name)
        if not self._manager.is_news(name, found):
            return
        self._manager.note(name, found)
        if found is not None:
            self._state.put(found.kind, name, found.read())
        self._state.leave_others(found.kind if found is not None else None, name)

    def _from_state(self, name: str, kind: Kind, value: Any, is_echo: bool) -> None:
        if is_echo:
            self._state.heard(kind, name)
            return
        found = self._manager.look(name)
        if self._manager.is_news(name, found):
            self._tell(name, _value(found), value)  # that change is further back in the queue, and will cover this one
            return
        covering = self._state.covering(kind, name)
        for covered in self._manager.write(kind, name, value, found):
            self._tell(name, value, covered)
        if value is not GONE:
            self._state.leave_others(kind, name)
        if covering is None:
            return
        last, from_manager = covering
        if from_manager:
            self._tell(name, value, _value(found))
        if self._state.present(kind, name) is last:  # else it was covered again, by a change further back in the queue
            self._state.put(kind, name, value, from_manager=False)

    def _tell(self, name: str, winner: Any, loser: Any) -> None:
        if not same(winner, loser):
            self._on_conflict(name, winner, loser)


def _value(found: Held | None) -> Any:
    return GONE if found is None else found.read()
