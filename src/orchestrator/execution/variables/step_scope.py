"""The names that one step of a pipeline sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from orchestrator.execution.variables.cells import Cell, LiveCell, own
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.journal.codec import IMMUTABLE


class LocalNames(Protocol):
    """What a step sees before the variables of the execution."""

    def get(self, name: str, /) -> Cell | None:
        """The cell behind a name; None where there is none."""
        ...


class StepScope(Mapping[str, Any]):
    """The names that one step sees: what is around it, then the GLOBAL variables. For templates, which only read.

    One that is `closed` has the local names only. What is made from these values for a handler goes through `own`.
    """

    def __init__(self, variables: VariableManager, local: LocalNames, closed: bool = False) -> None:
        self._variables, self._local, self._closed = variables, local, closed
        self._borrowed = False

    def __getitem__(self, name: str) -> Any:
        cell = self._local.get(name)
        if cell is not None:
            value = cell.read()
            self._borrowed = self._borrowed or (type(cell) is LiveCell and not isinstance(value, IMMUTABLE))
            return value
        if self._closed:
            raise KeyError(name)
        value, shared = self._variables.shared(name)
        self._borrowed = self._borrowed or (shared and not isinstance(value, IMMUTABLE))
        return value

    def own(self, value: Any) -> Any:
        """The value with nothing in it that others see: a copy, where anything of it was shared."""
        return own(value) if self._borrowed else value

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return self._local.get(name) is not None or (not self._closed and self._variables.has_variable(name))

    def __iter__(self) -> Iterator[str]:
        local = list(self._local) if isinstance(self._local, Mapping) else []
        return iter(dict.fromkeys([*local, *(() if self._closed else self._variables.names())]))

    def __len__(self) -> int:
        return sum(1 for _ in self)
