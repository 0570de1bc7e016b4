"""The bridge: one execution for two kinds of program, those with an execution context and those with a plain state.

It is no third place where things are kept. It links the variables (`link`) and the steps (`tasks`) of the two sides,
and its own verbs are the context's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from orchestrator.errors import InputError
from orchestrator.execution.delivery import Handlers
from orchestrator.execution.integration.engine_state import state_of
from orchestrator.execution.integration.link import ConflictHandler, Link
from orchestrator.execution.integration.tasks import TaskLink, end_step
from orchestrator.execution.state import ExecutionContext, PipelineExecutionState
from orchestrator.execution.variables import VariableType

#: What a bridge takes for a state: one of its own kind, an engine's ExecutionState, or None for an empty one.
GivenState: TypeAlias = PipelineExecutionState | Mapping[str, Any] | None

_ABSENT: Any = object()


class _Pair:
    """A context and a state that are linked."""

    def __init__(self, context: ExecutionContext, state: PipelineExecutionState, on_conflict: ConflictHandler) -> None:
        self.state = state
        self.link = Link(context.variable_manager, state, on_conflict)
        self.tasks = TaskLink(context, state)

    def close(self) -> None:
        """Carry nothing over any more."""
        self.link.close()
        self.tasks.close()


class ExecutionStateBridge:
    """Keeps an execution context and a plain state in step, both ways and at once, until `close`. Thread-safe.

    GLOBAL variables are the state's `variables`; one of type OUTPUT whose source step has its name is a result; one
    set by `set_template` is a template. A name is one of these on both sides: written as a result, it is no longer a
    variable. Steps are tasks. Contexts' own variables, and those of a parent, stay where they are.

    Of a state that was filled before, each side is given the names that only the other one has. Where both have one,
    they stay as they are until one of the `sync_` verbs, or the next write, decides.

    What one thread writes has arrived on the other side when the write returns, unless another thread was at it: then
    it arrives soon. A change made inside of a value, in place, is not seen: the value must be set again.
    """

    def __init__(self, execution_context: ExecutionContext, pipeline_execution_state: GivenState = None) -> None:
        self.execution_context = execution_context
        self._conflicts: Handlers[str, Any, Any] = Handlers()
        self._lock = threading.Lock()
        self._pair = _Pair(
            execution_context, _state(pipeline_execution_state, execution_context.pipeline_id), self._conflicts
        )

    # -- the two sides ---------------------------------------------------------------------------------------------

    @property
    def pipeline_state(self) -> PipelineExecutionState:
        """The state on the other side."""
        return self._pair.state

    @property
    def pipeline_execution_state(self) -> PipelineExecutionState:
        """The same, under the name of the argument."""
        return self._pair.state

    def set_pipeline_state(self, state: GivenState) -> None:
        """Let go of the present state, which stays as it is, and keep this one in step from now on.

        An engine's ExecutionState is read into a new state; None stands for an empty one. Raises InputError for
        anything else, and changes nothing.
        """
        new = _state(state, self.execution_context.pipeline_id)
        former = self._pair
        former.close()  # first, so that it does not hear of what the new one brings
        pair = _Pair(self.execution_context, new, self._conflicts)
        with self._lock:
            beside, self._pair = self._pair, pair
        beside.close()

    def close(self) -> None:
        """Let go of the state: nothing is carried over any more. The bridge's verbs still reach the context."""
        self._pair.close()

    def sync_to_pipeline_state(self) -> None:
        """Have the state take everything that the context holds: variables, results, templates, steps.

        What only the state has stays there.
        """
        pair = self._pair
        pair.link.carry_to_state()
        pair.tasks.take_over()

    def sync_from_pipeline_state(self) -> None:
        """Have the context take everything that the state holds; a task that is executed or failed ends its step.

        What only the context has stays there.
        """
        pair = self._pair
        pair.link.carry_to_manager()
        pair.tasks.hand_over()

    def on_conflict(self, handler: ConflictHandler) -> Callable[[], None]:
        """Call `handler(name, winner_value, loser_value)` where both sides changed a name, neither knowing the other.

        The later write wins, on both sides. `GONE` stands for a deletion. Gives a function that ends it.
        """
        return self._conflicts.add(handler)

    @property
    def refused(self) -> int:
        """How many changes one side could not take from the other; each is in the log."""
        return self._pair.link.refused

    # -- variables -------------------------------------------------------------------------------------------------

    def register_variable(
        self,
        name: str,
        value: Any,
        var_type: VariableType = VariableType.INTERMEDIATE,
        source_step: str | None = None,
    ) -> None:
        """Set a GLOBAL variable. Raises InputError for a bad name or type."""
        self.execution_context.variable_manager.set_variable(name, value, var_type=var_type, source_step=source_step)

    def register_step_result(self, step_id: str, result: Any) -> None:
        """Set the variable of a step to what it gave: the step is completed, the task executed."""
        self.register_variable(step_id, result, VariableType.OUTPUT, step_id)
        end_step(self.execution_context, step_id, again=True)

    def get_variable(self, name: str, default: Any = None) -> Any:
        """The value of a variable, or of a name that the state's loops define; `default` where there is none."""
        found = self.execution_context.variable_manager.get_variable(name, _ABSENT)
        return self._pair.state.get_available_context().get(name, default) if found is _ABSENT else found

    def has_variable(self, name: str) -> bool:
        """Whether `get_variable` would find the name."""
        if self.execution_context.variable_manager.has_variable(name):
            return True
        return name in self._pair.state.get_available_context()

    # -- steps -----------------------------------------------------------------------------------------------------

    def start_step(self, step_id: str) -> None:
        """Start a step: the task is pending. One that has ended starts again."""
        self.execution_context.start_step(step_id)

    def complete_step(self, step_id: str, success: bool = True) -> None:
        """End a step: the task is executed, or failed. Nothing where it has ended so already.

        Raises IllegalMoveError where it has ended otherwise; `start_step` starts it again.
        """
        end_step(self.execution_context, step_id, success)

    def fail_step(self, step_id: str, error: str | BaseException) -> None:
        """End a step as failed, and say why. Raises IllegalMoveError where it was completed."""
        end_step(self.execution_context, step_id, False, error)

    # -- out -------------------------------------------------------------------------------------------------------

    def export_combined_state(self) -> dict[str, Any]:
        """Both sides as plain data: `execution_context` and `pipeline_state`, each by its own `export_state`."""
        return {
            "execution_context": self.execution_context.export_state(),
            "pipeline_state": self._pair.state.export_state(),
        }


def _state(given: GivenState, pipeline_id: str) -> PipelineExecutionState:
    match given:
        case None:
            return PipelineExecutionState(pipeline_id)
        case PipelineExecutionState():
            return given
        case Mapping():
            return state_of(given)
    raise InputError(f"a bridge needs a PipelineExecutionState or an engine's ExecutionState, not {given!r:.200}")
