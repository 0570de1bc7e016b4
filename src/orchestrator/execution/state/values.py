"""What events do to variables. Nothing is told to their handlers before `inside.deliver`, with no lock held."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.errors import BlobMissingError
from orchestrator.execution.state.outputs import output_of
from orchestrator.execution.variables import (
    Delete,
    GetBlob,
    Inside,
    Mark,
    RecordedCell,
    VariableManager,
    VariableType,
)
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord, Writes

_NULL = Encoded(b"\xc0")


class Values:
    """The variables of one execution, as its events change them. Under its context's lock."""

    __slots__ = ("_get_blob", "inside", "manager")

    def __init__(self, manager: VariableManager, get_blob: GetBlob | None) -> None:
        self.manager, self.inside = manager, Inside(manager)
        self._get_blob = get_blob or _no_blob

    def take_in(self, event: Event, at: float) -> None:
        """Bind what an event of the execution brings."""
        match event:
            case ev.ExecutionCreated(inputs=inputs):
                for name, value in inputs:
                    self.inside.put(name, self.cell(value), at, None, VariableType.INPUT)
            case ev.VariablesChanged(writes=writes, deleted=deleted, source=source):
                self.write(writes, at, source)
                self.delete(deleted, at)

    def take_outcome(self, record: ExecutionRecord, event: Event, at: float, has_variable: bool) -> None:
        """Bind what a step gave, where it has a variable, and what it wrote; `record` has the event already."""
        match event:
            case ev.StepSucceeded(key=key, output=output, writes=writes):
                if has_variable and output is not None:
                    self.inside.put(key, self.cell(output), at, key, VariableType.OUTPUT)
                elif has_variable and (made := output_of(record, key, self._get_blob)) is not None:
                    self.inside.put(key, made, at, key, VariableType.OUTPUT)
                if writes:
                    self.write(writes, at, key)
            case ev.StepSkipped(key=key, output=output) if has_variable:
                self.inside.put(key, self.cell(output or _NULL), at, key, VariableType.OUTPUT)

    def write(self, writes: Writes, at: float, source: str | None) -> None:
        """Set GLOBAL variables, by a step or by `source`."""
        for name, value in writes:
            self.inside.put(name, self.cell(value), at, source, VariableType.INTERMEDIATE)

    def delete(self, names: Iterable[str], at: float) -> None:
        """Take GLOBAL variables away."""
        self.inside.apply([Delete(name) for name in names], at)

    def go_back(self, mark: Mark, source: str, at: float, then: Callable[[], object]) -> None:
        """Bring everything to where it stood at a mark and, before anybody else changes anything, do what else is."""
        with self.inside.lock:
            self.inside.apply(self.manager.changes_since(mark, source), at)
            then()

    def cell(self, value: Encoded) -> RecordedCell:
        """A recorded value, to be read when somebody asks for it."""
        return RecordedCell(value, self._get_blob)

    def decode(self, value: Encoded) -> Any:
        """A recorded value, decoded."""
        return decode(value, self._get_blob)


def _no_blob(blob: bytes) -> bytes:
    raise BlobMissingError(f"a value refers to blob {blob.hex()[:12]}, and this context was given no store to read it")
