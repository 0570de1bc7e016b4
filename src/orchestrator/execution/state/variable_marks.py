"""The marks of a variable manager as plain data, and back: what a saved checkpoint needs to be restored after a load.

    bindings   [[context id or "", name, null | "dropped" | {"value": …, "metadata": {…}, "template": bool}]]
    contexts   {context id: parent's id, "" for the root, null where the context did not exist}
    added      {name: [dependencies that were added by hand]}

Each mark says what stood there before the first change since it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.execution.state.checking import Part
from orchestrator.execution.variables import Mark, VariableManager, VariableMetadata, keep
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.undo import DROPPED, Before, Dropped, Segment, UndoLog

_DROPPED = "dropped"


def export_marks(manager: VariableManager, marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """What each of these marks noted, oldest first; under the manager's lock.

    What marks of others noted in between goes to the one before them.
    """
    segments = {id(mark): Segment() for mark in marks}
    found: Segment | None = None
    for mark in manager._table.undo._marks if manager._table.undo is not None else ():
        found = segments.get(id(mark), found)
        if found is not None and mark._segment is not None:
            found.lay_under(mark._segment)
    return [_export(segments[id(mark)]) for mark in marks]


def _export(segment: Segment) -> dict[str, Any]:
    return {
        "bindings": [[space_id, name, _plain(before)] for (space_id, name), before in segment.bindings.items()],
        "contexts": dict(segment.contexts),
        "added": {name: sorted(names) for name, names in segment.added.items()},
    }


def _plain(before: Before) -> Any:
    if before is None:
        return None
    if isinstance(before, Dropped):
        return _DROPPED
    return {
        "value": before.cell.read(),
        "metadata": before.metadata(set()).to_dict(),
        "template": isinstance(before.cell, TemplateCell),
    }


def import_marks(manager: VariableManager, parts: Sequence[Part]) -> list[Mark]:
    """Marks for a manager that has none yet. Raises InputError, which names the part that is wrong."""
    marks = []
    for part in parts:
        mark = Mark()
        mark._segment = _segment(part)
        marks.append(mark)
    with manager._lock:
        if manager._table.undo is None:
            manager._table.undo = UndoLog()
        manager._table.undo._marks += marks
    return marks


def _segment(part: Part) -> Segment:
    segment = Segment()
    for i, item in enumerate(part.items("bindings")):
        where = f"{part.where}.bindings[{i}]"
        if not isinstance(item, list | tuple) or len(item) != 3 or not all(isinstance(n, str) for n in item[:2]):
            raise InputError(f"{where}: a context's id, a name and what stood there are needed")
        segment.bindings[item[0], item[1]] = _before(item[1], item[2], where)
    for context_id, parent_id in part.names("contexts").items():
        if parent_id is not None and not isinstance(parent_id, str):
            raise InputError(f"{part.where}.contexts.{context_id}: a text or null is needed")
        segment.contexts[context_id] = parent_id
    added = part.part("added")
    segment.added = {name: frozenset(added.texts(name)) for name in part.names("added")}
    part.done()
    return segment


def _before(name: str, tree: Any, where: str) -> Before:
    if tree is None:
        return None
    if tree == _DROPPED:
        return DROPPED
    part = Part(tree, where)
    known = VariableMetadata.from_dict(part.value("metadata"), f"{where}.metadata")
    value, template = part.value("value"), part.flag("template")
    part.done()
    return Binding(
        name,
        _template(name, value, where) if template else keep(value)[0],
        0,
        known.version,
        known.created_at.timestamp(),
        known.updated_at.timestamp(),
        known.source_step,
        known.scope,
        known.var_type,
        known.description,
        frozenset(known.tags),
    )


def _template(name: str, template: Any, where: str) -> TemplateCell:
    try:
        return TemplateCell(template, f"variable {name!r}")
    except OrchestratorError as exc:
        raise InputError(f"{where}.value: {exc}") from exc
