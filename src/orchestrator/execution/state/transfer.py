"""A context as plain data with native values, and back.

    format_version, execution_id, pipeline_id, status
    life           position, times, owner and the like
    steps          {id: {…}} (see `step_data`)
    running        [[id, context of its variables or null]], in the order in which they were started
    metrics        the fields of ExecutionMetrics
    variables      what VariableManager.export_state gives
    marks          what it takes to go back, oldest first; those with a `checkpoint` are the checkpoints
    nested         [{"name", "present", "state"}]: contexts that were destroyed, but that a mark knows, are not present
    touched        the places of those that changed since the newest mark
    settings       retention, automatic checkpoints, the number of steps to come

Marks name nested contexts by their place in `nested`, and the marks of those by their place in `marks` over there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.execution.state.applied import Applied
from orchestrator.execution.state.checking import Part
from orchestrator.execution.state.checkpoints import Checkpoint
from orchestrator.execution.state.flow_data import encoded, native
from orchestrator.execution.state.marks import Mark
from orchestrator.execution.state.metrics import ExecutionMetrics
from orchestrator.execution.state.step_data import export_step, read_step
from orchestrator.execution.state.steps import forget_owner
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import split_item_key
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import StepKey

FORMAT_VERSION = 1
_COUNTS = tuple(f.name for f in fields(ExecutionMetrics) if f.name not in ("start_time", "end_time", "duration"))
_T = TypeVar("_T")


# -- out ---------------------------------------------------------------------------------------------------------------


def export(state: Applied) -> dict[str, Any]:
    """The whole of a context, as of one moment."""
    with state.lock, state.values.inside.lock:
        marks = list(state.marks)
        nested = _every_nested(state, marks)
        places = {id(inner): place for place, inner in enumerate(nested)}
        known = state.values.inside.export_marks([mark.variables for mark in marks])
        record = state.record
        return {
            "format_version": FORMAT_VERSION,
            "execution_id": record.execution_id,
            "pipeline_id": record.pipeline_id,
            "status": str(record.status),
            "life": _export_life(state),
            "steps": {key: export_step(step, state.values.decode) for key, step in record.steps.items()},
            "running": [list(item) for item in state.tally.running.items()],
            "metrics": _export_metrics(state.tally.metrics),
            "variables": state.values.manager.export_state(),
            "marks": [_export_mark(state, mark, noted, places) for mark, noted in zip(marks, known, strict=True)],
            "nested": [
                {"name": inner.name, "present": (state.nested or {}).get(inner.name) is inner, "state": export(inner)}
                for inner in nested
            ],
            "touched": sorted(places[id(inner)] for inner in state.touched or () if id(inner) in places),
            "settings": _export_settings(state),
        }


def _every_nested(state: Applied, marks: list[Mark]) -> list[Applied]:
    """The nested contexts, and those that a mark would bring back."""
    known = [*(state.nested or {}).values()]
    for mark in marks:
        known += [inner for inner in (*mark.nested.values(), *mark.states) if isinstance(inner, Applied)]
    return list({id(inner): inner for inner in known}.values())


def _export_life(state: Applied) -> dict[str, Any]:
    record = state.record
    return {
        "position": record.position,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "ended_at": record.ended_at,
        "owner": record.owner,
        "epoch": record.epoch,
        "pause_reason": record.pause_reason,
        "failed_step": record.failed_step,
        "error": copy.deepcopy(record.error),
        "outputs": native(record.outputs, state.values.decode),
        "rollbacks": dict(record.rollbacks),
    }


def _export_metrics(metrics: ExecutionMetrics) -> dict[str, Any]:
    return {field.name: getattr(metrics, field.name) for field in fields(metrics)}


def _export_settings(state: Applied) -> dict[str, Any]:
    return {
        "max_checkpoints": state.max_kept,
        "auto_checkpoint_steps": state.every,
        "last_checkpoint": state.last_checkpoint,
        "expected_steps": state.tally.expected,
        "begun_steps": state.tally.begun,
        "whole_steps": state.tally.whole_steps,
    }


def _export_mark(state: Applied, mark: Mark, noted: dict[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    checkpoint = mark.checkpoint
    return {
        "position": mark.position,
        "status": str(mark.status),
        "pause_reason": mark.pause_reason,
        "metrics": _export_metrics(mark.metrics),
        "running": [list(item) for item in mark.running.items()],
        "expected_steps": mark.expected,
        "checkpoint": None
        if checkpoint is None
        else {
            "id": checkpoint.id,
            "timestamp": checkpoint.timestamp,
            "step_id": checkpoint.step_id,
            "status": str(checkpoint.status),
            "description": checkpoint.description,
        },
        "steps": {key: export_step(step, state.values.decode) for key, step in mark.steps.items()},
        "variables": noted,
        "nested": {name: None if inner is None else places[id(inner)] for name, inner in mark.nested.items()},
        "states": [
            [places[id(inner)], list(inner.marks).index(then)]
            for inner, then in mark.states.items()
            if isinstance(inner, Applied)
        ],
    }


# -- in ----------------------------------------------------------------------------------------------------------------


def read_into(state: Applied, part: Part, make_nested: Callable[[Part], Applied]) -> None:
    """Bring a fresh context to where a state says. Raises InputError, which names the part that is wrong.

    The ids have been read already: they were needed to make the context.
    """
    state.record.status = part.word("status", ExecutionStatus)
    _read_life(state, part.part("life"))
    steps = part.part("steps")
    for key in part.names("steps"):
        state.record.steps[StepKey(key)] = read_step(key, steps.part(key))
    state.record.regroup()
    loops = [state.record.step(found[0]) for found in map(split_item_key, [*state.record.steps]) if found]
    state.record.apply(_nothing_restored(state.record))  # which counts afresh
    for loop in loops:
        forget_owner(loop)
    _read_variables(state, part)
    state.tally.metrics = _read_metrics(part.part("metrics"))
    state.tally.run_again(_read_running(part))
    for key in state.tally.running:
        if key not in state.record.steps or state.record.steps[key].status is not StepStatus.RUNNING:
            raise InputError(f"{part.where}.running: step {key!r} does not run")
    _read_settings(state, part.part("settings"))
    nested = _read_every_nested(state, part, make_nested)
    _read_marks(state, part.parts("marks"), nested)
    state.touched = {_at(nested, place, f"{part.where}.touched") for place in part.items("touched")}
    part.done()


def _nothing_restored(record: ExecutionRecord) -> Entry:
    return Entry(record.position, record.updated_at, ev.ExecutionRestored("", record.position, ()))


def _read_life(state: Applied, part: Part) -> None:
    record = state.record
    record.position = part.whole("position")
    record.created_at, record.updated_at = part.number("created_at"), part.number("updated_at")
    record.ended_at = part.number_or_none("ended_at")
    record.owner, record.epoch = part.text("owner"), part.whole("epoch")
    record.pause_reason = part.text("pause_reason")
    failed_step = part.text_or_none("failed_step")
    record.failed_step = None if failed_step is None else StepKey(failed_step)
    record.error = None if part.value("error") is None else part.names("error")
    record.outputs = encoded(part, "outputs")
    rollbacks = part.part("rollbacks")
    record.rollbacks = {StepKey(key): rollbacks.whole(key) for key in part.names("rollbacks")}
    part.done()


def _read_metrics(part: Part) -> ExecutionMetrics:
    metrics = ExecutionMetrics(
        part.moment("start_time"),
        part.moment("end_time"),
        part.span("duration"),
        *(part.whole(name) for name in _COUNTS),
    )
    part.done()
    return metrics


def _read_running(part: Part) -> dict[StepKey, str | None]:
    running: dict[StepKey, str | None] = {}
    for i, item in enumerate(part.items("running")):
        match item:
            case [str(key), None | str() as context_id] if key not in running:
                running[StepKey(key)] = context_id
            case _:
                raise InputError(f"{part.where}.running[{i}]: a step's id and a context's id or null are needed")
    return running


def _read_settings(state: Applied, part: Part) -> None:
    state.max_kept, state.every = max(1, part.whole("max_checkpoints")), part.whole("auto_checkpoint_steps")
    state.last_checkpoint = part.whole("last_checkpoint")
    state.tally.expected, state.tally.begun = part.whole("expected_steps"), part.whole("begun_steps")
    state.tally.whole_steps = part.flag("whole_steps")
    part.done()


def _read_variables(state: Applied, part: Part) -> None:
    try:
        state.values.manager.import_state(part.value("variables"))
    except OrchestratorError as exc:
        raise InputError(f"{part.where}.variables: {exc}") from exc


def _read_every_nested(state: Applied, part: Part, make_nested: Callable[[Part], Applied]) -> list[Applied]:
    """All of them, in their places; those that are present are put among the context's own."""
    nested: list[Applied] = []
    present: dict[str, Applied] = {}
    for item in part.parts("nested"):
        inner = make_nested(item.part("state"))
        if state.nested is not None:
            del state.nested[inner.name]  # where its making has put it: which are there is said below
        if item.text("name") != inner.name:
            raise InputError(
                f"{item.where}.name: {item.text('name')!r} is not what its parent calls it, {inner.name!r}"
            )
        if item.flag("present"):
            if inner.name in present:
                raise InputError(f"{item.where}.name: there are two nested contexts {inner.name!r}")
            present[inner.name] = inner
        item.done()
        nested.append(inner)
    state.nested = present or None
    return nested


