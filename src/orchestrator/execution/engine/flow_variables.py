"""The variables as a durable function sees them.

In a later life the function runs again from its first line, while the execution's variables are as they were last. So
it is shown what it was told of, in that order, and what it sets is a step: recorded once, and not set again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import WrongPlaceError
from orchestrator.execution.driver import Assign
from orchestrator.execution.flow import Asked, here, keyed, planned
from orchestrator.execution.integration import Session
from orchestrator.execution.variables import Cell, VariableManager, VariableType
from orchestrator.execution.variables.cells import keep
from orchestrator.execution.variables.changes import Change, Delete, Write
from orchestrator.journal.codec import Encoded


def view_of(session: Session, read: Callable[[Encoded], Any]) -> VariableManager:
    """A manager that has the inputs of the execution, and records what is set in it."""
    view = VariableManager(session.plan.pipeline_id, clock=session.clock)
    for name, value in session.record.inputs.items():
        view.bind(name, keep(read(value))[0], session.record.created_at, var_type=VariableType.INPUT)
    view.recorder = _AsSteps(view)
    return view


@dataclass(frozen=True, slots=True)
class _AsSteps:
    """Records what a function sets as steps of it."""

    view: VariableManager

    def record(self, changes: Sequence[Change]) -> None:
        """Record each GLOBAL value; what belongs to a context, and templates, end with this process."""
        place = here()
        if place is None:
            raise WrongPlaceError("these variables are those of a durable function; set them in it")
        for change in changes:
            if isinstance(change, Delete) and change.context_id is None:
                raise WrongPlaceError(f"a durable function cannot delete the variable {change.name!r}; set it to None")
            if isinstance(change, Write) and change.context_id is None:
                value = change.cell.read()
                key = place.flow.take_key(place.prefix + keyed("set", change.name), "")
                step = planned({"id": "set", "set": {}})
                place.flow.wait(Asked("set", key, step, lambda _, name=change.name, value=value: Assign({name: value})))  # type: ignore[misc]
            else:
                self.view.apply([change])

    def unrecorded(self, name: str) -> Cell | None:
        """Nothing waits to be recorded."""
        return None
