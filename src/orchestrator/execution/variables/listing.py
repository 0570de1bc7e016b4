"""What there is, and what is known of it. Called under the table's lock."""

from __future__ import annotations

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.metadata import VariableMetadata
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.words import VariableScope, VariableType


def listed(home: Space, scope: VariableScope | None, var_type: VariableType | None) -> list[Binding]:
    """What is visible from a space, of that scope and type; None is any."""
    return [
        binding
        for binding in home.visible().values()
        if scope in (None, binding.scope) and var_type in (None, binding.var_type)
    ]


def metadata_of(table: Table, binding: Binding) -> VariableMetadata:
    """What is known of a variable; of one in a context, dependencies are not."""
    in_root = table.dependencies is not None and table.root.bindings.get(binding.name) is binding
    return binding.metadata(table.graph().needs(binding.name, table.root.bindings) if in_root else set())
