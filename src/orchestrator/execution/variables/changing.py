"""Changing a table: what each kind of change does to it. Everything here is called under the table's lock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell
from orchestrator.execution.variables.changes import Change, CloseContext, Delete, Depend, OpenContext, Stamp, Write
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.words import VariableScope, VariableType

_NO_TAGS: frozenset[str] = frozenset()


def apply(table: Table, changes: Iterable[Change], at: float) -> None:
    """Make changes as of `at`. One in a context that is gone changes nothing."""
    for change in changes:
        if table.touch is not None:
            table.touch()
        _apply(table, change, at)


def _apply(table: Table, change: Change, at: float) -> None:
    match change:
        case Write(name=name, context_id=context_id):
            if (space := _present(table, context_id)) is not None:
                put(
                    table,
                    space,
                    name,
                    change.cell,
                    at,
                    change.source_step,
                    change.scope,
                    change.var_type,
                    change.description,
                    change.tags,
                    change.exact,
                    change.stamp,
                    change.least_version,
                )
        case Delete(name=name, context_id=context_id, dropped=dropped, last_version=last_version):
            if (space := _present(table, context_id)) is not None:
                _delete(table, space, name, dropped)
                if last_version:
                    space.went_by(name, last_version)
        case OpenContext(context_id=context_id, parent_id=parent_id):
            _open(table, context_id, _present(table, parent_id))
        case CloseContext(context_id=context_id):
            _close(table, context_id)
        case Depend(name=name, names=names):
            _depend(table, name, names)
        case _:
            assert_never(change)


def _present(table: Table, context_id: str | None) -> Space | None:
    return table.root if context_id is None else table.contexts.get(context_id)


def put(
    table: Table,
    space: Space,
    name: str,
    cell: Cell,
    at: float,
    source_step: str | None,
    scope: VariableScope,
    var_type: VariableType,
    description: str | None,
    tags: frozenset[str] | None,
    exact: bool = False,
    stamp: Stamp | None = None,
    least_version: int = 1,
) -> None:
    """Bind a name in a space."""
    bindings = space.bindings
    old = bindings.get(name)
    if table.touch is not None:
        table.touch()
    if table.undo is not None:
        table.undo.binding(space.id, name, old)
    created_at = at
    if old is None:
        version = space.next_version(name) if space.history is not None else 1
        if space.lost is not None:
            space.lost.discard(name)
    else:
        version, created_at = old.version + 1, old.created_at
        space.retire(old)
        if table.shared is not None:
            table.shared.drop(old.serial)
        if at < old.updated_at:
            at = old.updated_at
        if not exact:
            description = old.description if description is None else description
            tags = old.tags if tags is None else tags
    if stamp is not None:
        version, created_at, at = max(version, stamp.version), stamp.created_at, stamp.updated_at
    if version < least_version:
        version = least_version
    serial = next(table.serials)
    new = bindings[name] = Binding(
        name,
        cell,
        serial,
        version,
        created_at,
        at,
        source_step,
        scope,
        var_type,
        description,
        tags or _NO_TAGS,
    )
    if type(cell) is TemplateCell or (old is not None and type(old.cell) is TemplateCell):
        _note_template(table, space, new)
    table.epoch = serial
    if table.count is not None:
        table.count(old is None)
    if table.listeners is not None:
        table.listeners.wrote(old, new)


def _delete(table: Table, space: Space, name: str, dropped: bool) -> None:
    old = space.bindings.get(name)
    if dropped:
        space.lose(name)
    if old is None:
        return
    if table.undo is not None:
        table.undo.binding(space.id, name, old)
    del space.bindings[name]
    space.retire(old)
    if table.shared is not None:
        table.shared.drop(old.serial)
    table.epoch = next(table.serials)
    if space is table.root and table.dependencies is not None:
        _depend(table, name, frozenset())
        table.dependencies.set_template(name, ())
    if table.listeners is not None:
        table.listeners.took_away(old)


def _open(table: Table, context_id: str, parent: Space | None) -> None:
    if parent is None or context_id in table.contexts:
        return
    space = table.contexts[context_id] = Space(context_id, parent)
    if table.undo is not None:
        table.undo.opened(space)
    if parent is not table.root:
        if parent.children is None:
            parent.children = {}
        parent.children[context_id] = space
    table.epoch = next(table.serials)


def _close(table: Table, context_id: str) -> None:
    space = table.contexts.get(context_id)
    if space is None:
        return
    if space.parent is not None and space.parent.children is not None:
        space.parent.children.pop(context_id, None)
    to_close = [space]
    while to_close:
        space = to_close.pop()
        to_close += (space.children or {}).values()
        for name in list(space.bindings):
            _delete(table, space, name, False)
        del table.contexts[space.id]
        if table.undo is not None:
            table.undo.closed(space)
    table.epoch = next(table.serials)


def _depend(table: Table, name: str, names: frozenset[str]) -> None:
    graph = table.graph()
    if graph.added(name) != names:
        if table.undo is not None:
            table.undo.added(name, graph.added(name))
        graph.set_added(name, names)


def _note_template(table: Table, space: Space, new: Binding) -> None:
    if space is table.root:
        cell = new.cell
        table.graph().set_template(new.name, cell.candidates if isinstance(cell, TemplateCell) else ())
