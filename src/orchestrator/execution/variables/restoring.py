"""What to write and delete so that everything stands as it did at a mark.

Bindings are compared, not values: a variable that was set to an equal value has changed. One that was brought back by
an earlier restore and not touched since has not: it holds the very cell that it held at the mark.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.changes import Change, CloseContext, Delete, Depend, OpenContext, Write
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.undo import Dropped, Segment


def changes_back(table: Table, then: Segment, source: str | None) -> Iterator[Change]:
    """The changes, in the order in which they are to be made; writes carry `source` as their source step.

    `then` is how everything stood that changed since. A context that was made since is destroyed, one that was
    destroyed comes back under its id, with its variables.
    """
    yield from _contexts(table, then)
    deleted: list[str] = []
    for (space_id, name), before in then.bindings.items():
        if space_id and then.contexts.get(space_id, "") is None:
            continue  # went with its context
        space = table.contexts.get(space_id) if space_id else table.root
        now = None if space is None else space.bindings.get(name)
        context_id = space_id or None
        if isinstance(before, Binding):
            if now is None or not _same(before, now):
                yield _write(before, context_id, source)
        elif now is not None or (isinstance(before, Dropped) and not _known_lost(space, name)):
            yield Delete(name, context_id, isinstance(before, Dropped))
            deleted += [] if space_id else [name]
    yield from _dependencies(table, then, deleted)


def _contexts(table: Table, then: Segment) -> Iterator[Change]:
    missing = {}
    for context_id, parent_id in then.contexts.items():
        if parent_id is None:
            if context_id in table.contexts:
                yield CloseContext(context_id)
        elif context_id not in table.contexts:
            missing[context_id] = parent_id
    while missing:
        context_id, parent_id = missing.popitem()
        line = [OpenContext(context_id, parent_id or None)]
        while parent_id in missing:  # the outer ones first
            context_id, parent_id = parent_id, missing.pop(parent_id)
            line.append(OpenContext(context_id, parent_id or None))
        yield from reversed(line)


def _dependencies(table: Table, then: Segment, deleted: list[str]) -> Iterator[Change]:
    """Those added by hand. A deletion takes them away, also where they stood at the mark."""
    wanted = dict(then.added)
    for name in deleted:
        wanted.setdefault(name, table.graph().added(name))
    for name, names in wanted.items():
        if name in deleted or table.graph().added(name) != names:
            yield Depend(name, names)


def _same(before: Binding, now: Binding) -> bool:
    return before is now or (
        before.cell is now.cell
        and (before.scope, before.var_type, before.description, before.tags)
        == (now.scope, now.var_type, now.description, now.tags)
    )


def _write(before: Binding, context_id: str | None, source: str | None) -> Write:
    return Write(
        before.name,
        before.cell,
        before.scope,
        before.var_type,
        source,
        before.description,
        before.tags,
        context_id,
        exact=True,
        least_version=before.version + 1,
    )


def _known_lost(space: Space | None, name: str) -> bool:
    return space is not None and space.lost is not None and name in space.lost
