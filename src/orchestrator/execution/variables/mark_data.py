"""Marks as plain data, and back: what a saved checkpoint needs to be restored after a load.

    bindings   [[context id or "", name, null | "dropped" | {"value": …, "metadata": {…}, "template": bool}]]
    contexts   {context id: parent's id, "" for the root, null where the context did not exist}
    added      {name: [dependencies that were added by hand]}

Each mark says what stood there before the first change since it was made.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.execution.variables.bindings import Binding, seconds
from orchestrator.execution.variables.cells import keep
from orchestrator.execution.variables.metadata import VariableMetadata
from orchestrator.execution.variables.parts import Part
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.undo import DROPPED, Before, Dropped, Segment

_DROPPED = "dropped"


def export_segment(segment: Segment) -> dict[str, Any]:
    """What a mark noted."""
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


def read_segment(part: Part) -> Segment:
    """What a mark noted, of `export_segment`'s data. Raises InputError, which names the part that is wrong."""
    fields = part.fields("bindings", "contexts", "added")
    segment = Segment()
    for item in fields["bindings"].elements():
        space_id, name, before = item.elements(3)
        segment.bindings[space_id.text(), name.text()] = _before(name.text(), before)
    segment.contexts = {context_id: parent.text_or_none() for context_id, parent in fields["contexts"].items()}
    segment.added = {name: frozenset(names.texts()) for name, names in fields["added"].items()}
    return segment


def _before(name: str, part: Part) -> Before:
    if part.value is None:
        return None
    if part.value == _DROPPED:
        return DROPPED
    fields = part.fields("value", "metadata", "template")
    known = VariableMetadata.from_dict(fields["metadata"].value, fields["metadata"].path)
    value, is_template = fields["value"], fields["template"].of(bool, "true or false")
    return Binding(
        name,
        _template(name, value) if is_template else keep(value.value)[0],
        0,
        known.version,
        seconds(known.created_at),
        seconds(known.updated_at),
        known.source_step,
        known.scope,
        known.var_type,
        known.description,
        frozenset(known.tags),
    )


def _template(name: str, part: Part) -> TemplateCell:
    try:
        return TemplateCell(part.value, f"variable {name!r}")
    except OrchestratorError as exc:
        raise InputError(f"{part.path}: {exc}") from exc
