"""What a manager holds under a name among its own GLOBAL variables, and what kind of thing it is to a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from orchestrator.execution.variables import (
    Binding,
    Cell,
    PackedCell,
    Root,
    TemplateCell,
    VariableType,
    keep,
)
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


def held(root: Root, name: str) -> Held | None:
    """The GLOBAL variable of a name; None where there is none."""
    binding = root.get(name)
    return None if binding is None else Held(_kind(root, binding), binding.cell, binding.serial, binding.var_type)


def _kind(root: Root, binding: Binding) -> Kind:
    if isinstance(binding.cell, TemplateCell):
        return "templates"
    if binding.var_type is VariableType.OUTPUT and _source(root, binding) == binding.name:
        return "results"
    return "variables"


def _source(root: Root, binding: Binding) -> str | None:
    """The step that a value is from; where a restore brought it back, the step that it was from before."""
    if not _restored(binding):
        return binding.source_step
    before = (earlier.source_step for earlier in reversed(root.past(binding.name)) if not _restored(earlier))
    return next(before, None)


def _restored(binding: Binding) -> bool:
    return binding.source_step is not None and binding.source_step.startswith("restore:")


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
