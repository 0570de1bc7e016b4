"""The two sides of a link: what was written to each, so that its echo is known when it comes back.

Used by one thread at a time: whoever works off the link's queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from orchestrator.execution.integration.held import KINDS, Held, Kind, held, same
from orchestrator.execution.state import GONE, PipelineExecutionState
from orchestrator.execution.variables import Root, VariableManager, VariableType


class ManagerSide:
    """The manager, and which binding of each name the other side knows of."""

    def __init__(self, manager: VariableManager) -> None:
        self.manager, self.root = manager, Root(manager)
        #: Name -> the serial of its binding; minus that of its last one, where it was deleted.
        self._known: dict[str, int] = {}

    def look(self, name: str) -> Held | None:
        """The GLOBAL variable of a name."""
        return held(self.root, name)

    def _serial(self, name: str, found: Held | None) -> int:
        if found is not None:
            return found.serial
        earlier = self.root.past(name)
        return -earlier[-1].serial if earlier else 0

    def is_news(self, name: str, found: Held | None) -> bool:
        """Whether the other side does not know of this binding, or of this deletion."""
        serial, known = self._serial(name, found), self._known.get(name, 0)
        history_given_up = serial == 0 and known < 0
        return serial != known and not history_given_up

    def note(self, name: str, found: Held | None) -> None:
        """The other side knows of it now."""
        self._known[name] = self._serial(name, found)

    def write(self, kind: Kind, name: str, value: Any, found: Held | None) -> list[Any]:
        """Bring a name from `found`, which is no news, to a value; gives what others wrote since that look.

        What others write after it is still to come, and then nothing is noted. Raises what the manager raises for what
        it cannot hold.
        """
        if self._has(kind, value, found):
            return []
        before = abs(self._known.get(name, 0))
        self._set(kind, name, value, found)
        present = self.look(name)
        covered = [earlier.cell.read() for earlier in self.root.past(name) if earlier.serial > before]
        if _is_mine(value, present, bool(covered)):
            self.note(name, present)
            return covered
        return []

    def _has(self, kind: Kind, value: Any, found: Held | None) -> bool:
        if found is None or found.kind != kind:
            return value is GONE
        return value is not GONE and same(value, found.read())

    def _set(self, kind: Kind, name: str, value: Any, found: Held | None) -> None:
        if value is GONE:
            self.root.delete(name)
        elif kind == "templates":
            self.manager.set_template(name, value)
        elif kind == "results":
            self.manager.set_variable(name, value, var_type=VariableType.OUTPUT, source_step=name)
        else:
            kept = found.var_type if found is not None and found.kind == kind else VariableType.INTERMEDIATE
            self.manager.set_variable(name, value, var_type=kept)


def _is_mine(value: Any, present: Held | None, contended: bool) -> bool:
    """Whether what stands there is what was written."""
    if present is None or value is GONE:
        return present is None and value is GONE
    return not contended or same(value, present.read())


class StateSide:
    """The state, and what was written to it and has not come back yet."""

    def __init__(self, state: PipelineExecutionState) -> None:
        self.state = state
        #: What was written and is not heard of yet, oldest first; each with whether the manager's side gave it.
        self._awaited: dict[tuple[Kind, str], deque[tuple[Any, bool]]] = {}
        #: Whether the change that the state tells next is an echo.
        self._echo_next = False

    def follow(self, handler: Callable[[Kind, str, Any, bool], object]) -> Callable[[], None]:
        """Call `handler(kind, name, value, is_echo)` for every change; gives what ends it."""

        def hear(kind: str, name: str, value: Any) -> None:
            is_echo, self._echo_next = self._echo_next, False
            handler(cast(Kind, kind), name, value, is_echo)

        return self.state.on_change(hear)

    def _announce(self) -> None:
        self._echo_next = True

    def items(self) -> list[tuple[Kind, str, Any]]:
        """What it holds, each name once."""
        found: dict[str, tuple[Kind, str, Any]] = {}
        for kind in KINDS:
            for name, value in self.state.global_context[kind].copy().items():
                found.setdefault(name, (kind, name, value))
        return list(found.values())

    def has(self, name: str) -> bool:
        """Whether the name is there, as whatever."""
        return any(name in self.state.global_context[kind] for kind in KINDS)

    def present(self, kind: Kind, name: str) -> Any:
        """The very object that stands there."""
        return self.state.global_context[kind].get(name, GONE)

    def covering(self, kind: Kind, name: str) -> tuple[Any, bool] | None:
        """What was written to a name last, if it is not heard of yet, and whether it came from the manager."""
        awaited = self._awaited.get((kind, name))
        return awaited[-1] if awaited else None

    def heard(self, kind: Kind, name: str) -> None:
        """An echo of this name was heard: of the oldest thing written."""
        awaited = self._awaited[kind, name]
        awaited.popleft()
        if not awaited:
            del self._awaited[kind, name]

    def put(self, kind: Kind, name: str, value: Any, from_manager: bool = True) -> None:
        """Bring a name to a value."""
        if self.state.change(kind, name, value, announce=self._announce):
            self._awaited.setdefault((kind, name), deque()).append((value, from_manager))

    def leave_others(self, kind: Kind | None, name: str) -> None:
        """A name is one thing: written as a result, it is no longer a variable."""
        for other in KINDS:
            if other != kind:
                self.put(other, name, GONE)
