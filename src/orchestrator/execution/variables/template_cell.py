"""A template as a variable's value: it is computed from other variables whenever it is read."""

from __future__ import annotations

from typing import Any

from orchestrator.execution.variables.cells import Cell, keep
from orchestrator.execution.variables.dependencies import Candidates
from orchestrator.pipelines.paths import ways
from orchestrator.pipelines.scanner import Placeholder, scan
from orchestrator.pipelines.templates import Compiled, compile_value


class TemplateCell:
    """A compiled template with its source. Immutable."""

    __slots__ = ("_source", "candidates", "compiled", "hands_on")

    def __init__(self, source: Any, where: str) -> None:
        """Compile. Raises TemplateError."""
        self._source: Cell = keep(source)[0]
        self.compiled: Compiled = compile_value(self._source.read(), where)
        #: For each reference, the names that it can mean.
        self.candidates: Candidates = tuple(
            dict.fromkeys(tuple(name for name, _ in ways(use.path)) for use in self.compiled.references)
        )
        self.hands_on = hands_on(source)

    def read(self) -> Any:
        """The source, a copy."""
        return self._source.read()

    def measure(self) -> tuple[Any, int]:
        """The source, and its size."""
        return self._source.measure()


def hands_on(source: Any) -> bool:
    """Whether a template is one lone path, so that its value is the very thing that it names."""
    if not isinstance(source, str) or "${" not in source:
        return False
    parts = scan(source)
    return len(parts) == 1 and isinstance(parts[0], Placeholder) and parts[0].path is not None