def _at(things: Sequence[_T], place: object, where: str) -> _T:
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(things):
        raise InputError(f"{where}: {place!r} is no place in a list of {len(things)}")
    return things[place]


def _read_marks(state: Applied, parts: Sequence[Part], nested: Sequence[Applied]) -> None:
    known = state.values.inside.import_marks({f"{part.where}.variables": part.value("variables") for part in parts})
    for part, variables in zip(parts, known, strict=True):
        mark = Mark(
            part.whole("position"),
            part.word("status", ExecutionStatus),
            part.text("pause_reason"),
            _read_metrics(part.part("metrics")),
            variables,
            _read_running(part),
            part.whole("expected_steps"),
            _read_checkpoint(state, part),
        )
        steps, places = part.part("steps"), part.names("nested")
        for key, step in part.names("steps").items():
            mark.steps[StepKey(key)] = None if step is None else read_step(key, steps.part(key))
        for name, place in places.items():
            mark.nested[name] = None if place is None else _at(nested, place, f"{part.where}.nested.{name}")
        for i, item in enumerate(part.items("states")):
            where = f"{part.where}.states[{i}]"
            if not isinstance(item, list | tuple) or len(item) != 2:
                raise InputError(f"{where}: the places of a nested context and of one of its marks are needed")
            inner = _at(nested, item[0], where)
            mark.states[inner] = _at(list(inner.marks), item[1], where)
        part.done()
        state.marks.add(mark)
        state.steps.notes = mark.steps


def _read_checkpoint(state: Applied, part: Part) -> Checkpoint | None:
    if part.value("checkpoint") is None:
        return None
    inner = part.part("checkpoint")
    name, timestamp = inner.text("id"), inner.moment("timestamp")
    if len(name) != 8 or timestamp is None or state.marks.find(name) is not None:
        raise InputError(f"{inner.where}: an id of 8 characters that no other one has, and a timestamp are needed")
    checkpoint = Checkpoint(
        name,
        timestamp,
        state.record.execution_id,
        inner.text_or_none("step_id"),
        inner.word("status", ExecutionStatus),
        inner.text_or_none("description"),
    )
    inner.done()
    state.record.checkpoints[checkpoint.description or name] = part.whole("position")
    return checkpoint
