"""The state of a manager as plain data, and back.

    pipeline_id         text
    global_variables    {name: {"value": …, "metadata": {…}}}
    context_variables   {context id: {"parent_id": id or null, "variables": {name: {…}}, "dropped": [name]}}
    dependency_graph    {name: [names that it depends on]}
    variable_templates  {name: template}; such a name stands in `global_variables` too, with its template as value
    format_version      1
    last_versions       [[context id or "", name, last version]] of names that are not there any more, so that their
                        versions go on; there only where it is needed

TEMPORARY variables are left out. Only their names go along, in `dropped`, so that a reader is told what became of them;
those of the root stand under the context id "", which is there only where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.errors import InputError
from orchestrator.execution.variables.bindings import Binding, seconds
from orchestrator.execution.variables.cells import Cell, keep
from orchestrator.execution.variables.changes import (
    Change,
    CloseContext,
    Delete,
    Depend,
    OpenContext,
    Stamp,
    Write,
)
from orchestrator.execution.variables.dependencies import Dependencies
from orchestrator.execution.variables.metadata import VariableMetadata
from orchestrator.execution.variables.parts import Part
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.words import VariableScope, check_name

FORMAT_VERSION = 1


# -- out ---------------------------------------------------------------------------------------------------------------


class Snapshot:
    """What an export holds, taken under the lock; its values are read when it is left."""

    def __init__(self, table: Table, spaces: Iterable[Space]) -> None:
        self._root = table.root
        self._bindings = {
            space.id: (space.parent, list(space.bindings.values()), set(space.lost or ()))
            for space in (table.root, *spaces)
        }
        graph = table.dependencies or Dependencies()
        bound = {b.name for b in table.root.bindings.values() if b.scope is not VariableScope.TEMPORARY}
        self._last = [
            [space.id, name, version]
            for space in (table.root, *spaces)
            for name, version in sorted(space.last_versions().items())
        ]
        self._needs = {name: graph.needs(name, bound) for name in graph.names()}

    def state(self, pipeline_id: str) -> dict[str, Any]:
        """The exported state: copies of all values."""
        _, bindings, lost = self._bindings.pop("")
        dropped = lost | {b.name for b in bindings if b.scope is VariableScope.TEMPORARY}
        contexts: dict[str, Any] = (
            {"": {"parent_id": None, "variables": {}, "dropped": sorted(dropped)}} if dropped else {}
        )
        for space_id, (parent, inner, lost) in self._bindings.items():
            contexts[space_id] = {
                "parent_id": parent.id or None if parent is not None else None,
                "variables": self._variables(inner, {}),
                "dropped": sorted(lost | {b.name for b in inner if b.scope is VariableScope.TEMPORARY}),
            }
        templates = {b.name: b.cell.read() for b in bindings if isinstance(b.cell, TemplateCell)}
        return {
            "pipeline_id": pipeline_id,
            "global_variables": self._variables(bindings, self._needs),
            "context_variables": contexts,
            "dependency_graph": {name: sorted(needs) for name, needs in sorted(self._needs.items())},
            "variable_templates": templates,
            "format_version": FORMAT_VERSION,
            **({"last_versions": self._last} if self._last else {}),
        }

    def _variables(self, bindings: Iterable[Binding], needs: dict[str, set[str]]) -> dict[str, Any]:
        return {
            b.name: {"value": b.cell.read(), "metadata": b.metadata(needs.get(b.name, set())).to_dict()}
            for b in bindings
            if b.scope is not VariableScope.TEMPORARY
        }


# -- in ----------------------------------------------------------------------------------------------------------------


class Incoming:
    """A state that was checked as a whole. Raises InputError, which names the part at fault by its path."""

    def __init__(self, state: object) -> None:
        parts = Part(state, "").fields(
            "pipeline_id",
            "global_variables",
            "context_variables",
            "dependency_graph",
            "variable_templates",
            "format_version",
            optional=["last_versions"],
        )
        if (version := parts["format_version"].whole(1)) > FORMAT_VERSION:
            raise InputError(f"format_version: {version} is newer than {FORMAT_VERSION}, which this version reads")
        self.pipeline_id = parts["pipeline_id"].text()
        #: Context -> its parent's id, None for the root. The outer ones come first.
        self.contexts: dict[str, str | None] = {}
        self.writes: list[Write] = []
        self.dropped: list[Delete] = []
        self._templates = self._read_templates(parts["variable_templates"])
        self._read_variables(parts["global_variables"], None)
        self._read_contexts(parts["context_variables"])
        #: Names that the state has not, but had, each with its last version.
        self.gone = self._read_gone(parts["last_versions"]) if "last_versions" in parts else []
        self.needs = self._read_needs(parts["dependency_graph"])

    def _read_templates(self, part: Part) -> dict[str, TemplateCell]:
        found = {}
        for name, template in part.items():
            _check(name, part)
            found[name] = TemplateCell(template.value, f"variable {name!r}")
        return found

    def _read_variables(self, part: Part, context_id: str | None) -> None:
        templates = self._templates if context_id is None else {}
        names = set()
        for name, variable in part.items():
            _check(name, part)
            names.add(name)
            fields = variable.fields("value", "metadata")
            cell = templates.get(name) or keep(fields["value"].value)[0]
            self.writes.append(_write(name, cell, fields["metadata"], context_id))
        if missing := templates.keys() - names:
            raise InputError(f"variable_templates.{min(missing)}: there is no such variable in global_variables")

    def _read_contexts(self, part: Part) -> None:
        parents: dict[str, str | None] = {}
        for context_id, context in part.items():
            fields = context.fields("parent_id", "variables", "dropped")
            parent_id = fields["parent_id"].text_or_none()
            if context_id:
                parents[context_id] = parent_id
                self._read_variables(fields["variables"], context_id)
            elif fields["variables"].items() or parent_id is not None:
                raise InputError(f"{context.path}: the root has no parent, and its variables are in global_variables")
            for name in sorted(fields["dropped"].texts()):
                _check(name, fields["dropped"])
                self.dropped.append(Delete(name, context_id or None, dropped=True))
        for context_id in parents:
            self._open(context_id, parents, part)

    def _read_gone(self, part: Part) -> list[Delete]:
        bound = {(write.context_id, write.name) for write in self.writes}
        found = []
        for item in part.elements():
            context, name, version = item.elements(3)
            context_id = context.text() or None
            if context_id is not None and context_id not in self.contexts:
                raise InputError(f"{context.path}: there is no context {context_id!r}")
            _check(name.text(), name)
            if (context_id, name.value) in bound:
                raise InputError(f"{item.path}: this variable is there; its version is in its metadata")
            found.append(Delete(name.value, context_id, last_version=version.whole(1)))
        return found

    def _open(self, context_id: str, parents: dict[str, str | None], part: Part) -> None:
        line: list[str] = []
        at: str | None = context_id
        while at is not None and at not in self.contexts:
            if at not in parents:
                raise InputError(f"{part.path}.{line[-1]}.parent_id: there is no context {at!r}")
            if at in line:
                raise InputError(f"{part.path}.{at}.parent_id: it is inside of itself")
            line.append(at)
            at = parents[at]
        for found in reversed(line):
            self.contexts[found] = parents[found]

    def _read_needs(self, part: Part) -> dict[str, frozenset[str]]:
        """The dependencies that were added by hand. Raises CircularDependencyError."""
        graph = Dependencies()
        bound = {write.name for write in self.writes if write.context_id is None}
        for name, cell in self._templates.items():
            graph.check(name, {candidate for candidates in cell.candidates for candidate in candidates})
            graph.set_template(name, cell.candidates)
        for name, needs in part.items():
            _check(name, part)
            names = frozenset(needs.texts() - graph.needs(name, bound))
            for needed in names:
                _check(needed, needs)
            graph.check(name, names)
            graph.set_added(name, names)
        return {name: graph.added(name) for name in graph.names() if graph.added(name)}


def _check(name: str, part: Part) -> None:
    try:
        check_name(name)
    except InputError as error:
        raise InputError(f"{part.path}: {error}") from None


def _write(name: str, cell: Cell, part: Part, context_id: str | None) -> Write:
    found = VariableMetadata.from_dict(part.value, part.path)
    if found.name != name:
        raise InputError(f"{part.path}.name: {found.name!r} is not the name of the variable, {name!r}")
    if found.scope is VariableScope.TEMPORARY:
        raise InputError(f"{part.path}.scope: a TEMPORARY variable cannot be brought in")
    return Write(
        name,
        cell,
        found.scope,
        found.var_type,
        found.source_step,
        found.description,
        frozenset(found.tags),
        context_id,
        exact=True,
        stamp=Stamp(found.version, seconds(found.created_at), seconds(found.updated_at)),
    )


def changes_to(table: Table, state: Incoming) -> Iterator[Change]:
    """The changes after which a table holds exactly what the state holds."""
    wanted = {(write.context_id, write.name) for write in state.writes}
    kept = [
        context_id
        for context_id, space in table.contexts.items()
        if context_id in state.contexts and space.parent and (space.parent.id or None) == state.contexts[context_id]
    ]
    for context_id in table.contexts:
        if context_id not in kept:
            yield CloseContext(context_id)
    for space in (table.root, *(table.contexts[context_id] for context_id in kept)):
        for name, binding in space.bindings.items():
            if (space.id or None, name) not in wanted:
                yield Delete(name, space.id or None, binding.scope is VariableScope.TEMPORARY)
    for context_id, parent_id in state.contexts.items():
        yield OpenContext(context_id, parent_id)
    yield from state.writes
    yield from state.gone
    yield from (delete for delete in state.dropped if (delete.context_id, delete.name) not in wanted)
    graph = table.dependencies or Dependencies()
    for name in sorted(graph.names() | state.needs.keys()):
        yield Depend(name, state.needs.get(name, frozenset()))
