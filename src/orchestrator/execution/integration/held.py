"""What a manager holds under a name among its own GLOBAL variables, in one look.

The manager's own `get_variable` looks elsewhere too (the running step's context, aliases, the parent), and its events
carry a value without saying of which context. A bridge and an adapter mean the GLOBAL variable and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from orchestrator.execution.variables import (
    Cell,
    Delete,
    PackedCell,
    VariableManager,
    VariableScope,
    VariableType,
    keep,
)
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.journal.codec import IMMUTABLE

#: The mappings of a `PipelineExecutionState.global_context`; a name belongs to one of them.
Kind: TypeAlias = Literal["variables", "results", "templates"]
#: Where a name stands in several, the first counts.
KINDS: tuple[Kind, ...] = ("results", "variables", "templates")


@dataclass(frozen=True, slots=True)
class Held:
    """A name's present binding. `serial` rises with every write, of whatever name, and is never used again."""

    kind: Kind
    cell: Cell
    serial: int
    var_type: VariableType

    def read(self) -> Any:
        """The value, the reader's own; a template's is the template."""
        return self.cell.read()


def held(manager: VariableManager, name: str) -> Held | None:
    """The GLOBAL variable of a name; None where there is none."""
    binding = manager._table.root.bindings.get(name)
    if binding is None or binding.scope is not VariableScope.GLOBAL:
        return None
    return Held(_kind(manager, binding), binding.cell, binding.serial, binding.var_type)


def _kind(manager: VariableManager, binding: Binding) -> Kind:
    if isinstance(binding.cell, TemplateCell):
        return "templates"
    if binding.var_type is VariableType.OUTPUT and _source(manager, binding) == binding.name:
        return "results"
    return "variables"


def _source(manager: VariableManager, binding: Binding) -> str | None:
    """The step that a value is from; where a restore brought it back, the step that it was from before."""
    if not _restored(binding):
        return binding.source_step
    before = (earlier.source_step for earlier in reversed(past(manager, binding.name)) if not _restored(earlier))
    return next(before, None)


def _restored(binding: Binding) -> bool:
    return binding.source_step is not None and binding.source_step.startswith("restore:")


def past(manager: VariableManager, name: str) -> list[Binding]:
    """The earlier bindings of a GLOBAL variable, oldest first. They outlive a deletion."""
    with manager._lock:
        earlier = (manager._table.root.history or {}).get(name, ())
        return [binding for binding in earlier if binding.scope is VariableScope.GLOBAL]


def known_names(manager: VariableManager) -> list[str]:
    """Every name that is bound in the root, or ever was."""
    with manager._lock:
        root = manager._table.root
        return list({**root.bindings, **(root.history or {})})


def follow(manager: VariableManager, handler: Callable[[str, Cell, bool], object]) -> list[Callable[[], None]]:
    """Call `handler(name, cell, deleted)` for every change, those in inner contexts included; gives what ends it.

    The cell is that of the change, or of what was deleted: it says which change it is, and is not decoded for nothing.
    """
    listeners = manager._listeners
    return [
        listeners.created.add(lambda name, cell: handler(name, cell, False)),
        listeners.changed.add(lambda name, _, cell: handler(name, cell, False)),
        listeners.deleted.add(lambda name, cell: handler(name, cell, True)),
    ]


def is_latest(manager: VariableManager, name: str, cell: Cell, deleted: bool) -> bool:
    """Whether a change is the last one of the root's binding of its name, so far."""
    with manager._lock:
        present = manager._table.root.bindings.get(name)
        if present is not None:
            return present.cell is cell and not deleted
        earlier = past(manager, name)
    return deleted and (not earlier or earlier[-1].cell is cell)


def delete(manager: VariableManager, name: str) -> bool:
    """Delete a GLOBAL variable; False where there is none.

    The manager's own verb would take a variable of the running step that has the same name.
    """
    return bool(manager._commit(lambda: [Delete(name)] if held(manager, name) is not None else []))


def same(one: Any, other: Any) -> bool:
    """Whether two values surely are equal and of one type. False where only their own code could tell."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, IMMUTABLE):
        return bool(one == other)
    cell, other_cell = keep(one)[0], keep(other)[0]
    return isinstance(cell, PackedCell) and isinstance(other_cell, PackedCell) and cell.data == other_cell.data
