"""The names that one step of a pipeline sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.execution.variables.cells import Cell, own
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.journal.codec import IMMUTABLE


class StepScope(Mapping[str, Any]):
    """The names that one step sees: its loop's item, then the GLOBAL variables. For templates, which only read.

    What is made from these values for a handler goes through `own`.
    """

    def __init__(self, variables: VariableManager, local: Mapping[str, Cell]) -> None:
        self._variables, self._local = variables, local
        self._borrowed = False

    def __getitem__(self, name: str) -> Any:
        cell = self._local.get(name)
        if cell is not None:
            return cell.read()
        value, shared = self._variables.shared(name)
        self._borrowed = self._borrowed or (shared and not isinstance(value, IMMUTABLE))
        return value

    def own(self, value: Any) -> Any:
        """The value with nothing in it that others see: a copy, where anything of it was shared."""
        return own(value) if self._borrowed else value

    def __contains__(self, name: object) -> bool:
        return name in self._local or (isinstance(name, str) and self._variables.has_variable(name))

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._local), **dict.fromkeys(self._variables.names())})

    def __len__(self) -> int:
        return sum(1 for _ in self)
