"""Progress by variables: setting `progress.{step_id}.{metric}` is a report about the step.

`percentage`, `message` and `status` (a `StepStatus` or its word) act as the tracker's verbs do; anything else is kept
in the step's metadata under its own name, also when the step has ended. A step that is set to `cancelled` is CANCELLED;
where a context records it, FAILED with that word, for a journal knows no step that was given up by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.errors import InputError
from orchestrator.execution.progress.protocols import Unsubscribe, WatchedVariables
from orchestrator.execution.progress.steps import StepProgress
from orchestrator.execution.progress.tracking import StepVerbs
from orchestrator.status import StepStatus

_PREFIX = "progress."


class Reports(StepVerbs, Protocol):
    """What a variable may ask of a tracker."""

    def skip_step(self, id: str, step_id: str, reason: str = "") -> None:
        """Leave the step out."""
        ...

    def cancel_step(self, id: str, step_id: str) -> None:
        """Give the step up."""
        ...

    def report_message(self, id: str, step_id: str, message: str) -> None:
        """What the step is at."""
        ...

    def report_metric(self, id: str, step_id: str, metric: str, value: Any) -> None:
        """Something else about it."""
        ...

    def get_step_progress(self, id: str, step_id: str) -> StepProgress | None:
        """How far it is."""
        ...


def follow(variables: WatchedVariables, tracker: Reports, execution_of: Callable[[str], str]) -> list[Unsubscribe]:
    """Report from now on what these variables say; `execution_of` tells a step's execution."""

    def take(name: str, value: Any) -> None:
        step_id, dot, metric = name.removeprefix(_PREFIX).rpartition(".")
        if name.startswith(_PREFIX) and dot and step_id and metric:
            _report(tracker, execution_of(step_id), step_id, metric, value)

    return [variables.on_variable_created(take), variables.on_variable_changed(lambda name, old, new: take(name, new))]


def _report(tracker: Reports, id: str, step_id: str, metric: str, value: Any) -> None:
    match metric:
        case "percentage":
            step = tracker.get_step_progress(id, step_id)
            if step is None or step.progress_percentage != value:  # else a verb has said so already
                tracker.update_step_progress(id, step_id, value)
        case "message":
            tracker.report_message(id, step_id, str(value))
        case "status":
            _report_status(tracker, id, step_id, value)
        case _:
            tracker.report_metric(id, step_id, metric, value)


def _report_status(tracker: Reports, id: str, step_id: str, value: Any) -> None:
    match str(value).lower():
        case StepStatus.RUNNING:
            tracker.start_step(id, step_id)
        case StepStatus.COMPLETED:
            tracker.complete_step(id, step_id)
        case StepStatus.FAILED as word:
            tracker.complete_step(id, step_id, False, word)
        case StepStatus.CANCELLED:
            tracker.cancel_step(id, step_id)
        case StepStatus.SKIPPED:
            tracker.skip_step(id, step_id)
        case word if word != StepStatus.PENDING:
            raise InputError(f"progress.{step_id}.status is one of {', '.join(StepStatus)}, not {value!r}")
