"""The variable manager: the verbs that change a table of variables. Those that look at it are the reader's.

A verb decides its changes and applies them under the lock, or hands them to the recorder. Values are encoded before the
lock is taken; handlers are called with no lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.clock import Clock, SystemClock, new_id
from orchestrator.errors import UnknownContextError
from orchestrator.execution.variables.aliases import alias_stack, aliases_of, set_alias_stack
from orchestrator.execution.variables.cells import Cell, LiveCell, keep
from orchestrator.execution.variables.changes import Change, CloseContext, Delete, Depend, OpenContext, Write
from orchestrator.execution.variables.changing import apply, put
from orchestrator.execution.variables.reading import StepHook, VariableReader
from orchestrator.execution.variables.restoring import changes_back
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.transfer import Incoming, Snapshot, changes_to
from orchestrator.execution.variables.undo import Mark
from orchestrator.execution.variables.words import (
    OF_THE_STEP,
    VariableScope,
    VariableType,
    check_name,
    check_names,
    check_tags,
    word,
)


class VariableManager(VariableReader):
    """Named, scoped, versioned values. Thread-safe; used alone it holds any value.

    Nobody sees what another does to a value: what can be copied is copied for every reader. What cannot be encoded (a
    socket, a lock, a function), and every TEMPORARY variable, is held by reference. A value that contains `${` is
    data; only `set_template` makes a template.

    With a `parent`, the parent's GLOBAL variables are found after its own. It never writes to the parent.
    """

    __slots__ = ("_clock", "_contexts_made", "_token", "entering_step", "pipeline_id")

    def __init__(
        self,
        pipeline_id: str = "default",
        *,
        clock: Clock | None = None,
        parent: VariableManager | None = None,
    ) -> None:
        super().__init__(Table(parent._table if parent is not None else None))
        self.pipeline_id = pipeline_id
        #: As `running_step`, but asked by a write: it may make the context. Where it is None, `running_step` is asked.
        self.entering_step: StepHook | None = None
        self._clock = clock or SystemClock()
        self._contexts_made, self._token = 0, ""

    # -- writing -----------------------------------------------------------------------------------------------------

    def set_variable(
        self,
        name: str,
        value: Any,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        source_step: str | None = None,
        description: str | None = None,
        tags: set[str] | None = None,
        context_id: str | None = None,
    ) -> None:
        """Set a variable. An existing one keeps `created_at` and what is not given again; its version rises by 1.

        With a context it goes there, whatever its scope says. Without one, STEP, LOOP and TEMPORARY go to the context
        of the running step; where none runs (or it ends meanwhile), and for every other scope, it goes to the root.
        Raises InputError for a bad name, scope or type, UnknownContextError for a context that is not there.
        """
        if name.__class__ is not str or name not in self._table.root.bindings:
            check_name(name)
        if scope.__class__ is not VariableScope:
            scope = word(VariableScope, scope)
        if var_type.__class__ is not VariableType:
            var_type = word(VariableType, var_type)
        cell = LiveCell(value) if scope is VariableScope.TEMPORARY else keep(value)[0]
        space = self._space_for(scope, source_step, context_id)
        checked = None if tags is None else check_tags(tags)
        try:
            self._write(space, name, cell, source_step, scope, var_type, description, checked)
        except UnknownContextError:  # the step has ended meanwhile
            if context_id is not None:
                raise
            self._write(self._table.root, name, cell, source_step, scope, var_type, description, checked)

    def set_template(self, name: str, template: Any, source_step: str | None = None) -> None:
        """Make a GLOBAL variable whose value is computed from others whenever it is read.

        `template` is a text, or any nesting of mappings, lists and tuples with texts in it. The names in it are looked
        up from where the variable is read. Raises TemplateError for a template that cannot be read,
        CircularDependencyError for one that would depend on itself.
        """
        check_name(name)
        cell = TemplateCell(template, f"variable {name!r}")

        def decide() -> list[Change]:
            self._table.graph().check(name, {item for candidates in cell.candidates for item in candidates})
            return [Write(name, cell, source_step=source_step)]

        self.commit(decide)

    def delete_variable(self, name: str, context_id: str | None = None) -> bool:
        """Remove a variable from a context, or from the root; False where it is not there.

        Without a context, one of the running step goes first. Its versions are kept: set again, it goes on from them.
        """
        space = self._home(context_id)
        if context_id is None and name not in space.bindings:
            space = self._table.root
        return bool(self.commit(lambda: [Delete(name, space.id or None)] if name in space.bindings else []))

    def bind(
        self,
        name: str,
        cell: Cell,
        at: float,
        source_step: str | None = None,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        description: str | None = None,
        tags: frozenset[str] | None = None,
    ) -> None:
        """Bind a name of the root to a cell as of `at` (seconds since the epoch): `apply` for one write, unchecked."""
        table = self._table
        with table.lock:
            put(table, table.root, name, cell, at, source_step, scope, var_type, description, tags)
        if table.listeners is not None:
            table.listeners.delivery.run()

    def apply(self, changes: Sequence[Change], at: float | None = None) -> None:
        """Make changes as of `at` (seconds since the epoch; now for None), all at once, and tell the handlers.

        What the verbs end with, and what a recorder calls once its changes are durable. A change in a context that is
        gone by now is left out.
        """
        moment = self._clock.time() if at is None else at
        with self._table.lock:
            apply(self._table, changes, moment)
        self._table.deliver()

    def _write(
        self,
        space: Space,
        name: str,
        cell: Cell,
        source_step: str | None,
        scope: VariableScope,
        var_type: VariableType,
        description: str | None,
        tags: frozenset[str] | None,
    ) -> None:
        if self.recorder is not None:
            change = Write(name, cell, scope, var_type, source_step, description, tags, space.id or None)
            self.recorder.record((change,))
            return
        table = self._table
        at = self._clock.time()
        with table.lock:
            if space is not table.root and table.contexts.get(space.id) is not space:
                raise UnknownContextError(space.id)
            put(table, space, name, cell, at, source_step, scope, var_type, description, tags)
        if table.listeners is not None:
            table.listeners.delivery.run()

    def commit(self, decide: Callable[[], Iterable[Change]]) -> tuple[Change, ...]:
        """Make the changes that `decide` gives, with nothing in between, or hand them to the recorder; gives them.

        `decide` is called under the manager's lock: it may read, and what it reads still holds for its changes.
        """
        at, recorder, table = self._clock.time(), self.recorder, self._table
        with table.lock:
            changes = tuple(decide())
            if recorder is None:
                apply(table, changes, at)
        if recorder is None:
            table.deliver()
        elif changes:
            recorder.record(changes)
        return changes

    def _space_for(self, scope: VariableScope, source_step: str | None, context_id: str | None) -> Space:
        """Where a variable is set. Raises UnknownContextError."""
        hook = self.entering_step or self.running_step
        if context_id is not None or hook is None or scope not in OF_THE_STEP:
            return self._table.space(context_id)
        return self._table.contexts.get(hook(source_step) or "", self._table.root)

    # -- contexts and aliases ----------------------------------------------------------------------------------------

    def create_context(self, parent_id: str | None = None) -> str:
        """Begin a context inside of another, or of the root; gives its id, which never comes back for another one."""
        with self._table.lock:
            self._table.space(parent_id)
            self._token = self._token or new_id(self._clock)[-7:]
            self._contexts_made += 1
            context_id = f"context-{self._contexts_made}-{self._token}"
        self.commit(lambda: [OpenContext(context_id, parent_id)])
        return context_id

    def destroy_context(self, context_id: str) -> None:
        """End a context, the contexts inside of it, and their variables. Raises UnknownContextError."""
        self.commit(lambda: [CloseContext(self._table.space(context_id).id)])

    def push_scope(self, scope: Mapping[str, str]) -> None:
        """Let names stand for others, `{alias: real_name}`, for this thread or async task, until `pop_scope`.

        A variable of the same name comes first. An alias may name one of a scope that was pushed before.
        """
        set_alias_stack(self, (*alias_stack(self), aliases_of(scope)))

    def pop_scope(self) -> dict[str, str] | None:
        """Take back the last scope that this thread or task has pushed, and return it; None where there is none."""
        stack = alias_stack(self)
        if not stack:
            return None
        set_alias_stack(self, stack[:-1])
        return dict(stack[-1])

    # -- dependencies ------------------------------------------------------------------------------------------------

    def add_dependency(self, name: str, names: Iterable[str]) -> None:
        """Say that a variable depends on others. Raises CircularDependencyError, and leaves things as they were.

        These stay until the variable is deleted; those of a template come and go with it.
        """
        check_name(name)
        wanted = check_names(names)

        def decide() -> list[Change]:
            graph = self._table.graph()
            graph.check(name, wanted)
            return [Depend(name, graph.added(name) | wanted)]

        self.commit(decide)

    # -- going back --------------------------------------------------------------------------------------------------

    def mark(self) -> Mark:
        """Remember how everything stands now. Costs nothing by itself; forget it when it is no longer wanted."""
        with self._table.lock:
            return self._table.log().mark()

    def forget(self, mark: Mark) -> None:
        """Give a mark up. Raises InputError for one that this manager does not have."""
        with self._table.lock:
            self._table.log().forget(mark)

    def changes_since(self, mark: Mark, source: str | None = None) -> tuple[Change, ...]:
        """What to write and delete so that all stands as at the mark; costs what changed since. Nothing is changed.

        `source` becomes the source step of the writes. See `restore` for what comes back and what does not.
        """
        with self._table.lock:
            return tuple(changes_back(self._table, self._table.log().since(mark), source))

    def restore(self, mark: Mark, source: str | None = None) -> tuple[Change, ...]:
        """Bring variables, templates, contexts and dependencies to where they stood at a mark; gives the changes.

        What differs gets a new version by `source`; what came later is deleted. A context that was made since is
        destroyed, one that was destroyed comes back under its id. TEMPORARY variables that were set or deleted since
        are gone: reading them raises TemporaryGoneError. Histories stay, aliases too, and so do all marks.
        Raises InputError for a mark that this manager does not have.
        """
        return self.commit(lambda: changes_back(self._table, self._table.log().since(mark), source))

    def release(self) -> None:
        """Give up what only a living execution needs: histories, and kept results of templates."""
        table = self._table
        with table.lock:
            self._resolver = table.shared = None
            for space in (table.root, *table.contexts.values()):
                space.history = None

    # -- export and import -------------------------------------------------------------------------------------------

    def export_state(self, context_id: str | None = None) -> dict[str, Any]:
        """Everything as plain data with native values, copies (see `transfer` for the layout).

        With a context: of the contexts only that one and those around it. TEMPORARY variables, histories, aliases,
        handlers and a parent's variables are left out.
        """
        with self._table.lock:
            line = self._table.space(context_id).line()[:-1]
            snapshot = Snapshot(self._table, self._table.contexts.values() if context_id is None else line)
        return snapshot.state(self.pipeline_id)

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Replace everything by an exported state. Raises InputError or TemplateError for a bad one: nothing changes.

        Versions come from the state, unless this manager has passed them already: then they go on from here. Histories
        and marks stay.
        """
        incoming = Incoming(state)
        self.commit(lambda: changes_to(self._table, incoming))
        self.pipeline_id = incoming.pipeline_id
